"""The authors that can be chosen with `--backend`: each is a program that is given a workspace."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sia.errors import UsageError

BOOT = Path(__file__).with_name("boot.py")


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
    needs_terminal: bool = False
    """Whether its tools open terminals."""
    seconds: float = 600.0
    """Wall-clock limit for one start."""
    python: Path = Path(sys.executable)
    """Interpreter of the environment that it runs in."""

    def argv(self, workspace: Path) -> tuple[str, ...]:
        """The command line for one generation."""
        return (str(self.python), "-P", str(BOOT), self.module, str(workspace))


AUTHORS: Mapping[str, AuthorProgram] = {
    "offline": AuthorProgram("offline", "sia.author.offline"),
    "claude": AuthorProgram("claude", "sia.author.claude", uses_model=True, dialect="anthropic", seconds=1800.0),
    "openhands": AuthorProgram(
        "openhands", "sia.author.openhands", uses_model=True, needs_terminal=True, seconds=1800.0
    ),
}


def check_sandbox(author: AuthorProgram, sandbox: str) -> None:
    """Raises UsageError when the author cannot work in this sandbox."""
    if author.needs_terminal and sandbox == "landlock":
        raise UsageError(
            f"the {author.name} backend opens terminals, and the landlock sandbox has none",
            "install bubblewrap or allow user namespaces; or take `--backend claude`",
        )


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
