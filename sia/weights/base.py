"""Which model a run can train, checked before anything else is done."""

import importlib.util
from pathlib import Path

from sia.errors import UsageError
from sia.gateway.providers import TINKER
from sia.settings import RunSettings

LOCAL = "local/"


def check_trainable(settings: RunSettings) -> None:
    """Raises UsageError when the weights are to change and cannot: another's model, or a missing extra."""
    if settings.focus == "harness":
        return
    if settings.trainer == "tinker":
        _check_tinker(settings)
        return
    if not settings.task_model.startswith(LOCAL):
        raise UsageError(
            f"--focus {settings.focus} trains the target model, and {settings.task_model} is not on this machine",
            "name a local one, such as `--task-model local/smollm2-135m`, or take `--focus harness`; models of Tinker "
            "are trained with `--trainer tinker`",
        )
    for module in ("torch", "transformers", "peft"):
        if importlib.util.find_spec(module) is None:
            raise UsageError(f"training needs {module}", "install the extra: pip install 'sia-agent[weights]'")


def _check_tinker(settings: RunSettings) -> None:
    if not settings.task_model.startswith(f"{TINKER}/"):
        raise UsageError(
            f"--trainer tinker trains models of Tinker, and {settings.task_model} is none",
            "name one, such as `--task-model tinker/Qwen/Qwen3-8B`, or take `--trainer local`",
        )
    for module in ("tinker", "torch"):
        if importlib.util.find_spec(module) is None:
            raise UsageError(f"--trainer tinker needs {module}", "install the extra: pip install 'sia-agent[tinker]'")


def base_folder(settings: RunSettings) -> Path | None:
    """Folder of the target model's weights; None when this run does not train them here."""
    if settings.focus == "harness" or settings.trainer == "tinker":
        return None
    from sia.local.prepare import cached_model

    return cached_model(settings.task_model)
