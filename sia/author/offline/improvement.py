"""`improvement.md`: what was learnt so far, what is changed now, and why."""

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from sia.author.brief import Brief
from sia.author.offline.bandit import State
from sia.author.offline.grammar import AnyMove
from sia.score.model import describe_score


class Execution(BaseModel):
    """What this author reads of an agent's `agent_execution.json`."""

    cv_scores: tuple[float, ...] = Field(min_length=1)

    def mean(self) -> float:
        """Of the folds."""
        return sum(self.cv_scores) / len(self.cv_scores)


def explain(move: AnyMove | None, state: State, brief: Brief, schema: object, cv: float | None) -> str:
    """The file's text; `cv` is what the parent measured by itself on the training data."""
    best = next((past for past in brief.history if past.generation == brief.parent), None)
    latest = brief.history[-1]
    lines = ["# Analysis", ""]
    if best and best.score:
        lines.append(f"Generation {best.generation} is built on; its dev score is {describe_score(best.score)}.")
        if cv is not None:
            lines.append(f"Its own cross-validation on the training rows said {cv:.4f}.")
    if latest.generation != brief.parent:
        what = latest.failure or f"was {latest.verdict.outcome}, difference {latest.verdict.difference or 0.0:+.4f}"
        lines.append(f"The latest try, generation {latest.generation}, {what}. Its change is not carried on.")
    if state.rewards:
        lines += ["", "| move | tries | mean change of the dev score |", "|---|---|---|"]
        for name, seen in sorted(state.rewards.items()):
            lines.append(f"| {name} | {len(seen)} | {sum(seen) / len(seen):+.4f} |")
    if move is None:
        return "\n".join([*lines, "", "# Change", "", "None: every recipe within reach was tried.", ""])
    change = ", ".join(f"`{name}` becomes `{value}`" for name, value in move.change.items())
    sections = {
        "Hypothesis": f"{move.hypothesis} {move.evidence(schema)}".rstrip(),
        "Change": f"{move.name}: {change}.",
        "Expected effect": f"{expected_gain(move, state.rewards.get(move.name, []))} A difference smaller than the "
        "half-width of the interval above may be chance; the paired verdict decides.",
        "Risk": move.risk,
    }
    for title, text in sections.items():
        lines += ["", f"# {title}", "", text]
    return "\n".join([*lines, ""])


def expected_gain(move: AnyMove, seen: list[float]) -> str:
    """What the bandit believes of the move, in a sentence."""
    belief = (move.prior + sum(seen)) / (len(seen) + 1)
    ground = f"from {len(seen)} earlier tries here and the prior" if seen else "by the prior alone, untried in this run"
    return f"A gain of {belief:+.3f}, {ground}."


def own_estimate(folder: Path) -> float | None:
    """The mean of `cv_scores` in an agent's execution record; None when it left none."""
    try:
        return Execution.model_validate_json((folder / "agent_execution.json").read_bytes()).mean()
    except (OSError, ValidationError):
        return None
