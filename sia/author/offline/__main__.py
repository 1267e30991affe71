"""`python -m sia.author.offline WORKSPACE`: writes the next target agent."""

import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from sia.author import brief as contract
from sia.author.brief import Brief
from sia.author.offline.bandit import State, choose_move, learn, read_state
from sia.author.offline.grammar import AnyKind, NotOfThisKind, Recipe
from sia.author.offline.improvement import explain, own_estimate
from sia.author.offline.kinds import find_kind


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
    if brief.parent is not None:
        improvement = explain(move, state, brief, schema, own_estimate(workspace / contract.PARENT_DIR))
        (workspace / contract.IMPROVEMENT_FILE).write_text(improvement, encoding="utf-8")
    print(f"generation {brief.generation}: {name or 'first agent'}", flush=True)


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
