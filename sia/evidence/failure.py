"""What authors may know of a generation's failure: nothing that the evaluator, which knows the answers, has said."""

import re

from sia.evidence.guard import LeakGuard
from sia.store.records import GenerationRecord

_OWN_WORDS = re.compile(
    r"score: the evaluator (was stopped by its .*|ended with exit status -?\d+|wrote no results\.json)"
)
"""What SIA itself says of an evaluator."""
UNUSABLE = "score: the evaluator left a results.json that cannot be used"
LEFT_OUT = "the reason is left out: it holds a value of the private data"


def told_failure(failure: str) -> str:
    """The failure without the evaluator's own words: its exit status, or the limit that it reached."""
    if not failure.startswith("score:"):
        return failure
    own = _OWN_WORDS.match(failure)
    return own[0] if own else UNUSABLE


def as_told(record: GenerationRecord, guard: LeakGuard) -> GenerationRecord:
    """The record as authors may read it: its failure in words that pass the leak guard."""
    if record.failure is None:
        return record
    told = told_failure(record.failure)
    if guard.leaks(told):
        told = f"{told.partition(':')[0]}: {LEFT_OUT}"
    return record.model_copy(update={"failure": told})
