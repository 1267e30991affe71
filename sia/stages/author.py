"""The author stage: a workspace with a brief goes in, the next target agent comes out."""

from dataclasses import dataclass
from pathlib import Path

from sia.author import brief as contract
from sia.author.attempts import forbidden_attempts
from sia.author.prompts import render_repair
from sia.author.transcript import read_transcript
from sia.gateway.access import Access
from sia.gateway.trace import spending_of
from sia.jail.program import program_environment, python_mounts
from sia.jail.protocol import Command, Mount, OnLine
from sia.plainfile import read_text
from sia.score.model import Lever
from sia.stages.agent_check import agent_problem
from sia.stages.lever import pulled_lever
from sia.stages.limits import limits_of
from sia.stages.session import (
    Session,
    model_access,
    own_mounts,
    raise_if_cap_reached,
    raise_if_disk_full,
)
from sia.stages.workspace import make_brief, prepare_workspace, shown_files
from sia.store.records import Authored, Spending
from sia.store.run_directory import AUTHOR_LOG, FEEDBACK_PROMPT, META_PROMPT
from sia.task.manifest import LimitsTable

MAX_TRANSCRIPT_BYTES = 64 << 20


@dataclass(frozen=True)
class Draft:
    """What one start of an author came to."""

    files: list[Path]
    """In the staging folder, to be committed."""
    seconds: float
    ending: str | None
    """Why the author did not end by itself and well; None when it did."""
    problem: str | None
    """Why what it left cannot be used; None when it can."""
    events: tuple[str, ...]
    lever: Lever


def author_stage(session: Session, on_line: OnLine) -> None:
    """Runs the author and records what it wrote. A model that left something unusable is told so, once."""
    number = session.progress.open.number
    brief = make_brief(session)
    with session.run.staging(number, "author") as staging:
        workspace = staging / "workspace"
        prompt = prepare_workspace(session, brief, workspace)
        drafts = [_write_draft(session, staging, workspace, on_line)]
        if session.author.uses_model and drafts[0].problem and drafts[0].ending is None:
            repair = render_repair(drafts[0].problem)
            hand_over(repair, contract.REPAIR_FILE, staging, workspace)
            on_line("the agent cannot be used yet; the author is told why")
            drafts.append(_write_draft(session, staging, workspace, on_line))
        transcript, attempts = _take_transcript(session, staging, workspace) if session.author.uses_model else ([], ())
        prompt_file = staging / (META_PROMPT if brief.parent is None else FEEDBACK_PROMPT)
        prompt_file.write_text(prompt, encoding="utf-8")
        events = [event for draft in drafts for event in draft.events]
        failure = _failure(session, drafts[-1])
        if failure is None and drafts[-1].ending:
            events.append(f"the author was stopped, and what it had left is used: {drafts[-1].ending}")
        record = Authored(
            author=session.author.name,
            parent=brief.parent,
            lever=drafts[-1].lever,
            seconds=sum(draft.seconds for draft in drafts),
            starts=len(drafts),
            events=tuple(dict.fromkeys([*events, *attempts])),
            spending=_spending(session, number),
            failure=failure,
        )
        files = [staging / AUTHOR_LOG, prompt_file, *transcript, *drafts[-1].files]
        session.progress.add(session.run.commit(number, record, files, shown_files(session, brief)))


def _failure(session: Session, draft: Draft) -> str | None:
    """Why the stage failed. What a model left in time is used even if it was stopped afterwards."""
    if session.author.uses_model:
        return draft.problem and (f"{draft.ending}; {draft.problem}" if draft.ending else draft.problem)
    return draft.ending or draft.problem


