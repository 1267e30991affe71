"""Single-cell denoising: the scores, and cheats that must not pay. A small copy of the task, its own evaluator."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia.author.offline.__main__ import render_agent
from sia.author.offline.kinds.matrix import MATRIX, MatrixRecipe, MatrixSchema, look_at_program
from sia.environment import agent_environment
from sia.jail.choose import choose_jail
from sia.task.catalog import find_bundled
from sia.task.check.attacks import Attack
from sia.task.check.trial import Trial, try_alone
from sia.task.fetch import prepare_task
from sia.task.package import TaskPackage, load_task
from tests.author.test_offline_kinds import brief_of

PUBLIC = find_bundled("scrna-denoising") / "data" / "public"
OWN_CHEATS = PUBLIC.with_name("private") / "cheats"
SMALL: dict[str, Any] = {"seed": "5", "sets": 2, "cells": 400, "genes": 600, "cells_of_an_item": 20, "seconds": 5.0}
HEAD = "import os, sys, time\nimport numpy as np\n"


def module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scrna_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


metrics, simulation = module(PUBLIC / "metrics.py"), module(PUBLIC / "simulate.py")


@pytest.fixture(scope="module")
def python() -> Path:
    task = prepare_task(find_bundled("scrna-denoising"), print)
    return agent_environment(task.manifest.agent.packages, print)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> TaskPackage:
    """The task with smaller data sets; nothing else is changed."""
    whole = prepare_task(find_bundled("scrna-denoising"), print)
    root = tmp_path_factory.mktemp("small") / "scrna-denoising"
    shutil.copytree(whole.root, root, ignore=shutil.ignore_patterns("*.matrix", "__pycache__"))
    sets = root / "data" / "private" / "sets.json"
    sets.write_text(json.dumps(json.loads(sets.read_text()) | SMALL))
    return load_task(root)


def try_program(task: TaskPackage, python: Path, source: str, **beside: str) -> Trial:
    def fill(folder: Path) -> None:
        (folder / "denoise.py").write_text(source)
        for name, text in beside.items():
            (folder / name.replace("__", ".")).write_text(text)

    return try_alone(task, python, choose_jail("auto"), Attack("program", fill))


def program(body: str, before: str = "") -> str:
    """A `denoise.py` whose function has the lines of `body`."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{HEAD}{before}\n\ndef denoise(train, seed, seconds):\n{lines}\n"


def own_cheat(name: str) -> str:
    """A `denoise.py` that comes with the task."""
    return (OWN_CHEATS / name / "denoise.py").read_text()


@pytest.fixture(scope="module")
def honest(small: TaskPackage, python: Path) -> dict[str, Any]:
    """What the honest baseline, a few components of the logarithms, scores."""
    schema = look_at_program(brief_of(small.root))
    source = render_agent(MATRIX, MatrixRecipe(method="low-rank", rank=10), schema, 0)
    trial = try_program(small, python, source)
    assert trial.score is not None, trial.failure
    results: dict[str, Any] = json.loads(trial.results)
    return results


def test_the_honest_baseline_is_scored_with_items_and_an_interval(
    honest: dict[str, Any], small: TaskPackage, python: Path
) -> None:
    assert honest["normalised_mse"] > 0.02
    assert [found["refused"] for found in honest["ranked"]] == [None, None]
    assert [found["name"] for found in honest["not_ranked"]] == ["pbmc68k"]
    assert "normalised_mse" in honest["not_ranked"][0]
    assert len(honest["items"]) == 40
    again = try_program(small, python, program("return train.astype(float)"))
    assert again.score is not None
    assert (again.score.value, again.score.n) == (0.0, 40)


