"""The authors that can be chosen with `--backend`: each is a program that is given a workspace."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sia.errors import UsageError


@dataclass(frozen=True)
class AuthorProgram:
    """An author: how it is started and what it needs."""

    name: str
    module: str | None
    """Module with a command line `python -m MODULE WORKSPACE`; None: not part of this version."""
    uses_model: bool = False
    """Whether it is a language model, reached through the gateway."""
    seconds: float = 600.0
    """Wall-clock limit for writing one target agent."""

    def argv(self, workspace: Path) -> tuple[str, ...]:
        """The command line for one generation."""
        assert self.module is not None
        return (sys.executable, "-m", self.module, str(workspace))


AUTHORS: Mapping[str, AuthorProgram] = {
    "offline": AuthorProgram("offline", "sia.author.offline"),
    "claude": AuthorProgram("claude", None, uses_model=True),
    "openhands": AuthorProgram("openhands", None, uses_model=True),
}


def choose_author(name: str) -> AuthorProgram:
    """The author called `name`. Raises UsageError with the ways on when it is not there."""
    author = AUTHORS[name]
    if author.module is None:
        raise UsageError(
            f"the {name} backend is not part of this version",
            "`--backend offline` works without a key",
        )
    return author
