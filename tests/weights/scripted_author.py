"""An author for tests: leaves the files of `scripts/gen_N/` in the task's public folder, the agent of the first else.

In `decision.json` the word PARENT_ADAPTER stands for the digest of the adapter that the parent ran with. `APART` keeps
the halves of a value apart that the public folder must not hold; the author joins them.
"""

import shutil
import sys
from pathlib import Path

from sia.author.brief import AGENT_FILE, BRIEF_FILE, DECISION_FILE, IMPROVEMENT_FILE, Brief

APART = "@@"


def main() -> None:
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / BRIEF_FILE).read_bytes())
    scripts = brief.task.public_dir / "scripts"
    shutil.copyfile(scripts / "gen_1" / AGENT_FILE, workspace / AGENT_FILE)
    for file in sorted((scripts / f"gen_{brief.generation}").glob("*")):
        shutil.copyfile(file, workspace / file.name)
    for file in workspace.glob("*.jsonl"):
        file.write_text(file.read_text().replace(APART, ""))
    decision = workspace / DECISION_FILE
    if decision.exists():
        parent = next((past.adapter for past in brief.history if past.generation == brief.parent), None)
        decision.write_text(decision.read_text().replace("PARENT_ADAPTER", parent or ""))
    if brief.parent is not None:
        (workspace / IMPROVEMENT_FILE).write_text(f"Built on generation {brief.parent}.\n")


if __name__ == "__main__":
    main()
