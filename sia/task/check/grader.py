"""The crash-test of an evaluator: submissions that deserve nothing are tried, and what must hold is looked at.

* It never gives more than the trivial baseline: the best score of the submissions that play by the rules and know
  nothing, which are the sample submission and one answer for all; without a sample, the baseline that the task states.
* It takes no number, and runs no code, from the submission; where the task asks for a program, that program runs where
  it reaches nothing.
* The same submission gets the same score again.
* It ends by itself, in bounded time and memory.
* It says what is wrong with a submission in words, not with a traceback.
* It never pays to leave items out.
* What it writes gives no private answer away.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sia.jail.protocol import Jail
from sia.score.model import Score
from sia.task.check.attacks import FORGED, Attack, make_attacks, own_attacks
from sia.task.check.baseline import allowance, best_trivial, gain, stated_baseline
from sia.task.check.cells import records_in, table_of, tables_of
from sia.task.check.finding import Finding, breach_of
from sia.task.check.form import Form, find_form, sample_program
from sia.task.check.leaks import answer_columns, asked_rows, twins_of
from sia.task.check.leaving_out import leaving_out_pays
from sia.task.check.programs import program_attacks
from sia.task.check.together import try_in_turn
from sia.task.check.trial import Trial
from sia.task.package import TaskPackage

AT_ONCE = 2
BUDGET_SECONDS = 90.0
"""After this much time no further submission is tried for the first time; half as much is left for the second time."""
OWN_SECONDS = 30.0
"""More, the first time, for each submission that the task brings itself: what it measures may take long."""
OnProgress = Callable[[str], None]


def try_grader(task: TaskPackage, python: Path, jail: Jail, on_progress: OnProgress) -> list[Finding]:
    """Tries every attack; one finding for each thing that does not hold, or one that all of it does."""
    form = find_form(task.public_dir)
    attacks = [*program_attacks(task), *make_attacks(task, form)]
    once = [attack for attack in attacks if attack.once]
    told = f"trying the evaluator with {len(attacks)} submissions that deserve nothing, "
    on_progress(told + (f"all but {len(once)} twice" if once else "twice"))
    end = time.monotonic() + BUDGET_SECONDS + OWN_SECONDS * len(once)
    first = _try_all(task, python, jail, attacks, end)
    end = max(end, time.monotonic() + BUDGET_SECONDS / 2)
    name = task.evaluator.relative_to(task.root).as_posix()
    best = best_trivial(first)
    trivial = best.score if best else None
    stopped = list(_stopped(name, first))
    left_out = list(leaving_out_pays(task, python, jail, form, first, end)) if form and not stopped else []
    twice = [trial.attack for trial in first if not trial.attack.once and not trial.stopped_by]
    again = _try_all(task, python, jail, twice, end)
    scored = [trial.score.value for trial in first if trial.score]
    told = f"{len(first)} submissions that deserve nothing, {len(again)} of them twice: {len(scored)} scored"
    told += f", the trivial baseline is {trivial.value:.4g}" if trivial else ""
    return [
        Finding("ok", name, told),
        *stopped,
        *_taken_over(name, first),
        *_too_good(task, name, first, trivial),
        *left_out,
        *_unsteady(name, first, again),
        *_tracebacks(task, name, first),
        *_giveaways(task, first),
        *(() if stopped else _untried(task, name, form, attacks, first, len(twice) - len(again))),
    ]


def _try_all(task: TaskPackage, python: Path, jail: Jail, attacks: Sequence[Attack], end: float) -> list[Trial]:
    """In the order of the attacks, some at the same time; those that could not be tried any more are left out."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        shares = [attacks[start::AT_ONCE] for start in range(AT_ONCE)]
        tried = [
            trial for share in pool.map(lambda s: try_in_turn(task, python, jail, s, end), shares) for trial in share
        ]
    return sorted(tried, key=lambda trial: attacks.index(trial.attack))


def _untried(
    task: TaskPackage,
    name: str,
    form: Form | None,
    attacks: Sequence[Attack],
    first: Sequence[Trial],
    missing: int,
) -> Iterator[Finding]:
    """What the check could not look at, where nothing had to be stopped; `missing` were not tried a second time."""
    trivial = [trial for trial in first if trial.attack.trivial]
    unscored = not any(trial.score for trial in trivial)
    shown = form is not None or sample_program(task) is not None
    brought = own_attacks(task)
    if brought and unscored and task.manifest.metric.baseline is None:
        told = f"nothing says what the task's {len(brought)} own cheats must not beat"
        yield Finding(breach_of(task), "task.toml", told, "state the `baseline` of [metric]")
    if (not shown and not brought) or (form and form.guessed and unscored):
        told = "there is no sample submission, so only what needs no knowledge of the form was tried"
        yield Finding("warning", name, told, "a public sample_submission.csv or .json shows the form")
    elif shown and unscored:
        told = f"the sample submission gets no score: {trivial[0].failure if trivial else 'it was not tried in time'}"
        yield Finding("error", name, told, "a submission of the right form must be scored, however bad")
    if len(first) < len(attacks):
        told = f"only {len(first)} of {len(attacks)} submissions were tried in time"
        yield Finding("warning", name, told, "a faster evaluator is checked whole")
    elif missing:
        told = f"{missing} submissions were not tried a second time, for lack of time"
        yield Finding("warning", name, told, "a faster evaluator is checked whole")


