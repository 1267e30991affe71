"""The authors that can be chosen with `--backend`: each is a program that is given a workspace."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sia.errors import UsageError

_RUN = "import runpy, sys; sys.path.append({0!r}); runpy.run_module({1!r}, run_name='__main__', alter_sys=True)"
"""Runs a module of this package. Behind all others on the path, so that the interpreter's own packages come first."""


@dataclass(frozen=True)
class AuthorProgram:
    """An author: how it is started and what it needs."""

    name: str
    module: str
    """Module with a command line `python -m MODULE WORKSPACE`."""
    uses_model: bool = False
    """A language model writes, reached through the gateway: what it leaves is checked, and it may repair that once."""
    dialect: str | None = None
    """The only one that it speaks to its model; None: all."""
    seconds: float = 600.0
    """Wall-clock limit for one start."""
    python: Path = Path(sys.executable)
    """Interpreter of the environment that it runs in."""

    def argv(self, workspace: Path) -> tuple[str, ...]:
        """The command line for one generation."""
        import sia

        run = _RUN.format(str(Path(sia.__file__).parent.parent), self.module)
        return (str(self.python), "-c", run, str(workspace))


AUTHORS: Mapping[str, AuthorProgram] = {
    "offline": AuthorProgram("offline", "sia.author.offline"),
    "claude": AuthorProgram("claude", "sia.author.claude", uses_model=True, dialect="anthropic", seconds=1800.0),
    "openhands": AuthorProgram("openhands", "sia.author.openhands", uses_model=True, seconds=1800.0),
}


def choose_author(name: str, on_progress: Callable[[str], None]) -> AuthorProgram:
    """The author called `name`, with the packages that it needs, built when they are not there yet.

    Raises UsageError when they cannot be had here, HostError when they cannot be built.
    """
    author = AUTHORS[name]
    if author.name == "claude" and importlib.util.find_spec("claude_agent_sdk") is None:
        raise UsageError(
            "the claude backend needs the Claude Agent SDK, which is not installed",
            "`pip install 'sia-agent[claude]'`; or `--backend offline`, which needs nothing",
        )
    if author.name == "openhands":
        from sia.author.openhands.environment import openhands_python

        return replace(author, python=openhands_python(on_progress))
    return author
