"""Puts a session together from settings: task, environment, author, jail, run directory."""

import platform
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import sia
from sia.author.program import AUTHORS, AuthorProgram, check_sandbox, choose_author
from sia.author.prompts import check_overrides
from sia.environment import agent_environment, resolved_packages
from sia.errors import UsageError
from sia.events import Emit, Progress
from sia.evidence.guard import LeakGuard
from sia.gateway.plan import ModelPlan, check_author_model, plan_models
from sia.jail.choose import choose_jail
from sia.jail.lend import check_landlock
from sia.jail.protocol import Jail
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.store.progress import fold
from sia.store.records import RunRecord, SandboxRecord, Trained
from sia.store.run_directory import RunDirectory, create_run, read_run_record, reopen_run
from sia.task.catalog import find_bundled
from sia.task.check.gate import refuse_unfit
from sia.task.fetch import prepare_task
from sia.task.package import TaskPackage, task_digest
from sia.weights.base import base_folder, check_trainable

RAISED = ("max_gen", "max_turns", "max_cost", "max_tokens", "max_gen_cost", "max_gen_tokens")
"""Settings of the first start that hold on a resume, unless they are given anew."""
KEPT = (
    "task",
    "backend",
    "focus",
    "trainer",
    "machine_cost",
    "answers",
    "parent",
    "candidates",
    "seed",
    "sealed_fraction",
)
"""Settings of the first start that hold on a resume, whatever is given."""
_PASSWORD = re.compile(r"(?<=//)[^/@\s]+@")


def launch(settings: RunSettings, emit: Emit) -> tuple[Session, RunRecord]:
    """Everything that a run needs, checked before the first generation. Raises SiaError with the remedy."""

    def progress(text: str) -> None:
        emit(Progress(text=_PASSWORD.sub("", text)))

    if settings.resume:
        return _resume(settings, progress)
    folder = task_folder(settings)
    author = AUTHORS[settings.backend]
    check_author_model(settings, author.uses_model, author.dialect)
    check_trainable(settings)
    check_overrides()
    jail = choose_jail(settings.sandbox)
    check_sandbox(author, jail.name)
    task = as_asked(prepare_task(folder, progress), settings)
    if author.name == "offline" and settings.focus != "harness" and task.manifest.agent.answers == "any":
        raise UsageError(
            f"--focus {settings.focus}: the offline author trains a model only where its answers count",
            "add `--answers model`, or take `--focus harness`",
        )
    _refuse_runs_inside(settings.runs_dir, task)
    if task.manifest.agent.program:
        check_landlock()
    plan = plan_models(settings, author.uses_model, task.manifest, progress)
    author = choose_author(settings.backend, progress)
    python = agent_environment(task.manifest.agent.packages, progress)
    if not settings.force:
        refuse_unfit(task, python, jail, progress)

    digest, versions = task_digest(task), _versions(python)

    def describe(run_id: str) -> RunRecord:
        return RunRecord(
            run_id=run_id,
            status="running",
            task=task.name,
            task_dir=str(settings.task_dir.resolve()) if settings.task_dir else "",
            task_digest=digest,
            backend=settings.backend,
            focus=settings.focus,
            trainer=settings.trainer,
            machine_cost=settings.machine_cost,
            answers=settings.answers,
            parent=settings.parent,
            candidates=settings.candidates,
            seed=settings.seed,
            sealed_fraction=settings.sealed_fraction,
            max_gen=settings.max_gen,
            max_turns=settings.max_turns,
            meta_model=settings.meta_model,
            task_model=settings.task_model,
            versions=versions,
            jail=jail.name,
            jail_gaps=jail.gaps,
            limits=limit_flags(settings),
            gpu=settings.gpu,
        )

    run = create_run(settings.runs_dir, settings.run_id, describe)
    return _session(settings, task, run, python, jail, author, plan), read_run_record(run.path)


def _resume(settings: RunSettings, progress: Callable[[str], None]) -> tuple[Session, RunRecord]:
    """Reopens a run: what it was asked for then stays, but for how long it may go on."""
    if settings.run_id is None:
        raise UsageError("--resume needs to know which run", "name it with `--run-id ID`; `sia runs` lists them")
    run = reopen_run(settings.runs_dir, settings.run_id)
    try:
        record = read_run_record(run.path)
        given, settings = settings, restored(settings, record)
        for line in overruled(given, settings):
            progress(line)
        author = AUTHORS[settings.backend]
        check_author_model(settings, author.uses_model, author.dialect)
        check_trainable(settings)
        check_overrides()
        task = as_asked(prepare_task(task_folder(settings), progress), settings)
        check_unchanged(task, record)
        _refuse_runs_inside(settings.runs_dir, task)
        plan = plan_models(settings, author.uses_model, task.manifest, progress)
        python = agent_environment(task.manifest.agent.packages, progress)
        jail = choose_jail(settings.sandbox)
        check_sandbox(author, jail.name)
        author = choose_author(settings.backend, progress)
        record = started_again(record, settings, jail)
        return _session(settings, task, run, python, jail, author, plan), record
    except BaseException:
        run.close()
        raise


