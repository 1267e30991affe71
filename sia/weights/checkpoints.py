"""Checkpoints that are there whole or not at all, so that a training which is killed goes on from the last one."""

import io
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from sia.store.durable import files_under, sync_file, sync_folder
from sia.weights.loop import Marks
from sia.weights.model import Policy
from sia.weights.outcome import ADAPTER_CONFIG, ADAPTER_WEIGHTS, BEST_DIR

CHECKPOINT = "checkpoint"
_STATE, _MARKS = "state.pt", "marks.json"


def save_checkpoint(folder: Path, policy: Policy, optimiser: Optimizer, marks: Marks) -> None:
    """Replaces the checkpoint in `folder`. Raises OSError when the disk is full; the former one then stays."""

    def fill(new: Path) -> None:
        _write_adapter(policy, new)
        # Through memory: written straight to a full disk, torch raises whatever its archive stumbled over.
        state = io.BytesIO()
        torch.save({"optimiser": optimiser.state_dict(), "value_head": policy.value_head.state_dict()}, state)
        (new / _STATE).write_bytes(state.getbuffer())
        (new / _MARKS).write_text(marks.model_dump_json(), encoding="utf-8")

    _replace(folder / CHECKPOINT, fill)


def load_checkpoint(folder: Path, policy: Policy, optimiser: Optimizer, digest: str) -> Marks | None:
    """Takes up the checkpoint in `folder`; None when there is none of this training that can be used."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _settle(folder / CHECKPOINT)
    place = folder / CHECKPOINT
    try:
        marks = Marks.model_validate_json((place / _MARKS).read_bytes())
        if marks.digest != digest:
            return None
        weights = load_file(place / ADAPTER_WEIGHTS)
        state: Mapping[str, Any] = torch.load(place / _STATE, weights_only=True, map_location=policy.device)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError):
        # What the disk may have made of it: cut short, empty, gone.
        return None
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(policy.model, weights)
    policy.value_head.load_state_dict(state["value_head"])
    optimiser.load_state_dict(state["optimiser"])
    return marks


def save_best(folder: Path, policy: Policy) -> None:
    """Keeps the adapter as it is now as the best so far. Raises OSError; the former best then stays."""
    _replace(folder / BEST_DIR, lambda new: _write_adapter(policy, new))


def has_best(folder: Path) -> bool:
    """Whether there is an adapter to leave."""
    _settle(folder / BEST_DIR)
    return (folder / BEST_DIR / ADAPTER_WEIGHTS).is_file()


def best_adapter(folder: Path) -> tuple[Path, Path]:
    """The two files of the best adapter."""
    return folder / BEST_DIR / ADAPTER_WEIGHTS, folder / BEST_DIR / ADAPTER_CONFIG


def _write_adapter(policy: Policy, folder: Path) -> None:
    try:
        policy.model.save_pretrained(folder, selected_adapters=["default"])
    except Exception as error:
        # safetensors reports a full disk in an exception of its own.
        if "No space left" in str(error) or "os error 28" in str(error):
            raise OSError(28, "No space left on device") from None
        raise
    (folder / "README.md").unlink(missing_ok=True)


def _replace(place: Path, fill: Callable[[Path], None]) -> None:
    new, old = place.with_name(f".{place.name}.new"), place.with_name(f".{place.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        fill(new)
        for file in files_under(new):
            sync_file(file)
        sync_folder(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    # Two renames: a kill between them leaves the former one under its hidden name, see _settle.
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    new.rename(place)
    sync_folder(place.parent)
    shutil.rmtree(old, ignore_errors=True)


def _settle(place: Path) -> None:
    """Brings back the former folder when a kill came between the two renames."""
    old = place.with_name(f".{place.name}.old")
    if not place.exists() and old.is_dir():
        old.rename(place)
