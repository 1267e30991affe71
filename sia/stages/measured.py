"""Measurements from the results that an evaluator left: the same file always gives the same scores."""

from pathlib import Path

from sia.errors import StoreError
from sia.score.measure import Measurement, measure
from sia.score.model import ScoreFailure
from sia.score.results import read_results
from sia.score.split import SplitRule
from sia.stages.session import Session
from sia.store.run_directory import RESULTS_FILE


def measure_results(session: Session, file: Path) -> Measurement | ScoreFailure:
    """The scores that a `results.json` holds, on all, dev and sealed items."""
    results = read_results(file)
    if isinstance(results, ScoreFailure):
        return results
    metric, settings = session.task.manifest.metric, session.settings
    return measure(results, metric.name, metric.direction, SplitRule(settings.seed, settings.sealed_fraction))


def measured_again(session: Session, number: int) -> Measurement:
    """The measurement of a scored generation, from the results that it left.

    Raises StoreError when they were changed since.
    """
    file = session.run.generation_dir(number) / RESULTS_FILE
    measured = measure_results(session, file)
    if isinstance(measured, ScoreFailure):
        raise StoreError(f"{file} was changed after it was scored: {measured.reason}", "the run cannot be trusted")
    return measured
