"""Environments of agents: what a requirements file may say, and two builders of one environment at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia.environment import agent_environment, requirements_of, resolved_packages
from sia.errors import HostError

FILE = Path("requirements.txt")


def test_names_and_versions_are_taken() -> None:
    text = "numpy>=1.26  # arrays\n\npandas[excel]==2.2.3; python_version >= '3.11'\n"
    assert requirements_of(text, FILE) == ("numpy>=1.26", 'pandas[excel]==2.2.3; python_version >= "3.11"')


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "-e .",
        "-r /etc/passwd",
        "./wheel.whl",
        "/tmp/wheel.whl",
        "evil @ https://example.org/evil.whl",
        "evil @ file:///tmp/evil.whl",
        "git+https://example.org/evil",
        "a package",
    ],
)
def test_nothing_but_the_index_can_be_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"requirements.txt line 2"):
        requirements_of(f"numpy\n{line}\n", FILE)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = requirements_of(text, FILE)
    except ValueError:
        return
    assert all("@" not in requirement for requirement in found)


def test_too_many_packages_are_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        requirements_of("\n".join(f"package-{k}" for k in range(101)), FILE)


@pytest.mark.slow
def test_two_builders_at_once_share_one_whole_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path))
    told: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        pythons = set(pool.map(lambda _: agent_environment(["packaging>=23"], told.append), range(4)))
    (python,) = pythons
    assert sum("building" in line for line in told) == 1
    assert resolved_packages(python)[0].startswith("packaging==")
    subprocess.run([str(python), "-I", "-c", "import packaging"], check=True)
    assert agent_environment(["packaging >= 23"], told.append) == python


@pytest.mark.slow
def test_venv_and_pip_build_where_uv_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("sia.environment.find_uv", lambda: None)
    python = agent_environment(["packaging>=23"], lambda _: None)
    assert any(line.startswith("packaging==") for line in resolved_packages(python))
    subprocess.run([str(python), "-I", "-c", "import packaging"], check=True)


@pytest.mark.slow
def test_two_processes_at_once_share_one_whole_environment(tmp_path: Path) -> None:
    code = (
        "from sia.environment import agent_environment\n"
        "print(agent_environment(['packaging>=23'], lambda line: print('told', line)))"
    )
    environment = os.environ | {"SIA_CACHE_DIR": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0][-1] == told[1][-1]
    assert sum("building" in line for lines in told for line in lines) == 1
    subprocess.run([told[0][-1], "-I", "-c", "import packaging"], check=True)


@pytest.mark.slow
def test_half_built_environment_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path))
    python = agent_environment([], lambda _: None)
    (python.parent.parent / ".ready").unlink()
    python.unlink()
    assert agent_environment([], lambda _: None) == python
    assert subprocess.run([str(python), "-c", "pass"], check=False).returncode == 0


@pytest.mark.slow
def test_unknown_package_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path))
    with pytest.raises(HostError, match="could not be built"):
        agent_environment(["no-such-package-for-sia-tests==9.9"], lambda _: None)
