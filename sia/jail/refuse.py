"""Refuses a jail that would give away what it is there to protect."""

import sys
from pathlib import Path

from sia.errors import HostError
from sia.jail.layout import stage_python, system_folders
from sia.jail.protocol import Command


def refuse_protected(command: Command) -> None:
    """Raises HostError, in one line, when a mount would show a protected path; links are followed on both sides."""
    protected = [path.resolve() for path in command.protected]
    for mount in command.mounts:
        place = mount.path.resolve()
        for path in protected:
            if path.is_relative_to(place) or place.is_relative_to(path):
                raise _refusal(mount.path, path)
    # What every jail shows of the machine; there the run itself, known by its log, must not lie either.
    for shown in (*map(Path, system_folders()), Path(sys.base_prefix), stage_python()):
        place = shown.resolve()
        for path in (*protected, command.log.resolve()):
            if path.is_relative_to(place):
                raise _refusal(shown, path)


def _refusal(shown: Path, path: Path) -> HostError:
    return HostError(
        f"{shown} would show {path} to a generated program",
        "move one of them: what programs see and what they must not see have to lie apart",
    )
