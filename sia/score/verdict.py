"""Says whether a generation is better than the best one before it, and which of the two is best from now on.

Selection needs a choice every time, a claim needs evidence: `is_promoted` follows the better mean even within the
noise, the word "improved" is granted only by the test.

Items are paired by id. Ids that only one side has are left out and counted in `unpaired`. When the candidate lacks more
than a tenth of the best one's items nothing is compared: leaving out the hard items would pay.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from sia.score.measure import Measurement, is_binary
from sia.score.model import Direction, Item, Score, Verdict
from sia.score.paired import level_of_look, mcnemar_p, sign_flip_p

MIN_COVERAGE = 0.9
"""Share of the best one's items that the candidate must have been scored on too."""


def judge(
    candidate: Measurement, best: Measurement | None, look: int, against: int | None = None, seed: int = 0
) -> Verdict:
    """The verdict on `candidate`: on the dev items where both have some, else on the stated values; None is first.

    `look` counts the comparisons of the run, this one included; `against` is the number of the best generation.
    """
    if best is None:
        return Verdict(outcome="first", looks=look)
    if not candidate.dev_items or not best.dev_items:
        return compare_stated(candidate.dev, best.dev, look, against)
    if candidate.dev.direction != best.dev.direction:
        return Verdict(outcome="untested", against=against, looks=look)
    return compare(candidate.dev_items, best.dev_items, candidate.dev.direction, look, against, seed)


def compare(
    candidate: Sequence[Item],
    best: Sequence[Item],
    direction: Direction,
    look: int,
    against: int | None = None,
    seed: int = 0,
) -> Verdict:
    """A paired test on the common items at the level of this look: McNemar when all scores are 0 or 1, else sign-flip.

    `difference` is positive when the candidate is better, whatever the direction. It is None, and nothing is tested,
    when the candidate lacks too many of the best one's items.
    """
    candidate_scores = {item.id: item.score for item in candidate}
    best_scores = {item.id: item.score for item in best}
    common = sorted(candidate_scores.keys() & best_scores.keys())
    unpaired = len(candidate_scores) + len(best_scores) - 2 * len(common)
    if not common or len(common) < MIN_COVERAGE * len(best_scores):
        return Verdict(outcome="untested", against=against, looks=look, pairs=len(common), unpaired=unpaired)
    sign = 1.0 if direction == "max" else -1.0
    differences = [sign * (candidate_scores[i] - best_scores[i]) for i in common]
    difference = fmean(differences)
    binary = is_binary([scores[i] for scores in (candidate_scores, best_scores) for i in common])
    if binary:
        p_value = mcnemar_p(gained=differences.count(1.0), lost=differences.count(-1.0))
    else:
        p_value = sign_flip_p(differences, seed)
    alpha = level_of_look(look)
    return Verdict(
        outcome=_outcome(difference, p_value <= alpha),
        against=against,
        difference=difference,
        p_value=p_value,
        looks=look,
        alpha=alpha,
        test="mcnemar" if binary else "sign-flip",
        pairs=len(common),
        unpaired=unpaired,
    )


def _outcome(difference: float, significant: bool) -> Literal["improved", "indistinguishable", "regressed"]:
    if not significant or difference == 0:
        return "indistinguishable"
    return "improved" if difference > 0 else "regressed"


def compare_stated(candidate: Score, best: Score, look: int, against: int | None = None) -> Verdict:
    """The verdict without items: a difference and no test.

    `difference` is None when the two values are not the same quantity: another metric or direction, or one computed
    from items and the other stated, perhaps in percent.
    """
    same = (candidate.metric, candidate.direction, candidate.source) == (best.metric, best.direction, best.source)
    sign = 1.0 if candidate.direction == "max" else -1.0
    difference = sign * (candidate.value - best.value) if same else None
    return Verdict(outcome="untested", against=against, difference=difference, looks=look)


def is_promoted(verdict: Verdict) -> bool:
    """Whether the judged generation becomes the best: the first, an improved one, or one ahead within the noise."""
    if verdict.outcome in ("first", "improved"):
        return True
    ahead = verdict.difference is not None and verdict.difference > 0
    return verdict.outcome in ("indistinguishable", "untested") and ahead
