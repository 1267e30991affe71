"""Measurements from the results that an evaluator left: the same file always gives the same scores."""

from pathlib import Path

from sia.errors import StoreError
from sia.score.model import ScoreFailure
from sia.score.results import read_results
from sia.score.score import Measurement, measure
from sia.stages.session import Session
from sia.store.run_directory import RESULTS_FILE


def measure_results(session: Session, results: Path) -> Measurement | ScoreFailure:
    """The scores that a `results.json` holds, on all, dev and sealed items."""
    metric = session.task.manifest.metric
    return measure(
        read_results(results),
        metric.name,
        metric.direction,
        seed=session.settings.seed,
        sealed_fraction=session.settings.sealed_fraction,
    )


def measured_again(session: Session, number: int) -> Measurement:
    """The measurement of a scored generation, from the results that it left."""
    file = session.run.generation_dir(number) / RESULTS_FILE
    measured = measure_results(session, file)
    if isinstance(measured, ScoreFailure):
        raise StoreError(f"{file} was changed after it was scored: {measured.reason}", "the run cannot be trusted")
    return measured