CHEATS = {
    "mean of each gene": "return np.tile(train.mean(axis=0), (len(train), 1))",
    "smaller mass dump": """
whole = train.sum(axis=1, keepdims=True)
return train * 0.9 + 0.1 * whole * (np.arange(train.shape[1]) == train.sum(axis=0).argmax())
""",
    "mass dump on a rare gene": """
whole = train.sum(axis=1, keepdims=True)
return train * 0.4 + 0.6 * whole * (np.arange(train.shape[1]) == train.sum(axis=0).argmin())
""",
    "nothing but zeros": "return np.zeros(train.shape)",
}
REFUSED = {
    "infinite": ("return np.where(train > 0, np.inf, 0.0)", "not finite"),
    "too large to add up": ("return train * 1e300", "above"),
    "cells that hardly add up": ("return train * 1e-320", "adds up to less than 1e-09"),
    "other way round": ("return train.T", "shape"),
    "nothing": ("return None", "shape|raised"),
    "time stolen": ("time.sleep(60)\nreturn train", "took longer than 5 s"),
    "raises": ("raise RuntimeError('no idea')", "no idea"),
    "leaves the process": ("os._exit(0)", "exit status 0"),
    "forges the answer": ("for k in range(3, 10):\n    os.write(k, b'=forged')\nos._exit(0)", "exit status|raised"),
    "says too much": ("while True:\n    os.write(3, bytes(1 << 20))", "not a matrix|raised|longer"),
}
OWN_REFUSED = {"nan": "not finite", "negative": "negative", "wrong-shape": "shape"}
"""Of the cheats that come with the task, those that get no score, with the reason."""
SCORED_PROGRAMS = {name: program(body) for name, body in CHEATS.items()}
SCORED_PROGRAMS |= {p.name: own_cheat(p.name) for p in sorted(OWN_CHEATS.iterdir()) if p.name not in OWN_REFUSED}
REFUSED_PROGRAMS = {name: (program(body), reason) for name, (body, reason) in REFUSED.items()}
REFUSED_PROGRAMS |= {name: (own_cheat(name), reason) for name, reason in OWN_REFUSED.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORED_PROGRAMS)
def test_cheats_score_no_better_than_the_honest_baseline(
    name: str, honest: dict[str, Any], small: TaskPackage, python: Path
) -> None:
    trial = try_program(small, python, SCORED_PROGRAMS[name])
    assert trial.score is not None, trial.failure
    assert trial.score.value <= 0.0 < honest["normalised_mse"]
    reasons = [found["refused"] for found in json.loads(trial.results)["ranked"]]
    assert all(reasons) or trial.score.value < 0.0, reasons


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED_PROGRAMS)
def test_what_is_no_matrix_of_counts_is_refused_with_the_reason(name: str, small: TaskPackage, python: Path) -> None:
    source, reason = REFUSED_PROGRAMS[name]
    trial = try_program(small, python, source)
    assert trial.score is None
    assert trial.failure is not None
    assert trial.failure.startswith("exit status 1: denoise.py on simulated-1: ")
    assert re.search(reason, trial.failure), trial.failure


@pytest.mark.slow
def test_reading_the_evaluator_gains_nothing(small: TaskPackage, python: Path) -> None:
    """Seed, evaluator, results and the evaluator's process: whatever can be read would be left as counts."""
    private = str(small.private_dir)
    before = f"""
def reached():
    places = [{private!r} + "/" + name for name in ("sets.json", "evaluate.py")]
    places += [f"/proc/{{os.getppid()}}/{{name}}" for name in ("environ", "mem", "maps", "cmdline")]
    for place in places:
        try:
            open(place, "rb").read(1)
            return True
        except OSError:
            pass
    for place in ("results.json", "../results.json", os.path.dirname(__file__) + "/results.json"):
        try:
            open(place, "w").write('{{"normalised_mse": 0.99}}')
        except OSError:
            pass
    return False
"""
    trial = try_program(small, python, program("return np.full(train.shape, np.nan) if reached() else train", before))
    assert trial.score is not None, trial.failure
    assert trial.score.value == 0.0