def restored(settings: RunSettings, record: RunRecord) -> RunSettings:
    """The settings that a run was started with; of `settings` only what says how long it may go on."""
    return settings.model_copy(
        update={
            **{f"limit_{name}": value for name, value in record.limits.items()},
            **{f"limit_{name}": value for name, value in limit_flags(settings).items()},
            "gpu": settings.gpu or record.gpu,
            **{name: getattr(record, name) for name in KEPT},
            "task": record.task if not record.task_dir else None,
            "task_dir": Path(record.task_dir) if record.task_dir else None,
            "meta_model": record.meta_model or settings.meta_model,
            **_kept_task_model(record),
            **{name: getattr(record, name) for name in RAISED if name not in settings.model_fields_set},
        }
    )


def overruled(given: RunSettings, kept: RunSettings) -> list[str]:
    """What was given for a resume and does not hold, because the run keeps what it began with; a line for each."""
    return [
        f"the run keeps its {name} {getattr(kept, name)}: {getattr(given, name)} was given and does not hold"
        for name in KEPT
        if name in given.model_fields_set and getattr(given, name) != getattr(kept, name)
    ]


def started_again(record: RunRecord, settings: RunSettings, jail: Jail) -> RunRecord:
    """`run.json` with the sandbox of this start; that of the start before is kept when it was another."""
    now: dict[str, object] = {
        "jail": jail.name,
        "jail_gaps": jail.gaps,
        "limits": limit_flags(settings),
        "gpu": settings.gpu,
    }
    before = SandboxRecord(
        generations=record.generations,
        jail=record.jail,
        jail_gaps=record.jail_gaps,
        limits=record.limits,
        gpu=record.gpu,
    )
    if before.model_dump(exclude={"generations"}) == now:
        return record
    return record.model_copy(update={**now, "earlier_sandboxes": (*record.earlier_sandboxes, before)})


def check_unchanged(task: TaskPackage, record: RunRecord) -> None:
    """Raises UsageError when the task's files are not those that the run began with."""
    if task_digest(task) != record.task_digest:
        raise UsageError(
            f"task {task.name} has changed since run {record.run_id} began",
            "restore the task's files, or start a new run",
        )


def _kept_task_model(record: RunRecord) -> dict[str, str]:
    """The target's model as a setting that was given, unless it is the default."""
    default = RunSettings.model_fields["task_model"].default
    return {"task_model": record.task_model} if record.task_model not in ("", default) else {}


def _session(
    settings: RunSettings,
    task: TaskPackage,
    run: RunDirectory,
    python: Path,
    jail: Jail,
    author: AuthorProgram,
    plan: ModelPlan | None,
) -> Session:
    session = Session(
        task=task,
        run=run,
        settings=settings,
        author=author,
        jail=jail,
        guard=LeakGuard(task.private_dir, task.public_dir),
        python=python,
        progress=fold(run.ledger.lines),
        gateway=plan.open(run.path) if plan else None,
        base=base_folder(settings),
    )
    if session.gateway is not None:
        for line in run.ledger.lines:
            if isinstance(line.record, Trained):
                session.gateway.charge(line.generation, line.record.spending.cost)
    return session


def _refuse_runs_inside(runs_dir: Path, task: TaskPackage) -> None:
    """Agents see the public folder: scores that were kept back would lie in their sight."""
    place = runs_dir.resolve()
    for folder in (task.public_dir, task.private_dir, task.reference_dir):
        if folder and place.is_relative_to(folder.resolve()):
            raise UsageError(f"the runs folder {place} lies in {folder}", "name another with --runs-dir")


def task_folder(settings: RunSettings) -> Path:
    """Where the task that the settings name lies. Raises UsageError when they name none."""
    if settings.task_dir:
        return settings.task_dir.resolve()
    if settings.task:
        return find_bundled(settings.task)
    raise UsageError("no task is named", "give `--task NAME` (`sia tasks` lists them) or `--task-dir PATH`")


def as_asked(task: TaskPackage, settings: RunSettings) -> TaskPackage:
    """The task with `--answers` in the place of what its `task.toml` says."""
    if settings.answers is None:
        return task
    agent = task.manifest.agent.model_copy(update={"answers": settings.answers})
    return replace(task, manifest=task.manifest.model_copy(update={"agent": agent}))


def limit_flags(settings: RunSettings) -> dict[str, float]:
    """The limits that were asked for, by name."""
    given = settings.model_dump(include={name for name in RunSettings.model_fields if name.startswith("limit_")})
    return {name.removeprefix("limit_"): value for name, value in given.items() if value is not None}


def _versions(python: Path) -> dict[str, str]:
    packages = dict(line.split("==", 1) for line in resolved_packages(python) if "==" in line)
    own = {"python": platform.python_version(), "sia": sia.__version__, "zlib": zlib.ZLIB_RUNTIME_VERSION}
    return {**own, **packages}
