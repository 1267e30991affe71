"""Environments of agents: what a requirements file may say, and two builders of one environment at once."""

import os
import subprocess
import sys
import tarfile
import zipfile
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


def _hostile_index(folder: Path, mark: Path) -> None:
    """A wheel and a source distribution that run code as soon as a Python starts beside them, or builds them."""
    code = f"import os; open({str(mark)!r}, 'w').write(os.environ.get('A_KEY', 'no key'))\n"
    metadata = "Metadata-Version: 2.1\nName: hostile-{}\nVersion: 1.0\n"
    with zipfile.ZipFile(folder / "hostile_wheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("hostile.pth", code)
        wheel.writestr("hostile_wheel.py", "VALUE = 1\n")
        wheel.writestr("hostile_wheel-1.0.dist-info/METADATA", metadata.format("wheel"))
        wheel.writestr(
            "hostile_wheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        names = (
            "hostile.pth",
            "hostile_wheel.py",
            *(f"hostile_wheel-1.0.dist-info/{n}" for n in ("METADATA", "WHEEL")),
        )
        wheel.writestr("hostile_wheel-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    source = folder / "hostile_source-1.0"
    source.mkdir()
    (source / "setup.py").write_text(
        f"{code}from setuptools import setup\nsetup(name='hostile-source', version='1.0')\n"
    )
    (source / "PKG-INFO").write_text(metadata.format("source"))
    with tarfile.open(folder / "hostile_source-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)


@pytest.mark.parametrize("with_uv", [True, False])
@pytest.mark.slow
def test_building_runs_nothing_of_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_uv: bool
) -> None:
    links, mark = tmp_path / "links", tmp_path / "mark"
    links.mkdir()
    _hostile_index(links, mark)
    for name, value in {"SIA_CACHE_DIR": tmp_path / "cache", "UV_FIND_LINKS": links, "PIP_FIND_LINKS": links}.items():
        monkeypatch.setenv(name, str(value))
    for name in ("UV_NO_INDEX", "PIP_NO_INDEX"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("A_KEY", "the user's key")
    if not with_uv:
        monkeypatch.setattr("sia.environment.find_uv", lambda: None)
    python = agent_environment(["hostile-wheel"], lambda _: None)
    assert "hostile-wheel==1.0" in resolved_packages(python)
    assert list(python.parent.parent.glob("lib/python*/site-packages/__pycache__/hostile_wheel.*.pyc"))
    with pytest.raises(HostError, match="could not be built"):
        agent_environment(["hostile-source"], lambda _: None)
    assert not mark.exists()
    subprocess.run([str(python), "-c", "import hostile_wheel"], check=True)
    assert mark.exists()


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
