"""The OpenHands author: its real engine with its real tools, in the jail, behind the gateway, and a scripted model."""

import os
import sys
import warnings
from pathlib import Path

import pytest

from sia.author.openhands.environment import VERSIONS, find_python, openhands_python
from tests.author.runs import start
from tests.author.scenarios import cheat_in_vain, improve_and_survive_kills
from tests.scripted_model import Reply, serve

PYTHON = find_python()
if PYTHON is None:
    warnings.warn(f"NOT TESTED: OpenHands, for want of Python {' or '.join(VERSIONS)}", stacklevel=1)
pytestmark = [pytest.mark.slow, pytest.mark.openhands]
needs_python = pytest.mark.skipif(PYTHON is None, reason=f"no Python {' or '.join(VERSIONS)} within reach")


@pytest.fixture(scope="module")
def engine() -> Path:
    """Built once; it stays in the user's cache."""
    return openhands_python(print)


@needs_python
@pytest.mark.usefixtures("engine")
def test_three_generations_improve_and_survive_kills_in_every_stage(tmp_path: Path) -> None:
    improve_and_survive_kills("openhands", tmp_path)


@needs_python
@pytest.mark.usefixtures("engine")
def test_cheating_fails_and_is_recorded(tmp_path: Path) -> None:
    cheat_in_vain("openhands", tmp_path)


def test_without_a_fitting_python_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if Path(os.path.realpath(sys.executable)) == PYTHON:
        pytest.skip("SIA itself runs on a Python that OpenHands works with")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    with serve(lambda _: Reply("hello")) as model:
        process = start(tmp_path, model, "openhands", "--task", "spaceship-titanic")
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "needs Python 3.12 or 3.13" in output.splitlines()[-1]
    assert "--backend claude" in output.splitlines()[-1]
