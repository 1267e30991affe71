"""`python -m sia.author.claude WORKSPACE`: lets Claude write the next target agent."""

import asyncio
import sys
from pathlib import Path

from sia.author.claude.conversation import converse
from sia.author.start import fail, read_start


def main() -> None:
    """One start; the exit status is 0 when Claude ended by itself."""
    start = read_start(Path(sys.argv[1]))
    problem = asyncio.run(converse(start))
    if problem:
        fail(problem)


if __name__ == "__main__":
    main()
