"""Environments of target agents: built once with uv, else with venv and pip, addressed by what they hold."""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from sia.errors import HostError

READY = ".ready"
RESOLVED = "resolved.txt"
MAX_REQUIREMENTS = 100
_INHERITED = re.compile(
    r"PATH|HOME|TMPDIR|LANG|LC_\w+|LD_LIBRARY_PATH|NETRC|XDG_\w+|PYENV_\w+|UV_\w+|PIP_\w+|SSL_\w+"
    r"|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|\w+_PROXY|\w+_proxy"
)
"""Variables that uv and pip need; the user's keys are not among them."""
_PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}


def cache_dir() -> Path:
    """Where SIA keeps data and environments between runs."""
    if own := os.environ.get("SIA_CACHE_DIR"):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "sia"


def agent_environment(
    packages: Sequence[str],
    on_progress: Callable[[str], None],
    base: Path = Path(sys.executable),
    name: str = "the agents' environment",
    built: Sequence[str] = (),
) -> Path:
    """The interpreter of the environment that holds `packages`; built on the Python `base` when it is not there yet.

    Only wheels are taken, but for the packages `built`, which have none and whose build is trusted.
    Raises HostError when it cannot be built.
    """
    wanted = sorted({str(Requirement(p)) for p in packages})
    key = json.dumps([_full_version(base), sys.platform, platform.machine(), wanted])
    folder = cache_dir() / "environments" / hashlib.sha256(key.encode()).hexdigest()[:24]
    python = folder / "bin" / "python"
    if (folder / READY).exists():
        return python
    try:
        with _lock(folder):
            if not (folder / READY).exists():
                on_progress(f"building {name}: {', '.join(wanted) or 'no packages'}")
                _build(folder, base, wanted, built, on_progress)
    except OSError as error:
        raise HostError(f"cannot write {folder}: {error.strerror}", "free some space, or set SIA_CACHE_DIR") from None
    return python


def resolved_packages(python: Path) -> tuple[str, ...]:
    """What the environment of `python` holds, as `name==version`."""
    file = python.parent.parent / RESOLVED
    return tuple(file.read_text(encoding="utf-8").split("\n")) if file.is_file() else ()


def requirements_of(text: str, file: Path) -> tuple[str, ...]:
    """The requirements in a `requirements.txt` that an agent's author left.

    Raises ValueError for anything but names with versions: options, URLs and paths could reach beyond the index.
    """
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line.split("#", 1)[0].strip()
        if not plain:
            continue
        try:
            requirement = Requirement(plain)
        except InvalidRequirement:
            raise ValueError(f"{file.name} line {number} is not a package with a version") from None
        if requirement.url:
            raise ValueError(f"{file.name} line {number} names a URL; packages come from the index only")
        found.append(str(requirement))
    if len(found) > MAX_REQUIREMENTS:
        raise ValueError(f"{file.name} names more than {MAX_REQUIREMENTS} packages")
    return tuple(found)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _full_version(python: Path) -> str:
    if python == Path(sys.executable):
        return platform.python_version()
    code = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _build(
    folder: Path, base: Path, wanted: Sequence[str], built: Sequence[str], on_progress: Callable[[str], None]
) -> None:
    """Installs `wanted` without running any of it: a model may have chosen it, and nothing shuts this process in.

    So only wheels are taken, and the new environment's Python, which executes `.pth` files, never starts after them.
    """
    python = folder / "bin" / "python"
    uv, environment = find_uv(), {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    shutil.rmtree(folder, ignore_errors=True)
    if uv:
        environment = {**_index_of_pip(), **environment}
        make = [uv, "venv", "--quiet", "--python", str(base), str(folder)]
        install = [uv, "pip", "install", "--python", str(python)]
    else:
        make = [str(base), "-m", "venv", str(folder)]
        install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
    _run(make, environment, on_progress)
    if wanted:
        wheels = ["--only-binary", ":all:", *(f"--no-binary={package}" for package in built)]
        _run([*install, *wheels, *wanted], environment, on_progress)
    places = [str(place) for place in folder.glob("lib/python*/site-packages")]
    # Agents see the environment read-only, and would compile every module at every start.
    compiling = [str(base), "-I", "-m", "compileall", "-qq", "-j", "0", *places]
    subprocess.run(compiling, env=environment, capture_output=True, check=False)
    (folder / RESOLVED).write_text("\n".join(_installed(folder)), encoding="utf-8")
    (folder / READY).touch()


def _installed(folder: Path) -> list[str]:
    """`name==version` of the distributions in the environment, by the names of their `.dist-info` folders."""
    found = []
    for info in folder.glob("lib/python*/site-packages/*.dist-info"):
        with suppress(InvalidWheelFilename):
            name, version, *_ = parse_wheel_filename(f"{info.stem}-py3-none-any.whl")
            found.append(f"{name}=={version}")
    return sorted(found)


def find_uv() -> str | None:
    """The program uv; None where its package did not bring one for this machine."""
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _run(argv: list[str], environment: dict[str, str], on_progress: Callable[[str], None]) -> None:
    last = ""
    with subprocess.Popen(
        argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip():
                last = line.strip()
            # One line for each of a hundred packages tells nobody anything.
            if line.strip() and not line.startswith(" + "):
                on_progress(last)
    if process.returncode:
        raise HostError(
            f"an environment could not be built: {last[:300]}",
            "check the network, the index that pip or uv is set to, and the packages in task.toml",
        )


def _index_of_pip() -> dict[str, str]:
    """The user's pip index in uv's words, unless uv has settings of its own."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "uv" / "uv.toml"
    if own.exists() or any(name in os.environ for name in (*_PIP_TO_UV.values(), "UV_INDEX_URL")):
        return {}
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        variable = _PIP_TO_UV.get(name.rpartition(".")[2])
        places = [p for p in value.strip("'\"").replace("\\n", " ").split() if _reachable(p)]
        if variable and places:
            found[variable] = " ".join(places)
    if found:
        # As pip does: the best version of all indexes, not of the first that has the package.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def _reachable(place: str) -> bool:
    path = place.removeprefix("file://")
    return path.startswith(("http://", "https://")) or Path(path).exists()
