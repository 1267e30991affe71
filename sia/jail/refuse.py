"""Refuses a jail that would give away what it is there to protect."""

from sia.errors import HostError
from sia.jail.protocol import Command


def refuse_protected(command: Command) -> None:
    """Raises HostError, in one line, when a mount would show a protected path; links are followed on both sides."""
    protected = [path.resolve() for path in command.protected]
    for mount in command.mounts:
        place = mount.path.resolve()
        for path in protected:
            if path.is_relative_to(place) or place.is_relative_to(path):
                raise HostError(
                    f"{mount.path} would show {path} to a generated program",
                    "move one of them: what programs see and what they must not see have to lie apart",
                )
