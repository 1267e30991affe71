"""Whether it pays to leave items out, found out as an agent could: from the scores of submissions that know nothing.

The best of them is handed in by parts, and the part that scores best by parts again. A grader that divides by all items
gives every part less than the whole. One that divides by those that were attempted gives the best part more, and in the
end a single right answer everything.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sia.jail.protocol import Jail
from sia.task.check.attacks import hand_in
from sia.task.check.baseline import allowance, best_of, best_trivial, gain
from sia.task.check.finding import Finding, breach_of
from sia.task.check.form import Form
from sia.task.check.together import try_in_turn
from sia.task.check.trial import Trial
from sia.task.package import TaskPackage

PARTS = 8
REMEDY = "divide by all items, whether they were answered or not"


def leaving_out_pays(
    task: TaskPackage, python: Path, jail: Jail, form: Form, trials: Sequence[Trial], end: float
) -> Iterator[Finding]:
    """At most one finding; `trials` are those of the whole submissions."""
    name = task.evaluator.relative_to(task.root).as_posix()
    whole = best_trivial(trials)
    if whole is None or whole.score is None:
        return
    for trial in trials:
        if trial.attack.partial and trial.score and trial.score.n != whole.score.n:
            told = f"{trial.attack.name}: scored over {trial.score.n} items, the whole submission over {whole.score.n}"
            yield Finding(breach_of(task), name, told, REMEDY)
            return
    entries = whole.attack.entries
    while whole.score.value and len(entries) > 1 and time.monotonic() < end:
        size = -(-len(entries) // PARTS)
        parts = [entries[start : start + size] for start in range(0, len(entries), size)]
        attacks = [hand_in(form, f"part {n} of {len(parts)}", part) for n, part in enumerate(parts, start=1)]
        best = best_of(try_in_turn(task, python, jail, attacks, end))
        if best is None or best.score is None or gain(best.score, whole.score) < 0:
            return
        entries = best.attack.entries
        if gain(best.score, whole.score) > allowance(whole.score):
            told = f"{len(entries)} answers score {best.score.value:.4g}, where all {len(whole.attack.entries)} of "
            told += f"{whole.attack.name!r} score {whole.score.value:.4g}: it pays to leave items out"
            yield Finding(breach_of(task), name, told, REMEDY)
            return
