"""Numbers and verdicts in words, the same in every view."""

from datetime import UTC, datetime

from sia.report.story import RunStory
from sia.score.model import Score, Verdict
from sia.settings import RunSettings
from sia.store.records import RunRecord

NO_SETTINGS = ("run_id", "task", "task_dir")
"""Told elsewhere."""

CERTAINTY = {
    "first": "first",
    "improved": "improved",
    "indistinguishable": "within the noise",
    "regressed": "regressed",
    "untested": "untested",
    "failed": "failed",
}


def number(value: float | None) -> str:
    """Four significant digits."""
    return "–" if value is None else f"{value:.4g}"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return "–" if value is None else f"{value:+.4f}"


def interval(score: Score | None) -> str:
    """`[low, high]`, or nothing."""
    return f"[{score.interval.low:.4g}, {score.interval.high:.4g}]" if score and score.interval else ""


def dollars(value: float) -> str:
    """US dollars, cents as far as they tell something."""
    return f"${value:.2f}" if value == 0 or value >= 0.1 else f"${value:.4f}"


def duration(seconds: float) -> str:
    """`1.4 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def size(count: float | None) -> str:
    """Bytes in units of 1024."""
    if count is None:
        return "–"
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def moment(time: datetime | None) -> str:
    """A time in UTC to the minute."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if time else "–"


def verdict(told: Verdict) -> str:
    """`improved +0.0102 (p = 0.48)` against the best before."""
    text = CERTAINTY.get(told.outcome, told.outcome)
    if told.difference is not None:
        text += f" {told.difference:+.4f}"
    return text + (f" (p = {told.p_value:.2g})" if told.p_value is not None else "")


def settings(record: RunRecord) -> list[tuple[str, str]]:
    """What the run was asked for: every field of `run.json` that is a setting of `sia run` and has a value."""
    names = [name for name in RunSettings.model_fields if name in RunRecord.model_fields and name not in NO_SETTINGS]
    told = [(name.replace("_", " "), getattr(record, name)) for name in names]
    return [(name, str(value)) for name, value in told if value not in (None, "")]


def headline(story: RunStory) -> str:
    """What happened, in one sentence: did it get better, by how much, is it real."""
    first, best, record = story.first, story.best, story.record
    if first is None or best is None:
        return f"None of {len(story.chapters)} generations was scored." if story.chapters else "Nothing decided yet."
    if best.number == first.number:
        return f"No generation beat the first, generation {first.number}: {_on(best.record.score)} on the dev items."
    told = record.sealed_verdict
    if told is not None and told.difference is not None and record.best_scores and record.first_scored:
        a, b = record.first_scored.sealed, record.best_scores.sealed
        claim = {
            "improved": "Better, and real",
            "regressed": "Worse on what nobody saw: overfitted",
            "indistinguishable": "Not shown to be better",
        }.get(told.outcome, "Not tested")
        p_value = f", p = {told.p_value:.2g}" if told.p_value is not None else ""
        return (
            f"{claim}: {story.metric} on the sealed items went from {_on(a)} to {_on(b)} "
            f"({told.difference:+.4f}{p_value})."
        )
    gain = "" if story.record.status == "finished" else " so far; sealed items are opened at the end"
    return f"{story.metric} on the dev items went from {_on(first.record.score)} to {_on(best.record.score)}{gain}."


def tone(story: RunStory) -> str:
    """`good`, `bad`, or nothing to colour."""
    told = story.record.sealed_verdict
    return {"improved": "good", "regressed": "bad"}.get(told.outcome, "") if told else ""


def _on(score: Score | None) -> str:
    return f"{score.value:.4g}" if score else "–"
