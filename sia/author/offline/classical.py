"""`python -m sia.author.offline.classical WORKSPACE`: the classical agent that a model's answers are held against.

It takes the task as if any answer would do, and its kind's own best recipe. Exit status 1, with the reason on stderr,
where there is none.
"""

import sys
from pathlib import Path

from sia.author import brief as contract
from sia.author.brief import Brief
from sia.author.offline.__main__ import render_agent
from sia.author.offline.grammar import NotOfThisKind
from sia.author.offline.kinds import find_kind


def main() -> None:
    """Reads the brief and writes the agent."""
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / contract.BRIEF_FILE).read_bytes())
    free = brief.task.model_copy(update={"answers": "any"})
    brief = brief.model_copy(update={"task": free, "task_model": None})
    try:
        kind, schema = find_kind(brief)
    except NotOfThisKind as error:
        sys.exit(f"no classical agent: {error}")
    if kind.classical is None:
        sys.exit(f"no classical agent for {kind.name}")
    agent = render_agent(kind, kind.classical, schema, brief.seed)
    (workspace / contract.AGENT_FILE).write_text(agent, encoding="utf-8")


if __name__ == "__main__":
    main()