def _stopped(name: str, trials: Sequence[Trial]) -> Iterator[Finding]:
    for trial in trials:
        if trial.stopped_by:
            told = f"{trial.attack.name}: had to be stopped by its {trial.stopped_by}"
            yield Finding("error", name, told, "look at the size of a file before reading it, and bound every loop")


def _taken_over(name: str, trials: Sequence[Trial]) -> Iterator[Finding]:
    for trial in trials:
        if trial.reached:
            told = f"{trial.attack.name}: it got where it must not, to {trial.reached}"
            yield Finding("error", name, told, "start it in the inner jail that SIA_INNER_JAIL names")
        elif trial.shadowed:
            told = f"{trial.attack.name}: it ran code of the submission"
            yield Finding("error", name, told, "import nothing from the folder that --gen-dir names")
        elif trial.score and math.isclose(trial.score.value, FORGED, rel_tol=1e-6):
            told = f"{trial.attack.name}: it took over the score that the submission gives itself"
            yield Finding("error", name, told, "compute the score from the answers alone")


def _too_good(task: TaskPackage, name: str, trials: Sequence[Trial], trivial: Score | None) -> Iterator[Finding]:
    if trivial and trivial.direction == "max" and trivial.value > 0.999 and trivial.n:
        told = f"a submission that knows nothing scores {trivial.value:.4g}"
        yield Finding("error", name, told, "see whether the sample submission holds the answers")
    for trial in trials:
        score = trial.score
        if score is None or trial.attack.trivial or math.isclose(score.value, FORGED, rel_tol=1e-6):
            continue
        if trivial:
            above, bound = gain(score, trivial) > allowance(trivial), f"the trivial baseline {trivial.value:.4g}"
        elif stated := stated_baseline(task, score):
            above, bound = gain(score, stated) > allowance(stated), f"the stated baseline {stated.value:.4g}"
        else:
            above, bound = score.direction == "max" and score.value > 0, "0, although nothing was answered"
        if above:
            told = f"{trial.attack.name}: scores {score.value:.4g}, better than {bound}"
            remedy = "divide by all items, count an id once, and take only exact answers"
            yield Finding(breach_of(task) if trial.attack.partial else "error", name, told, remedy)


def _unsteady(name: str, first: Sequence[Trial], again: Sequence[Trial]) -> Iterator[Finding]:
    before = {trial.attack.name: trial for trial in first}
    for trial in again:
        earlier = before[trial.attack.name]
        if (earlier.score, earlier.items) != (trial.score, trial.items) and not trial.stopped_by:
            told = f"{trial.attack.name}: scored differently the second time"
            yield Finding("error", name, told, "use no randomness, no clock and no order of a set")
            return
    named = {trial.attack.name: trial.score for trial in first if trial.score}
    rows, shuffled = (named.get(f"sample submission{tail}") for tail in ("", ", rows shuffled"))
    if rows and shuffled and not math.isclose(rows.value, shuffled.value, rel_tol=1e-9, abs_tol=1e-12):
        told = f"the order of the rows changes the score from {rows.value:.4g} to {shuffled.value:.4g}"
        yield Finding("error", name, told, "join over the ids, not over the order")


def _tracebacks(task: TaskPackage, name: str, trials: Sequence[Trial]) -> Iterator[Finding]:
    crashed = [trial.attack.name for trial in trials if trial.traceback]
    if crashed:
        told = f"ends with a traceback on {len(crashed)} submissions: {', '.join(crashed[:3])}"
        remedy = "say in one line what is wrong with the submission, and exit with status 1"
        yield Finding(breach_of(task), name, told + (", ..." if len(crashed) > 3 else ""), remedy)


def _giveaways(task: TaskPackage, trials: Sequence[Trial]) -> Iterator[Finding]:
    """Answers that the evaluator writes down. Original tasks do that by contract, and no agent gets to see it."""
    drawn = next((trial for trial in trials if trial.attack.name == "answers drawn at random" and trial.score), None)
    try:
        content = json.loads(drawn.results) if drawn else None
    except (ValueError, RecursionError):
        return
    written = [table_of("results.json", records) for records in records_in(content)]
    public = tables_of(task.public_dir)
    for table in tables_of(task.private_dir):
        for column in answer_columns(table, public):
            for twin in twins_of(table, column, written, asked_rows(table, column, public)):
                yield Finding(
                    breach_of(task),
                    "results.json",
                    f"its {twin.column!r} gives away {column.name!r} of data/private/{table.file}",
                    "leave the answers out of what the evaluator writes",
                )
                return