def _write_draft(session: Session, staging: Path, workspace: Path, on_line: OnLine) -> Draft:
    """Starts the author once, and takes and checks what it left."""
    log = staging / "start.log"
    with model_access(session, "author") as access:
        outcome = session.jail.run(_command(session, workspace, log, access), on_line)
    raise_if_cap_reached(access)
    with (staging / AUTHOR_LOG).open("ab") as whole:
        whole.write(log.read_bytes())
    ending = None
    if not outcome.succeeded:
        ending = f"stopped by its {outcome.stopped_by}" if outcome.stopped_by else _last_words(outcome.last_line)
        if not ending:
            ending = f"exit status {outcome.exit_status}"
        raise_if_disk_full(session, ending)
    pulled = pulled_lever(session, workspace, staging)
    files, problem = take_files(workspace, staging)
    problem = problem or pulled.problem
    if problem is None and session.author.uses_model:
        problem = agent_problem(session, staging, on_line)
    events = (*outcome.events, *access.events)
    return Draft([*files, *pulled.files], outcome.seconds, ending, problem, events, pulled.lever)


def _spending(session: Session, number: int) -> Spending:
    """What the author and the trials of its agents have cost."""
    calls = session.gateway.calls_of(number) if session.gateway else []
    return spending_of([call for call in calls if call.role in ("author", "trial")])


def _last_words(line: str) -> str:
    return line.removeprefix("author: ")


def _command(session: Session, workspace: Path, log: Path, access: Access) -> Command:
    author, task = session.author, session.task
    return Command(
        argv=author.argv(workspace),
        cwd=workspace,
        log=log,
        # The task's limits are of its target agent.
        limits=limits_of(session.settings, LimitsTable(), author.seconds),
        # Nothing below the workspace by itself: the author may have put a link in its place before a second start.
        mounts=(
            Mount(workspace, writable=True),
            Mount(task.public_dir),
            *((Mount(task.reference_dir),) if task.reference_dir else ()),
            *python_mounts(session.python),
            *own_mounts(author.python),
        ),
        # `python` is the target agent's, so that an author tries it where it will run.
        environment=program_environment(workspace, session.python) | dict(access.variables),
        on_listener=access.on_listener,
        stopped=access.stopped,
        protected=(task.private_dir,),
    )


def hand_over(text: str, name: str, staging: Path, workspace: Path) -> None:
    """Puts a file into the workspace of a program that has run there, in place of whatever it left at that name."""
    whole, target = staging / name, workspace / name
    whole.write_text(text, encoding="utf-8")
    # Moved, not written there: writing would follow a link, or wait at a pipe, that the program left.
    workspace.chmod(0o700)
    if target.is_dir() and not target.is_symlink():
        target.chmod(0o700)
        target.rename(staging / f"{name}.left")
    whole.replace(target)


def take_files(workspace: Path, staging: Path) -> tuple[list[Path], str | None]:
    """Copies what the author may leave to the staging folder; says what is wrong with it, if anything."""
    files: list[Path] = []
    problem = None
    for name in contract.HANDED_ON:
        target = staging / name
        target.unlink(missing_ok=True)
        try:
            text = read_text(workspace / name)
        except ValueError as error:
            if name == contract.AGENT_FILE:
                problem = f"{name} {error}: the author wrote no agent"
            elif str(error) != "is missing":
                problem = problem or f"{name} {error}"
            continue
        target.write_text(text, encoding="utf-8")
        files.append(target)
    return files, problem


def _take_transcript(session: Session, staging: Path, workspace: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Copies the transcript to the staging folder; says what it shows that the author tried and must not."""
    file, task = staging / contract.TRANSCRIPT_FILE, session.task
    try:
        text = read_text(workspace / contract.OWN_DIR / contract.TRANSCRIPT_FILE, MAX_TRANSCRIPT_BYTES, workspace)
    except ValueError as error:
        return [], (f"the author's transcript {error}",)
    file.write_text(text, encoding="utf-8")
    readable = (workspace, task.public_dir, *((task.reference_dir,) if task.reference_dir else ()))
    return [file], forbidden_attempts(read_transcript(text), workspace, readable, task.private_dir)
