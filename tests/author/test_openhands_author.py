"""The OpenHands author: its real engine with its real tools, in the jail, behind the gateway, and a scripted model."""

import os
import sys
import tomllib
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sia.author.brief import OWN_DIR, REPAIR_FILE, CalledModel
from sia.author.openhands.environment import PACKAGES, VERSIONS, find_python, openhands_python
from sia.author.program import AUTHORS
from tests.author.program import make_workspace, start_program, transcript
from tests.author.runs import start
from tests.author.scenarios import cheat_in_vain, improve_and_survive_kills
from tests.scripted_model import Call, Conversation, Failure, Policy, Reply, serve

ROOT = Path(__file__).parents[2]
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


@needs_python
def test_every_way_to_end_badly_is_told(tmp_path: Path, engine: Path) -> None:
    author = replace(AUTHORS["openhands"], python=engine)
    same, other = Call("terminal", {"command": "echo same"}), "echo {}"
    endings: dict[str, tuple[Policy, dict[str, float]]] = {
        "401": (lambda _: Failure("status", 401), {}),
        "stuck": (lambda _: Reply("", (same,)), {}),
        "limit of 3 turns": (
            lambda c: Reply("", (Call("terminal", {"command": other.format(c.steps)}),)),
            {"max_turns": 3},
        ),
        "no sign of life": (lambda _: Failure("stall"), {"idle_seconds": 4}),
    }

    def ending(words: str) -> tuple[int, str, bool]:
        policy, limits = endings[words]
        folder = tmp_path / words.replace(" ", "_")
        folder.mkdir()
        workspace = make_workspace(folder, "openhands", **limits)
        with serve(policy) as model:
            status, line = start_program(author, workspace, model.url)
        return status, line, transcript(workspace)[-1].failed

    with ThreadPoolExecutor(2) as pool:
        for words, (status, line, failed) in zip(endings, pool.map(ending, endings), strict=True):
            assert (status, failed) == (1, True), line
            assert line.startswith("author: ")
            assert words in line


@needs_python
def test_repair_goes_on_with_the_same_conversation(tmp_path: Path, engine: Path) -> None:
    author = replace(AUTHORS["openhands"], python=engine)
    workspace = make_workspace(tmp_path, "openhands", max_turns=3)
    with serve(lambda c: Reply(f"answer {c.steps}")) as model:
        assert start_program(author, workspace, model.url)[0] == 0
        (workspace / REPAIR_FILE).write_text("It does not parse.")
        assert start_program(author, workspace, model.url)[0] == 0
        assert model.asked[-1].said("Write it.")
        assert model.asked[-1].said("It does not parse.")
    assert [e.text for e in transcript(workspace) if e.kind == "text"] == ["answer 0", "answer 1"]
    assert '"turns":2' in (workspace / OWN_DIR / "conversation.json").read_text()


@needs_python
@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1/responses"), ("openrouter", "/v1/chat/completions")])
def test_the_newer_api_is_for_its_maker_alone(tmp_path: Path, engine: Path, provider: str, path: str) -> None:
    author = replace(AUTHORS["openhands"], python=engine)
    called = CalledModel(name="gpt-5-mini", dialect="openai", provider=provider)
    workspace = make_workspace(tmp_path, "openhands", model=called)
    with serve(lambda _: Reply("done")) as model:
        assert start_program(author, workspace, model.url)[0] == 0
    assert model.paths == {path}


@needs_python
@pytest.mark.parametrize(
    ("dialect", "name", "path"),
    [
        ("anthropic", "claude-haiku-4-5-20251001", "/v1/messages"),
        ("gemini", "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent"),
    ],
)
def test_tools_work_in_the_other_dialects(tmp_path: Path, engine: Path, dialect: str, name: str, path: str) -> None:
    def policy(conversation: Conversation) -> Reply:
        if conversation.steps == 0:
            return Reply("I write.", (Call("terminal", {"command": "echo made > made.txt"}),))
        return Reply("done")

    author = replace(AUTHORS["openhands"], python=engine)
    called = CalledModel.model_validate({"name": name, "dialect": dialect, "provider": dialect})
    workspace = make_workspace(tmp_path, "openhands", model=called)
    with serve(policy) as model:
        status, line = start_program(author, workspace, model.url)
    assert status == 0, line
    assert model.paths == {path}
    assert (workspace / "made.txt").read_text() == "made\n"


def test_the_extra_asks_for_what_the_environment_holds() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [Requirement(line) for line in extras["openhands"]]
    assert [(r.name, r.specifier) for r in wanted] == [(r.name, r.specifier) for r in map(Requirement, PACKAGES)]
    for version in (*VERSIONS, "3.11", "3.14"):
        fits = [r.marker is None or r.marker.evaluate({"python_version": version}) for r in wanted]
        assert fits == [version in VERSIONS] * len(PACKAGES)


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
