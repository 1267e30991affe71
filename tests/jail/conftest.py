"""The backends that work on this machine."""

from functools import cache

import pytest

from sia.jail.choose import WALLS
from sia.jail.probe import Probe, probe
from sia.jail.process import ProcessJail
from sia.jail.protocol import Jail


@cache
def probed(name: str) -> Probe:
    return probe(WALLS[name])


@pytest.fixture(scope="module", params=list(WALLS))
def wall(request: pytest.FixtureRequest) -> Jail:
    """Each backend that shuts programs in."""
    if not probed(request.param).works:
        pytest.skip(f"{request.param} does not work here: {probed(request.param).told}")
    return WALLS[request.param]


@pytest.fixture(scope="module", params=["none", *WALLS])
def any_jail(request: pytest.FixtureRequest) -> Jail:
    """Each backend, the plain one included."""
    if request.param == "none":
        return ProcessJail()
    if not probed(request.param).works:
        pytest.skip(f"{request.param} does not work here: {probed(request.param).told}")
    return WALLS[request.param]
