"""Which models a run needs, checked before anything is spent: name, key, price. The servers are started by `open`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sia.environment import cache_dir
from sia.errors import UsageError
from sia.gateway.keys import demand_key, known_variables
from sia.gateway.prices import price_of
from sia.gateway.providers import LOCAL, Model, load_providers, resolve_model
from sia.gateway.trace import Role
from sia.settings import RunSettings
from sia.task.manifest import Manifest

if TYPE_CHECKING:
    from sia.gateway.gateway import Gateway, Rules

ROLE_WORDS: Mapping[Role, str] = {"author": "the author (--meta-model)", "target": "the target agent (--task-model)"}
CALL_CACHE = "model_calls"


@dataclass(frozen=True)
class ModelPlan:
    """The models of a run, ready to be served."""

    settings: RunSettings
    models: Mapping[Role, Model]
    variables: Mapping[str, str]
    """Where the keys are."""
    target_cost: float | None
    """US dollars of one run of the target agent, as the task says."""
    on_progress: Callable[[str], None]

    def open(self, folder: Path) -> "Gateway":
        """The gateway of the run in `folder`, with the local models that it needs."""
        from sia.gateway.gateway import Gateway

        models, local = _served(self.models, self.on_progress)
        try:
            return Gateway(folder, models, self.variables, self._rules(), on_close=[model.close for model in local])
        except BaseException:
            for model in local:
                model.close()
            raise

    def _rules(self) -> "Rules":
        from sia.gateway.budget import Cap
        from sia.gateway.gateway import Rules

        settings = self.settings
        return Rules(
            run=Cap.of(settings.max_cost, settings.max_tokens),
            generation=Cap.of(settings.max_gen_cost, settings.max_gen_tokens),
            target=Cap.of(self.target_cost, None),
            calls_per_minute=settings.calls_per_minute,
            keep_bodies=settings.bodies,
            cache=cache_dir() / CALL_CACHE if settings.cache else None,
        )


def check_author_model(settings: RunSettings, uses_model: bool, dialect: str | None = None) -> None:
    """Raises UsageError when the author's model or its key is missing, or it speaks another dialect; needs no task."""
    if uses_model:
        model = resolve_model(settings.meta_model, load_providers())
        if dialect and model.provider.dialect != dialect:
            raise UsageError(
                f"the {settings.backend} backend speaks the {dialect} dialect only, and {model.full_name} is served "
                f"in the {model.provider.dialect} dialect",
                "take `--backend openhands`, which works with all models, or a model such as haiku",
            )
        demand_key(model.provider, known_variables(), f"the {settings.backend} backend")


def plan_models(
    settings: RunSettings, author_uses_model: bool, task: Manifest, on_progress: Callable[[str], None]
) -> ModelPlan | None:
    """The plan, or None when nothing in the run needs a model. Raises UsageError naming what is missing.

    The target agent's key is demanded when the task wants answers by a model or `--task-model` is given; beside an
    author that is a model, agents may call theirs on any task, and one that does without a key is told so.
    """
    check_author_model(settings, author_uses_model)
    target_asked = task.agent.answers == "model" or "task_model" in settings.model_fields_set
    if not (author_uses_model or target_asked):
        return None
    providers, variables = load_providers(), known_variables()
    models: dict[Role, Model] = {"target": resolve_model(settings.task_model, providers)}
    if author_uses_model:
        models["author"] = resolve_model(settings.meta_model, providers)
    if target_asked:
        demand_key(models["target"].provider, variables, "the target agent")
    for role, model in models.items():
        _check_price(settings, task, role, model, on_progress)
    return ModelPlan(settings, models, variables, task.limits.cost, on_progress)


def _check_price(
    settings: RunSettings, task: Manifest, role: Role, model: Model, on_progress: Callable[[str], None]
) -> None:
    if price_of(model).of is not None:
        return
    table = f'[providers.{model.provider.name}.prices."{model.name}"]'
    unknown = f"the price of {model.full_name}, for {ROLE_WORDS[role]}, is not known"
    remedy = f"write it into sia.toml: {table} input = ..., output = ... (US dollars for a million tokens)"
    capped = settings.max_cost or settings.max_gen_cost
    if capped and not (settings.max_tokens or settings.max_gen_tokens):
        raise UsageError(f"{unknown}, so --max-cost could not bind", f"{remedy}; or cap tokens with --max-tokens")
    bounds = "the cap in tokens binds" if settings.max_tokens or settings.max_gen_tokens else "nothing caps it"
    on_progress(f"{unknown}: its calls count in tokens only, and {bounds}; {remedy}")


if TYPE_CHECKING:
    from sia.local.process import LocalModel


def _served(
    models: Mapping[Role, Model], on_progress: Callable[[str], None]
) -> "tuple[dict[Role, Model], list[LocalModel]]":
    """The models with the addresses of the local ones, which are started."""
    started: dict[str, LocalModel] = {}
    served: dict[Role, Model] = {}
    for role, model in models.items():
        if model.provider.name != LOCAL:
            served[role] = model
            continue
        if model.name not in started:
            from sia.local.process import start_local_model

            started[model.name] = start_local_model(model.name, on_progress)
        base = started[model.name].base_url.rstrip("/")
        url = base if base.endswith("/v1") else f"{base}/v1"
        served[role] = Model(replace(model.provider, base_url=url), model.name)
    return served, list(started.values())