def test_looking_the_held_out_counts_up_succeeds_where_there_is_no_jail(small: TaskPackage, python: Path) -> None:
    generator = np.random.default_rng([int(SMALL["seed"], 16), 1])
    counts = simulation.simulate(generator, SMALL["cells"], SMALL["genes"]).counts
    train, test = metrics.thin(counts, generator)
    cheat = OWN_CHEATS / "held-out-counts-looked-up" / "denoise.py"
    argv = [str(python), str(small.public_dir / "run_denoise.py"), str(cheat), *map(str, train.shape), "1", "5"]
    done = subprocess.run(argv, input=train.astype(np.int32).tobytes(), stdout=subprocess.PIPE, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, offset=1).reshape(train.shape), test)


@pytest.mark.slow
def test_counts_looked_up_by_their_cells_are_of_no_use(small: TaskPackage, python: Path) -> None:
    """The whole of the public data set lies beside the program: only the figure that is not ranked can gain."""
    dump = "from datasets import read_pbmc68k; import json; print(json.dumps(read_pbmc68k().tolist()))"
    done = subprocess.run([str(python), "-c", dump], cwd=small.public_dir, capture_output=True, text=True, check=True)
    body = """
known = np.array(json.load(open(os.path.join(os.path.dirname(__file__), "known.json"))))
if train.shape != known.shape:
    known = np.resize(known, train.shape)
cells = np.argsort(-known.sum(axis=1))[np.argsort(np.argsort(-train.sum(axis=1)))]
genes = np.argsort(-known.sum(axis=0))[np.argsort(np.argsort(-train.sum(axis=0)))]
return train + np.maximum(known[cells][:, genes] - train, 0)
"""
    trial = try_program(small, python, program(body, "import json\n"), known__json=done.stdout)
    assert trial.score is not None, trial.failure
    assert trial.score.value <= 0.0


@pytest.mark.slow
def test_a_process_that_is_left_behind_carries_nothing_on(small: TaskPackage, python: Path) -> None:
    """It would go on computing in the time of the next data set, and tell it what it found."""
    body = """
file = os.path.join(os.environ["HOME"], "carried")
found = [os.path.join(folder, "carried") for folder in ("..", "/tmp", "/dev/shm", os.path.dirname(__file__))]
if any(map(os.path.exists, found)):
    return np.full(train.shape, np.nan)
if os.fork() == 0:
    os.setsid()
    for place in [file, *found]:
        try:
            open(place, "w").write("here")
        except OSError:
            pass
    time.sleep(60)
    os._exit(0)
time.sleep(0.3)
return train
"""
    trial = try_program(small, python, program(body))
    assert trial.score is not None, trial.failure
    assert trial.score.value == 0.0
    assert trial.seconds < 40


def test_the_evaluator_alone_refuses_to_run_a_program(small: TaskPackage, python: Path, tmp_path: Path) -> None:
    shutil.copyfile(PUBLIC / "sample_denoise.py", tmp_path / "denoise.py")
    argv = [str(python), str(small.evaluator), "--gen-dir", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin"})
    assert done.returncode == 1
    assert "inner jail only" in done.stderr
    assert not (tmp_path / "results.json").exists()


def test_real_data_are_integers_of_the_known_shape(python: Path) -> None:
    public = prepare_task(find_bundled("scrna-denoising"), print).public_dir
    code = """
from datasets import *
for counts in (read_pbmc68k(), read_celltypist()):
    print(counts.dtype.kind, *counts.shape, counts.min(), counts.max(), counts.sum())
"""
    done = subprocess.run([str(python), "-c", code], cwd=public, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["i 700 765 0 259 486651", "i 559 9810 0 1448 3619954"]


def drawn(seed: int, cells: int = 60, genes: int = 80) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    train, test = metrics.thin(simulation.simulate(generator, cells, genes).counts, generator)
    return train, test


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**64), factor=st.floats(1e-6, 1e6))
def test_the_ends_of_the_scale_and_a_factor_that_changes_nothing(seed: int, factor: float) -> None:
    train, test = drawn(seed)
    nothing, perfect = metrics.score(train.astype(float), train, test), metrics.score(test.astype(float), train, test)
    assert (nothing.mse, nothing.poisson, nothing.moved) == (0.0, 0.0, 0.0)
    assert perfect.mse == pytest.approx(1.0)
    scaled = metrics.score(train * factor, train, test)
    assert scaled.mse == pytest.approx(0.0, abs=1e-9)
    assert scaled.poisson == pytest.approx(0.0, abs=1e-6)
    assert scaled.refusal()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**64), share=st.floats(0.05, 0.95))
