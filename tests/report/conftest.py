"""One real run for all tests that read."""

from pathlib import Path

import pytest

from tests.web.scenery import play_run


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished run of seven generations, one of them failed."""
    return play_run(tmp_path_factory.mktemp("played"), "1", [40, 55, 0, 52, 70, 66, 85])
