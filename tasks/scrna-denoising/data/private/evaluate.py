"""Scores `denoise.py` in `--gen-dir` on fresh simulations; writes `results.json` there.

The program runs in the inner jail that SIA lends (`SIA_INNER_JAIL`): it gets the train counts through a pipe, and can
read the submission's folder and nothing of the task. `sets.json` beside this file holds the seed.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
PUBLIC = HERE.parent / "public"
sys.path.insert(0, str(PUBLIC))
import metrics  # noqa: E402
from datasets import read_pbmc68k  # noqa: E402
from simulate import simulate  # noqa: E402

PROGRAM = "denoise.py"
MAX_BYTES = 4 << 20
LARGEST = 1e12
"""A count above it is a mistake, and sums of such overflow."""
SMALLEST_TOTAL = 1e-9
"""A cell that adds up to less, and not to 0, cannot be scaled to the total of its train counts."""
MESSAGE_BYTES = 300
TIMED_OUT, REFUSED = 124, 126


def find_program(folder: Path) -> Path:
    """The submission's program. Exits with status 1 and a line when there is none that can be used."""
    program = folder / PROGRAM
    if not program.is_file():
        sys.exit(f"{PROGRAM} is missing")
    if program.stat().st_size > MAX_BYTES:
        sys.exit(f"{PROGRAM} is larger than {MAX_BYTES >> 20} MiB")
    return program


@contextmanager
def own_folder(parent: Path) -> Iterator[Path]:
    """A new folder for one start of the program, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=".denoise-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def denoised_by(program: Path, train: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    """What the program makes of `train`. Raises ValueError, saying what is wrong with it."""
    cells, genes = train.shape
    size = cells * genes * 8
    with own_folder(program.parent) as scratch, tempfile.TemporaryFile(dir=program.parent) as counts:
        counts.write(np.ascontiguousarray(train, dtype=np.int32).tobytes())
        counts.seek(0)
        argv = shlex.split(os.environ["SIA_INNER_JAIL"])
        argv += ["--seconds", str(seconds), "--read", str(program.parent), "--read", str(PUBLIC / "run_denoise.py")]
        argv += ["--write", str(scratch), "--", sys.executable, "-I", str(PUBLIC / "run_denoise.py")]
        argv += [str(program), str(cells), str(genes), str(seed), str(seconds)]
        names = ("PATH", "LANG", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "PYTHONHASHSEED")
        environment = {name: os.environ[name] for name in names if name in os.environ}
        child = subprocess.Popen(
            argv,
            stdin=counts,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=scratch,
            env=environment | {"HOME": str(scratch), "TMPDIR": str(scratch)},
        )
        # One byte more than there may be: what says too much is ended, not read to its end.
        said = child.stdout.read(size + 2)
        if len(said) == size + 2:
            child.terminate()
        child.stdout.close()
        status = child.wait()
    if status == TIMED_OUT:
        raise ValueError(f"took longer than {seconds:g} s")
    if said[:1] == b"!":
        raise ValueError(one_line(said[1:MESSAGE_BYTES]))
    if status == REFUSED:
        raise ValueError("could not be started in the inner jail")
    if status != 0 or len(said) != size + 1 or said[:1] != b"=":
        raise ValueError(f"ended with exit status {status} and {len(said)} bytes, not a matrix")
    matrix = np.frombuffer(said, dtype=np.float64, offset=1).reshape(cells, genes)
    if not np.isfinite(matrix).all():
        raise ValueError("returned values that are not finite")
    if matrix.min() < 0:
        raise ValueError("returned negative values")
    if matrix.max() > LARGEST:
        raise ValueError(f"returned values above {LARGEST:g}")
    totals = matrix.sum(axis=1)
    if ((totals > 0) & (totals < SMALLEST_TOTAL)).any():
        raise ValueError(f"returned a cell that adds up to less than {SMALLEST_TOTAL:g}")
    return matrix


def one_line(message: bytes) -> str:
    """A program's own words, printable."""
    return "".join(c if c.isprintable() else " " for c in message.decode("utf-8", "replace"))


