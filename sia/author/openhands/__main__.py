"""`python -m sia.author.openhands WORKSPACE`: lets an OpenHands agent write the next target agent.

Runs in an environment of its own, see `environment.py` beside it; of SIA it imports only what needs pydantic alone.
"""

import os
import sys
from pathlib import Path

from sia.author.start import Start, fail, read_start


def main() -> None:
    """One start; the exit status is 0 when the agent finished by itself."""
    start = read_start(Path(sys.argv[1]))
    prepare(start)
    from sia.author.openhands.conversation import converse

    problem = converse(start)
    sys.stdout.flush()
    if problem:
        fail(problem)


def prepare(start: Start) -> None:
    """What has to be set before OpenHands is imported: a home of its own, no prices from the network, no chatter."""
    os.environ |= {
        "HOME": str(start.home),
        "TMPDIR": str(start.temporary),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENHANDS_SUPPRESS_BANNER": "1",
        "LOG_LEVEL": "ERROR",
    }


if __name__ == "__main__":
    main()
