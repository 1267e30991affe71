"""The authors that can be chosen with `--backend`: each is a program that is given a workspace."""

import os
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
    key: str | None = None
    """Environment variable with the API key that it cannot do without."""
    seconds: float = 600.0
    """Wall-clock limit for writing one target agent."""

    def argv(self, workspace: Path) -> tuple[str, ...]:
        """The command line for one generation."""
        assert self.module is not None
        return (sys.executable, "-m", self.module, str(workspace))


AUTHORS: Mapping[str, AuthorProgram] = {
    "offline": AuthorProgram("offline", "sia.author.offline"),
    "claude": AuthorProgram("claude", None, key="ANTHROPIC_API_KEY"),
    "openhands": AuthorProgram("openhands", None, key="LLM_API_KEY"),
}


def choose_author(name: str, environment: Mapping[str, str] = os.environ) -> AuthorProgram:
    """The author called `name`, ready to work. Raises UsageError with the ways on when it lacks something."""
    author = AUTHORS[name]
    if author.key and not environment.get(author.key):
        raise UsageError(
            f"the {name} backend needs an API key and {author.key} is not set",
            f"three ways on: `export {author.key}=...`; take another author with its own key, `--backend "
            f"{'openhands' if name == 'claude' else 'claude'}`; or run without any key, `--backend offline` "
            "(spaceship-titanic, lawbench, longcot-chess, gpqa, and tasks of their kinds)",
        )
    if author.module is None:
        raise UsageError(
            f"the {name} backend is not part of this version",
            "`--backend offline` works without a key",
        )
    return author
