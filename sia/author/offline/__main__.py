"""`python -m sia.author.offline WORKSPACE`: writes the next target agent."""

import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sia.author import brief as contract
from sia.author.brief import Brief
from sia.author.decision import Decision
from sia.author.offline.bandit import State, choose_move, learn, read_state
from sia.author.offline.grammar import AnyKind, AnyMove, NotOfThisKind, Recipe
from sia.author.offline.improvement import explain, own_estimate
from sia.author.offline.kinds import find_kind
from sia.score.model import Lever
from sia.weights.plan import EXAMPLES_FILE


def main() -> None:
    """Reads the brief, chooses a move, writes the agent and the reasons."""
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / contract.BRIEF_FILE).read_bytes())
    try:
        kind, schema = find_kind(brief)
        first = kind.first(brief)
    except NotOfThisKind as error:
        sys.exit(f"offline author: {error}")
    parent = read_state(workspace / contract.PARENT_DIR, kind)
    latest = read_state(workspace / contract.PREVIOUS_DIR, kind) or parent or State(kind=kind.name, recipe={})
    learn(latest, brief)
    base = kind.recipe.model_validate(parent.recipe) if parent else first
    move = choose_move(kind, base, latest, schema, brief) if brief.parent is not None else None
    recipe = move.apply(base) if move else base
    name, dumped = move.name if move else None, recipe.model_dump(mode="json")
    state = State(kind=kind.name, recipe=dumped, move=name, rewards=latest.rewards, tried=[*latest.tried, dumped])
    (workspace / contract.AGENT_FILE).write_text(render_agent(kind, recipe, schema, brief.seed), encoding="utf-8")
    (workspace / contract.STATE_FILE).write_text(state.model_dump_json(indent=1), encoding="utf-8")
    if brief.focus != "harness" and brief.parent is not None:
        decide(kind, move, recipe, schema, brief, workspace)
    if brief.parent is not None:
        improvement = explain(move, state, brief, schema, own_estimate(workspace / contract.PARENT_DIR))
        (workspace / contract.IMPROVEMENT_FILE).write_text(improvement, encoding="utf-8")
    print(f"generation {brief.generation}: {name or 'first agent'}", flush=True)


def decide(kind: AnyKind, move: AnyMove | None, recipe: Recipe, schema: object, brief: Brief, workspace: Path) -> None:
    """`decision.json`, and where the weights are to change what they are trained on."""
    again = move is None and brief.focus == "weights"
    lever: Lever = move.lever if move else "weights" if again else "harness"
    reason = f"{move.name}: {move.hypothesis} {move.evidence(schema)}".rstrip() if move else "nothing is left to try"
    plan = None
    if lever != "harness" and kind.plan and kind.examples:
        past = next((past for past in brief.history if past.generation == brief.parent), None)
        # Words that the adapter has not read need one that begins anew.
        adapter = past.adapter if past and move and lever == "weights" and "rounds" in move.needs else None
        plan = kind.plan(recipe, schema, brief, adapter)
        if again:
            reason += " but another draw of the rows, and another order of them"
            plan = plan.model_copy(update={"seed": brief.seed + brief.generation})
        kind.examples(workspace / contract.AGENT_FILE, schema, brief.task.public_dir, workspace / EXAMPLES_FILE)
    decision = Decision(lever=lever, reason=reason, training=plan)
    (workspace / contract.DECISION_FILE).write_text(decision.model_dump_json(indent=1), encoding="utf-8")


def render_agent(kind: AnyKind, recipe: Recipe, schema: object, seed: int) -> str:
    """The source of the target agent."""
    environment = Environment(
        loader=PackageLoader("sia.author.offline", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(kind.template).render(recipe=recipe, schema=schema, seed=seed)


if __name__ == "__main__":
    main()
