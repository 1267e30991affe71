"""A whole run with the scripted author, as a program that tests can kill: TASK_DIR RUNS_DIR RUN_ID MAX_GEN.

Goes on where it stopped when the run is there. Prints its events as JSON lines.
"""

import sys
from pathlib import Path

from sia.errors import SiaError
from sia.events import Event
from sia.loop import run_generations
from sia.settings import RunSettings
from tests.support import make_session


def main() -> None:
    task_dir, runs_dir, run_id, max_gen = sys.argv[1:]
    settings = RunSettings(
        runs_dir=Path(runs_dir),
        run_id=run_id,
        backend="offline",
        max_gen=int(max_gen),
        resume=(Path(runs_dir) / f"run_{run_id}").is_dir(),
    )

    def emit(event: Event) -> None:
        print(event.model_dump_json(), flush=True)

    try:
        session, record = make_session(Path(task_dir), settings)
        run_generations(session, record, emit)
    except SiaError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
