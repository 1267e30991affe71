"""The backends by name, and which one a run gets: the first that holds when it is tried. Fails closed."""

import sys
from collections.abc import Mapping

from sia.errors import HostError, UsageError
from sia.jail.bubblewrap import BubblewrapJail
from sia.jail.container import ContainerJail
from sia.jail.landlock import LandlockJail
from sia.jail.namespaces import NamespacesJail
from sia.jail.probe import probe
from sia.jail.process import ProcessJail
from sia.jail.protocol import Jail
from sia.jail.seatbelt import SeatbeltJail

WALLS: Mapping[str, Jail] = {jail.name: jail for jail in (BubblewrapJail(), NamespacesJail(), LandlockJail())}
"""Backends that shut a program in on Linux, the best first."""
ON_REQUEST: Mapping[str, Jail] = {
    jail.name: jail for jail in (ContainerJail("docker"), ContainerJail("podman"), SeatbeltJail())
}
"""Backends that `auto` never takes on Linux; on macOS it takes seatbelt."""


def automatic() -> tuple[Jail, ...]:
    """What `--sandbox auto` tries on this machine, in this order."""
    return (ON_REQUEST["seatbelt"],) if sys.platform == "darwin" else tuple(WALLS.values())


def choose_jail(name: str) -> Jail:
    """The backend `name`, or for `auto` the first that holds.

    Raises UsageError for a name that is none, HostError with the remedy when none holds.
    """
    if name == "none":
        return ProcessJail()
    known = {**WALLS, **ON_REQUEST}
    if name not in ("auto", *known):
        raise UsageError(f"there is no sandbox {name!r}", f"take one of auto, {', '.join(known)}, none")
    failed = []
    for jail in automatic() if name == "auto" else (known[name],):
        found = probe(jail)
        if found.works:
            return jail
        failed.append(f"{found.name}: {found.told}")
    raise HostError(
        f"no sandbox works here ({'; '.join(failed)})",
        "`sia doctor` tells the remedies; `--sandbox none` runs generated programs with all your rights",
    )
