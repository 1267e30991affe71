"""The run stage: the target agent works on the public data and leaves its outputs."""

import math
from pathlib import Path

from sia.author.brief import AGENT_FILE, HANDED_ON, REQUIREMENTS_FILE, TRANSCRIPT_FILE
from sia.environment import agent_environment, requirements_of
from sia.errors import HostError
from sia.gateway.access import Access
from sia.gateway.trace import TRACE_FILE
from sia.jail.devices import gpu_mounts
from sia.jail.program import program_environment, python_mounts
from sia.jail.protocol import Command, Mount, OnLine, Outcome
from sia.plainfile import read_text
from sia.stages.limits import limits_of
from sia.stages.session import (
    Session,
    model_access,
    raise_if_cap_reached,
    raise_if_disk_full,
)
from sia.store.outputs import collect_outputs
from sia.store.records import Ran
from sia.store.run_directory import (
    AGENT_LOG,
    AUTHOR_LOG,
    EVALUATION_LOG,
    FEEDBACK_PROMPT,
    GENERATION_FILE,
    META_PROMPT,
    RESULTS_FILE,
)
from sia.weights.adapter import ADAPTER_DIR, served_as
from sia.weights.plan import EXAMPLES_FILE

RESERVED = frozenset((*HANDED_ON, TRANSCRIPT_FILE, META_PROMPT, FEEDBACK_PROMPT, AUTHOR_LOG)) | {
    AGENT_LOG,
    EVALUATION_LOG,
    RESULTS_FILE,
    GENERATION_FILE,
    TRACE_FILE,
    EXAMPLES_FILE,
    ADAPTER_DIR,
}
"""Names in a generation's folder that an agent's outputs can never take."""


def run_stage(session: Session, on_line: OnLine) -> None:
    """Runs the target agent and records its outputs."""
    number = session.progress.open.number
    with session.run.staging(number, "run") as staging:
        try:
            python = agent_python(session, session.run.generation_dir(number), on_line)
        except ValueError as error:
            _commit(session, Ran(seconds=0.0, peak_memory_bytes=None, output_bytes=0, failure=str(error)), [])
            return
        work, outputs, log = staging / "work", staging / "outputs", staging / AGENT_LOG
        work.mkdir()
        outputs.mkdir()
        agent = session.run.generation_dir(number) / AGENT_FILE
        with model_access(session, "target", adapter=serve_adapter(session)) as access:
            outcome = session.jail.run(agent_command(session, agent, python, work, log, access), on_line)
        raise_if_cap_reached(access)
        failure = failure_of(outcome)
        if failure:
            raise_if_disk_full(session, failure)
        notes = collect_outputs(work, outputs, RESERVED)
        record = Ran(
            seconds=outcome.seconds,
            peak_memory_bytes=outcome.peak_memory_bytes,
            output_bytes=outcome.output_bytes,
            events=(*outcome.events, *notes, *access.events),
            spending=access.spending,
            failure=failure,
        )
        _commit(session, record, [log, *sorted(outputs.iterdir())])


def serve_adapter(session: Session) -> str | None:
    """What the adapter that the open generation's model answers with is called where the model is served."""
    digest = session.progress.open.adapter
    return served_as(adapter_folder(session, digest), digest) if digest is not None else None


def adapter_folder(session: Session, digest: str) -> Path:
    """Where the run keeps the adapter. Raises KeyError for one that it never trained."""
    return session.run.generation_dir(session.progress.adapters[digest]) / ADAPTER_DIR


def _commit(session: Session, record: Ran, files: list[Path]) -> None:
    number = session.progress.open.number
    read = [session.run.generation_dir(number) / AGENT_FILE]
    session.progress.add(session.run.commit(number, record, files, read))


def agent_command(
    session: Session, agent: Path, python: Path, work: Path, log: Path, access: Access, seconds: float = math.inf
) -> Command:
    """Starts the file `agent` with `python` on the public data, within the task's limits and at most `seconds`."""
    limits, settings, public = session.task.manifest.limits, session.settings, session.task.public_dir
    return Command(
        argv=(str(python), str(agent), "--dataset_dir", str(public), "--working_dir", str(work)),
        cwd=work,
        log=log,
        limits=limits_of(settings, limits, min(seconds, settings.limit_seconds or limits.seconds)),
        mounts=(
            Mount(agent),
            Mount(public),
            Mount(work, writable=True),
            *python_mounts(python),
            *(gpu_mounts() if settings.gpu else ()),
        ),
        protected=(session.task.private_dir,),
        environment=program_environment(work, python) | dict(access.variables),
        on_listener=access.on_listener,
        stopped=access.stopped,
    )


def agent_python(session: Session, folder: Path, on_line: OnLine) -> Path:
    """The interpreter with the packages that the agent in `folder` asks for. Raises ValueError when there is none."""
    file = folder / REQUIREMENTS_FILE
    if not file.is_file():
        return session.python
    wanted = requirements_of(read_text(file), file)
    try:
        return agent_environment((*session.task.manifest.agent.packages, *wanted), on_line)
    except HostError as error:
        raise ValueError(f"{REQUIREMENTS_FILE}: {error.problem}") from None


def failure_of(outcome: Outcome) -> str | None:
    """Why the target agent failed, in words; None when it did not."""
    if outcome.succeeded:
        return None
    if outcome.stopped_by:
        return f"stopped by its {outcome.stopped_by}"
    return f"exit status {outcome.exit_status}: {outcome.last_line or 'it said nothing'}"
