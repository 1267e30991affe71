"""Real tables in the form in which Kaggle hands out competitions; from data that ship with installed packages."""

import importlib
import inspect
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_diabetes, load_wine

MODULES = ("json", "logging", "shutil", "statistics", "subprocess", "tarfile", "textwrap", "unittest", "zipfile")


def write(folder: Path, train: pd.DataFrame, test: pd.DataFrame, sample: pd.DataFrame) -> Path:
    """The three tables as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("train", train), ("test", test), ("sample_submission", sample)):
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def diabetes(folder: Path) -> Path:
    """A regression: 442 patients, how far their illness went on within a year."""
    frame = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "Progression"})
    frame.insert(0, "Id", range(1001, 1001 + len(frame)))
    train, test = frame[:400], frame[400:].drop(columns="Progression")
    return write(folder, train, test, test[["Id"]].assign(Progression=152.1))


def diabetes_by(folder: Path, column: str, values: list[str]) -> Path:
    """The patients with a column more, whose values come in runs: what the test table has the training table lacks."""
    diabetes(folder)
    each = -(-442 // len(values))
    given = [values[k // each] for k in range(442)]
    cut = 400 // each * each
    tables = [pd.read_csv(folder / f"{name}.csv") for name in ("train", "test", "sample_submission")]
    patients = pd.concat(tables[:2]).assign(**{column: given})
    train, test = patients[:cut], patients[cut:].drop(columns="Progression")
    return write(folder, train.sample(frac=1, random_state=1), test, test[["Id"]].assign(Progression=152.1))


def docstrings(folder: Path) -> Path:
    """Several classes and free text: functions and classes of the standard library; which module is each from?"""
    rows = []
    for module in MODULES:
        package = importlib.import_module(module)
        for name, thing in sorted(vars(package).items()):
            # Of `unittest` and `tarfile` some names are imported; their text would be the answer's twice.
            if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__.split(".")[0] == module:
                lines = (inspect.getdoc(thing) or "").splitlines()
                kind = "class" if inspect.isclass(thing) else "function"
                rows.append((f"{name} of {len(rows)}", kind, len(lines), "\n".join(lines[:8]), module))
    frame = pd.DataFrame(rows, columns=["name", "kind", "lines", "doc", "module"]).sample(frac=1, random_state=3)
    cut = int(len(frame) * 0.85)
    train, test = frame[:cut], frame[cut:].drop(columns="module")
    return write(folder, train, test, test[["name"]].assign(module=MODULES[0]))


def wine(folder: Path) -> Path:
    """Three classes, and the answer is a probability for each."""
    frame = load_wine(as_frame=True).frame.sample(frac=1, random_state=0)
    frame["target"] = frame["target"].map({0: "barolo", 1: "grignolino", 2: "barbera"})
    frame.insert(0, "bottle", [f"b{k}" for k in range(len(frame))])
    train, test = frame[:150], frame[150:].drop(columns="target")
    sample = test[["bottle"]].assign(barbera=0.3, barolo=0.3, grignolino=0.4)
    return write(folder, train, test, sample)


def zipped(folder: Path) -> bytes:
    """A folder's files as Kaggle bundles them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return buffer.getvalue()


def prepare(cwd: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`python -m sia.prepare mlebench-dataset` in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "sia.prepare", "mlebench-dataset", *arguments],
        cwd=cwd,
        env=surroundings(cwd, **environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def surroundings(cwd: Path, **environment: str) -> dict[str, str]:
    """Variables of a user who has nothing but a home."""
    return {"PATH": os.environ["PATH"], "HOME": str(cwd), "SIA_CACHE_DIR": str(cwd / "cache"), **environment}


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The error of a command that failed as commands should."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("sia: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr
