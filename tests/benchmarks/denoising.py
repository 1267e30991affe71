"""What the methods of the offline author and known cheats score in scrna-denoising, as published and as repaired.

Run as `python -m tests.benchmarks.denoising --seeds 3`: fresh simulations and scanpy's pbmc68k_reduced, each split anew
for every seed, in the environment of the task's agents. The methods are the programs that `sia --backend offline`
writes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np

METHODS = {
    "no denoising": {},
    "kNN, 15 cells": {"method": "neighbours"},
    "log-SVD, k = 15": {"method": "low-rank"},
    "MAGIC-like diffusion": {"method": "diffusion"},
    "thinned log-SVD, k = 15": {"method": "low-rank", "thinned": True},
    "thinned log-SVD, k by own thinning": {"method": "low-rank", "thinned": True, "chosen_rank": True},
}
TRUTH = "the simulation's truth"
COMMONEST = " * np.where(np.argsort(np.argsort(-train.sum(axis=0))) < {genes}, {factor}, 1.0)"
LOW_RANK = "restored(learnt(train, RANK, seed), RANK)"
CHEATS = {
    "counts times 0.001": ("no denoising", "train * 0.001"),
    "a constant matrix of 0.001": ("no denoising", "np.full(train.shape, 0.001)"),
    "each gene's mean": ("no denoising", "np.tile(train.mean(axis=0), (len(train), 1))"),
    "80 % of the mass on one gene": (
        "no denoising",
        "train * 0.2 + 0.8 * (np.arange(train.shape[1]) == train.sum(axis=0).argmax())"
        " * train.sum(axis=1, keepdims=True)",
    ),
    "MAGIC-like, the 30 commonest genes times 5": (
        "MAGIC-like diffusion",
        "diffused(train, seed)" + COMMONEST.format(genes=30, factor=5),
    ),
    "MAGIC-like, the 60 commonest genes times 2.5": (
        "MAGIC-like diffusion",
        "diffused(train, seed)" + COMMONEST.format(genes=60, factor=2.5),
    ),
    "log-SVD, the 60 commonest genes times 2.2": ("log-SVD, k = 15", LOW_RANK + COMMONEST.format(genes=60, factor=2.2)),
    "log-SVD, to the power of 1.3": ("log-SVD, k = 15", LOW_RANK + " ** 1.3"),
    "thinned log-SVD, the 60 commonest genes times 1.2": (
        "thinned log-SVD, k = 15",
        LOW_RANK + COMMONEST.format(genes=60, factor=1.2),
    ),
    "thinned log-SVD, the 60 commonest genes times 1.4": (
        "thinned log-SVD, k = 15",
        LOW_RANK + COMMONEST.format(genes=60, factor=1.4),
    ),
    "thinned log-SVD, to the power of 1.05": ("thinned log-SVD, k = 15", LOW_RANK + " ** 1.05"),
    "thinned log-SVD, to the power of 1.1": ("thinned log-SVD, k = 15", LOW_RANK + " ** 1.1"),
}
"""By name: the method that it is made of, and what it returns."""


def programs(folder: Path) -> list[tuple[str, Path]]:
    """Writes every method and cheat as a `denoise.py` of its own."""
    from sia.author.offline.__main__ import render_agent
    from sia.author.offline.kinds.matrix import MATRIX, MatrixRecipe, MatrixSchema

    schema = MatrixSchema(0.1)
    sources = {name: render_agent(MATRIX, MatrixRecipe.model_validate(r), schema, 0) for name, r in METHODS.items()}
    before = {name: source.split("def denoise(")[0] for name, source in sources.items()}
    for name, (method, expression) in CHEATS.items():
        sources[name] = f"{before[method]}def denoise(train, seed, seconds):\n    return {expression}\n"
    found = []
    for number, (name, source) in enumerate(sources.items()):
        file = folder / f"program_{number}.py"
        file.write_text(source, encoding="utf-8")
        found.append((name, file))
    return found


def measure(public: Path, seeds: int, files: list[str]) -> Iterator[dict[str, object]]:
    """Scores of each program on each data set, in the environment of the agents."""
    sys.path.insert(0, str(public))
    import metrics  # type: ignore[import-not-found]
    from datasets import read_pbmc68k  # type: ignore[import-not-found]
    from run_denoise import load  # type: ignore[import-not-found]
    from simulate import simulate  # type: ignore[import-not-found]

    blood = read_pbmc68k()
    for seed in range(seeds):
        generator = np.random.default_rng([seed, 20261125])
        drawn = simulate(generator)
        for name, counts in (("simulated", drawn.counts), ("pbmc68k", blood)):
            train, test = metrics.thin(counts, generator)
            if name == "simulated":
                scores = metrics.score(drawn.expected, train, test)
                yield {"set": name, "file": TRUTH, "refused": scores.refusal(), **vars(scores)}
            for file in files:
                scores = metrics.score(load(file).denoise(train, seed, 60.0), train, test)
                yield {"set": name, "file": file, "refused": scores.refusal(), **vars(scores)}


def main() -> None:
    """Prints a row for each program: the means over the seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        public, *files = arguments.measure
        for line in measure(Path(public), arguments.seeds, files):
            print(json.dumps(line), flush=True)
        return
    from sia.environment import agent_environment
    from sia.task.catalog import find_bundled
    from sia.task.fetch import prepare_task

    task = prepare_task(find_bundled("scrna-denoising"), print)
    python = agent_environment(task.manifest.agent.packages, print)
    with tempfile.TemporaryDirectory() as folder:
        found = programs(Path(folder))
        argv = [str(python), __file__, "--seeds", str(arguments.seeds), "--measure", str(task.public_dir)]
        argv += [str(file) for _, file in found]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    print("| program | simulated: MSE, Poisson | as published | pbmc68k: MSE, Poisson | as published | the guards |")
    print("|---|---|---|---|---|---|")
    for name, file in [*found, (TRUTH, TRUTH)]:
        cells, refused = [], []
        for place in ("simulated", "pbmc68k"):
            own = [line for line in lines if line["set"] == place and line["file"] == str(file)]
            if not own:
                cells += ["", ""]
                continue
            mse, poisson, published = (fmean(x[k] for x in own) for k in ("mse", "poisson", "published_poisson"))
            cells += [f"{mse:.2f}, {poisson:.2f}", f"{mse:.2f}, {published:.2f}"]
            refused += [line["refused"] for line in own if line["refused"] and place == "simulated"]
        guards = f"refused in {len(refused)} of {arguments.seeds}: {refused[0]}" if refused else "kept"
        print(f"| {name} | {' | '.join(cells)} | {guards} |")


if __name__ == "__main__":
    main()
