"""An author for tests: leaves what `scripts/gen_N.py` in the task's public folder holds, or the latest before it."""

import sys
from pathlib import Path

from sia.author.brief import AGENT_FILE, BRIEF_FILE, IMPROVEMENT_FILE, Brief


def main() -> None:
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / BRIEF_FILE).read_bytes())
    scripts = brief.task.public_dir / "scripts"
    print(f"writing generation {brief.generation}", flush=True)
    for number in range(brief.generation, 0, -1):
        script = scripts / f"gen_{number}.py"
        if script.exists():
            if script.stat().st_size:
                (workspace / AGENT_FILE).write_bytes(script.read_bytes())
            break
    if brief.parent is not None:
        (workspace / IMPROVEMENT_FILE).write_text(f"Built on generation {brief.parent}.\n")


if __name__ == "__main__":
    main()
