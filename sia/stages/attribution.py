"""What each lever is worth: the first and the best harness, each without and with the best adapter, on the same items.

Cells that a generation was already scored on are taken from it. The others are run and scored once, at the end of the
run, and lie in `attribution/`; nothing of them was fed back to an author.
"""

from collections.abc import Callable
from pathlib import Path

from sia.author.brief import AGENT_FILE
from sia.jail.protocol import OnLine
from sia.score.measure import Measurement
from sia.score.model import Item, ScoreFailure, Verdict
from sia.score.verdict import compare
from sia.stages.beside import score_beside
from sia.stages.measured import measure_results, measured_again
from sia.stages.session import Session
from sia.stages.target import adapter_folder, agent_python
from sia.store.durable import digest_file
from sia.store.records import Attribution, Cell, GenerationRecord
from sia.store.run_directory import RESULTS_FILE
from sia.weights.adapter import served_as

ATTRIBUTION_DIR = "attribution"
BASE_NAME = "base"
DIGEST_CHARS = 12


def attribute(session: Session, on_progress: Callable[[str], None]) -> Attribution | None:
    """The 2 x 2; None when the run kept no adapter or nothing was scored."""
    progress = session.progress
    adapter = best_adapter(session)
    if adapter is None or progress.best is None:
        return None
    first, best = min(progress.scored), progress.best
    found: dict[tuple[int, str | None], Measurement | ScoreFailure] = {}
    for harness in (first, best):
        for digest in (None, adapter):
            found[harness, digest] = _measured(session, harness, digest, on_progress)
    cells = tuple(_cell(harness, digest, measured) for (harness, digest), measured in found.items())
    cell = {"seed": (first, None), "weights": (first, adapter), "harness": (best, None), "both": (best, adapter)}

    def against(one: str, other: str, look: int) -> Verdict | None:
        """Paired on all items; None when a cell failed, or has no items."""
        a, b = found[cell[one]], found[cell[other]]
        if isinstance(a, ScoreFailure) or isinstance(b, ScoreFailure) or not b.dev_items:
            return None
        return compare(_items(a), _items(b), b.dev.direction, look, cell[other][0], session.settings.seed)

    # Two families, each with its own looks: what a lever does to the first agent, and what it adds to the other lever.
    two = best != first
    return Attribution(
        first=first,
        best=best,
        adapter=adapter,
        cells=cells,
        weights_alone=against("weights", "seed", 1),
        harness_alone=against("harness", "seed", 2) if two else None,
        both=against("both", "seed", 3) if two else None,
        both_over_weights=against("both", "weights", 1) if two else None,
        both_over_harness=against("both", "harness", 2) if two else None,
    )


def best_adapter(session: Session) -> str | None:
    """Digest of the best generation's adapter, else of the best-scored generation that ran with one."""
    progress = session.progress
    if progress.best is not None and progress.generation(progress.best).adapter:
        return progress.generation(progress.best).adapter
    with_one = [g for g in progress.generations if g.adapter and g.score]

    def value(generation: GenerationRecord) -> float:
        assert generation.score is not None
        return generation.score.value if generation.score.direction == "max" else -generation.score.value

    return max(with_one, key=value).adapter if with_one else None


def _items(measured: Measurement) -> tuple[Item, ...]:
    return (*measured.dev_items, *measured.sealed_items)


def _cell(harness: int, digest: str | None, measured: Measurement | ScoreFailure) -> Cell:
    if isinstance(measured, ScoreFailure):
        return Cell(harness=harness, adapter=digest, score=None, failure=measured.reason)
    return Cell(harness=harness, adapter=digest, score=measured.all)


def _measured(
    session: Session, harness: int, digest: str | None, on_progress: Callable[[str], None]
) -> Measurement | ScoreFailure:
    source = digest_file(session.run.generation_dir(harness) / AGENT_FILE)
    for number in session.progress.scored:
        same = digest_file(session.run.generation_dir(number) / AGENT_FILE) == source
        if same and session.progress.generation(number).adapter == digest:
            return measured_again(session, number)
    folder = session.run.path / ATTRIBUTION_DIR / f"gen_{harness}-{digest[:DIGEST_CHARS] if digest else BASE_NAME}"
    if not (folder / RESULTS_FILE).is_file():
        on_progress(f"attribution: the agent of generation {harness} with the {'adapter' if digest else 'base model'}")
        failure = _run_cell(session, harness, digest, folder, on_progress)
        if failure:
            return ScoreFailure(reason=failure)
    return measure_results(session, folder / RESULTS_FILE)


def _run_cell(session: Session, harness: int, digest: str | None, folder: Path, on_line: OnLine) -> str | None:
    """Runs and scores one cell; why it could not be, if so. Its folder appears whole, or not at all."""
    if session.gateway is None:
        return "the run has no model to ask"
    generation = session.run.generation_dir(harness)
    adapter = served_as(adapter_folder(session, digest), digest) if digest is not None else None
    with session.run.staging(harness, "attribution") as staging:
        try:
            python = agent_python(session, generation, on_line)
        except ValueError as error:
            return str(error)
        # No generation's account: the cells belong to none.
        with session.gateway.access("target", 0, adapter=adapter) as access:
            return score_beside(session, generation / AGENT_FILE, python, access, staging, folder, on_line)