def test_thinning_loses_no_molecule_and_order_changes_no_score(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    counts = simulation.simulate(generator, 40, 50).counts
    train, test = metrics.thin(counts, generator, share)
    assert (train + test == counts).all()
    assert train.min() >= 0
    assert test.min() >= 0
    cells, genes = generator.permutation(40), generator.permutation(50)
    guess = generator.gamma(1.0, 1.0, size=counts.shape)
    before = metrics.score(guess, train, test)
    after = metrics.score(*(matrix[cells][:, genes] for matrix in (guess, train, test)))
    assert after.mse == pytest.approx(before.mse)
    assert after.poisson == pytest.approx(before.poisson)
    assert after.inflation == pytest.approx(before.inflation)


def test_published_gate_lets_a_tiny_matrix_through_and_ours_does_not() -> None:
    train, test = drawn(1, 300, 400)
    for matrix in (train * 0.001, np.full(train.shape, 0.001)):
        scores = metrics.score(matrix, train, test)
        assert scores.published_poisson > 0.9
        assert scores.poisson < metrics.MIN_POISSON


def test_mass_that_is_put_aside_beyond_the_best_honest_program_gains_little(tmp_path: Path) -> None:
    """The guards leave something open: docs/denoising.md says how much, and more is refused."""
    train, test = drawn(0, 500, 3000)
    commonest = np.argsort(np.argsort(-train.sum(axis=0))) < 60
    honest = {}
    for thinned in (False, True):
        file = tmp_path / "denoise.py"
        recipe = MatrixRecipe(method="low-rank", thinned=thinned)
        file.write_text(render_agent(MATRIX, recipe, MatrixSchema(0.1), 0))
        honest[thinned] = module(file).denoise(train, 0, 60.0)
    factors = {False: (2.2, 4.0), True: (1.2, 1.6)}
    powers = {False: (1.2, 1.6), True: (1.05, 1.2)}
    best = metrics.score(honest[True], train, test)
    assert best.refusal() is None
    kept = []
    for thinned, matrix in honest.items():
        scaled = [matrix * np.where(commonest, factor, 1.0) for factor in factors[thinned]]
        some, more = zip(scaled, [matrix**power for power in powers[thinned]], strict=True)
        kept += [scores for each in some if not (scores := metrics.score(each, train, test)).refusal()]
        assert all(metrics.score(each, train, test).refusal() for each in more)
    assert kept
    assert max(scores.mse for scores in kept) - best.mse < 0.05


def test_simulations_are_as_told() -> None:
    """Overdispersed beside Poisson, with more zeros than the expected counts explain, and the truth in expectation."""
    drawn_set = simulation.simulate(np.random.default_rng(5), 800, 300)
    counts, expected = drawn_set.counts, drawn_set.expected
    common = expected.mean(axis=0) > 5
    ratio = counts[:, common].mean(axis=0) / expected[:, common].mean(axis=0)
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)
    errors = ((counts - expected)[:, common] ** 2).mean(axis=0) / expected[:, common].mean(axis=0)
    assert errors.min() > 1.0
    assert (counts == 0).mean() > np.exp(-expected).mean()
    assert np.array_equal(simulation.simulate(np.random.default_rng(5), 800, 300).counts, counts)
