"""`python -m sia.author.offline WORKSPACE`: writes the next target agent for a tabular task."""

import random
import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sia.author import brief as contract
from sia.author.brief import Brief
from sia.author.offline.recipe import MOVES, Move, Recipe
from sia.author.offline.schema import NotTabular, Schema, infer_schema
from sia.evidence.context import describe_score


class State(BaseModel):
    """The author's memory, handed from generation to generation."""

    model_config = ConfigDict(extra="forbid")

    recipe: Recipe = Recipe()
    move: str | None = None
    rewards: dict[str, list[float]] = {}
    tried: list[Recipe] = []


class Execution(BaseModel):
    """What this author reads of an agent's `agent_execution.json`."""

    cv_scores: tuple[float, ...] = Field(min_length=1)

    def mean(self) -> float:
        """Of the folds."""
        return sum(self.cv_scores) / len(self.cv_scores)


def main() -> None:
    """Reads the brief, chooses a move, writes the agent and the reasons."""
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / contract.BRIEF_FILE).read_bytes())
    try:
        schema = infer_schema(brief.task.public_dir)
    except NotTabular as error:
        sys.exit(f"offline author: {error}; it works on tabular tasks: train.csv, test.csv, sample_submission.csv")
    parent = read_state(workspace / contract.PARENT_DIR)
    latest = read_state(workspace / contract.PREVIOUS_DIR) or parent or State()
    learn(latest, brief)
    base = parent.recipe if parent else Recipe()
    move = choose_move(base, latest, schema, brief) if brief.parent is not None else None
    recipe = move.apply(base) if move else base
    name = move.name if move else None
    state = State(recipe=recipe, move=name, rewards=latest.rewards, tried=[*latest.tried, recipe])
    (workspace / contract.AGENT_FILE).write_text(render_agent(recipe, schema, brief), encoding="utf-8")
    (workspace / contract.STATE_FILE).write_text(state.model_dump_json(indent=1), encoding="utf-8")
    if brief.parent is not None:
        improvement = explain(move, state, brief, schema, own_estimate(workspace / contract.PARENT_DIR))
        (workspace / contract.IMPROVEMENT_FILE).write_text(improvement, encoding="utf-8")
    print(f"generation {brief.generation}: {move.name if move else 'first agent'}", flush=True)


def read_state(folder: Path) -> State | None:
    """The state that lies in a generation's folder; None when there is none that can be used."""
    try:
        return State.model_validate_json((folder / contract.STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def learn(state: State, brief: Brief) -> None:
    """Rewards the latest move with the change of the dev score; a failure is a loss."""
    if not (state.move and brief.history):
        return
    latest = brief.history[-1]
    reward = -0.05 if latest.score is None else (latest.verdict.difference or 0.0)
    state.rewards.setdefault(state.move, []).append(reward)


def choose_move(base: Recipe, state: State, schema: Schema, brief: Brief) -> Move | None:
    """Thompson sampling (W. R. Thompson, 1933, Biometrika 25:285) over the moves that lead to an untried recipe.

    The belief in a move's gain is normal: its prior counts as one observation. None when nothing is left to try.
    """
    generator = random.Random(f"{brief.seed}/{brief.generation}")
    open_moves = [m for m in MOVES if m.applies(schema) and m.apply(base) not in state.tried]
    if not open_moves:
        return None

    def draw(move: Move) -> float:
        seen = state.rewards.get(move.name, [])
        n = len(seen) + 1
        return generator.gauss((move.prior + sum(seen)) / n, 0.004 / n**0.5)

    return max(open_moves, key=draw)


def render_agent(recipe: Recipe, schema: Schema, brief: Brief) -> str:
    """The source of the target agent."""
    environment = Environment(
        loader=PackageLoader("sia.author.offline", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("target_agent.py.j2").render(recipe=recipe, schema=schema, seed=brief.seed)


def explain(move: Move | None, state: State, brief: Brief, schema: Schema, cv: float | None) -> str:
    """`improvement.md` in words; `cv` is what the parent measured by itself on the training rows."""
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
        "Hypothesis": f"{move.hypothesis} {move.evidence(schema)}",
        "Change": f"{move.name}: {change}.",
        "Expected effect": f"{expected_gain(move, state.rewards.get(move.name, []))} A difference smaller than the "
        "half-width of the interval above may be chance; the paired verdict decides.",
        "Risk": move.risk,
    }
    for title, text in sections.items():
        lines += ["", f"# {title}", "", text]
    return "\n".join([*lines, ""])


def expected_gain(move: Move, seen: list[float]) -> str:
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


if __name__ == "__main__":
    main()