def describe(name: str, scores: metrics.Scores) -> dict[str, object]:
    """One data set in `results.json`."""
    return {
        "name": name,
        "normalised_mse": scores.mse,
        "normalised_poisson": scores.poisson,
        "inflation": scores.inflation,
        "moved": scores.moved,
        "refused": scores.refusal(),
        "as_published": {"normalised_mse": scores.mse, "normalised_poisson": scores.published_poisson},
    }


def score_items(name: str, denoised: np.ndarray, train: np.ndarray, test: np.ndarray, cells: int, most: float) -> list:
    """The normalised mean squared error of each group of `cells` cells, at most `most`."""
    none, errors = metrics.squared_errors(train, test), metrics.squared_errors(denoised, test)
    items = []
    for number, start in enumerate(range(0, len(train), cells), start=1):
        part = slice(start, start + cells)
        value = metrics.normalise(errors[part].mean(), none[part].mean(), 0.0)
        items.append({"id": f"{name}/{number:02d}", "group": name, "score": min(value, most)})
    return items


def recovery(expected: np.ndarray, denoised: np.ndarray, train: np.ndarray) -> float:
    """How much nearer than the train counts the matrix is to the truth: 1 for the truth itself, 0 for no nearer."""
    return metrics.normalise(
        metrics.squared_errors(denoised, expected).mean(), metrics.squared_errors(train, expected).mean(), 0.0
    )


def development(program: Path, generator: np.random.Generator, seconds: float) -> dict[str, object]:
    """The public blood cells, thinned anew, with cells and genes in an order of their own; no failure counts here."""
    counts = read_pbmc68k()
    counts = counts[generator.permutation(counts.shape[0])][:, generator.permutation(counts.shape[1])]
    train, test = metrics.thin(counts, generator)
    try:
        return describe("pbmc68k", metrics.score(denoised_by(program, train, 0, seconds), train, test))
    except ValueError as error:
        return {"name": "pbmc68k", "refused": str(error)}


def main() -> None:
    """Writes the ranked score with its items, and beside it what was published and the development set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir.resolve()
    program = find_program(folder)
    if "SIA_INNER_JAIL" not in os.environ:
        sys.exit(f"{PROGRAM} is run in an inner jail only: let SIA start this evaluator")
    settings = json.loads((HERE / "sets.json").read_text(encoding="utf-8"))
    secret, seconds = int(settings["seed"], 16), settings["seconds"]
    sets, items, name = [], [], ""
    try:
        for number in range(1, settings["sets"] + 1):
            name, generator = f"simulated-{number}", np.random.default_rng([secret, number])
            drawn = simulate(generator, settings["cells"], settings["genes"])
            train, test = metrics.thin(drawn.counts, generator)
            denoised = denoised_by(program, train, number, seconds)
            scores = metrics.score(denoised, train, test)
            if not np.isfinite([scores.mse, scores.poisson, scores.published_poisson]).all():
                raise ValueError("cannot be scored: a loss is not finite")
            sets.append(describe(name, scores) | {"recovery_of_the_truth": recovery(drawn.expected, denoised, train)})
            most = 0.0 if scores.refusal() else 1.0
            items += score_items(name, denoised, train, test, settings["cells_of_an_item"], most)
    except ValueError as error:
        sys.exit(f"{PROGRAM} on {name}: {error}")
    value = float(np.mean([item["score"] for item in items]))
    results = {
        "normalised_mse": value,
        "ranked": sets,
        "not_ranked": [development(program, np.random.default_rng([secret, 0]), seconds)],
        "items": items,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1, allow_nan=False), encoding="utf-8")
    print(f"normalised MSE {value:.4f} over {len(sets)} data sets")


if __name__ == "__main__":
    main()
