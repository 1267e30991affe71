"""What the offline author reaches with a small model, generation by generation, on all items of runs that have ended.

`python -m tests.benchmarks.offline --runs-dir runs RUN...`: the move of each generation, the share of right answers on
all items (dev and sealed) with its interval, seconds, the strongest move by itself, and what an answer drawn at random
from the options scores.
"""

import argparse
import json
from pathlib import Path

from sia.author.brief import STATE_FILE
from sia.score.intervals import wilson_interval
from sia.score.results import Results, read_results
from sia.store.catalog import generations_of
from sia.store.run_directory import RESULTS_FILE, read_run_record

CHANCE = {"gpqa": 1 / 4, "lawbench": 1 / 191, "longcot-chess": 0.0, "spaceship-titanic": 1 / 2}


def right_of(folder: Path) -> tuple[int, int]:
    """Right answers and items, dev and sealed together. Raises ValueError for an evaluator without items."""
    results = read_results(folder / RESULTS_FILE)
    if not isinstance(results, Results) or not results.items:
        raise ValueError(f"{folder} has no items")
    return round(sum(item.score for item in results.items)), len(results.items)


def main() -> None:
    """Prints a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("runs", nargs="+")
    arguments = parser.parse_args()
    for name in arguments.runs:
        run = arguments.runs_dir / f"run_{name}"
        record = read_run_record(run)
        print(f"\n{record.task}, {record.task_model}, seed {record.seed}; chance {CHANCE[record.task]:.4f}\n")
        print("| generation | move | built on | all items | 95 % interval | seconds |\n|---|---|---|---|---|---|")
        gains: dict[str, float] = {}
        values: dict[int, float] = {}
        for generation in generations_of(run):
            folder = run / f"gen_{generation.generation}"
            move = json.loads((folder / STATE_FILE).read_text())["move"] or "first agent"
            seconds = sum(generation.seconds.values())
            built = generation.parent or "-"
            if generation.score is None:
                print(f"| {generation.generation} | {move} | {built} | failed | - | {seconds:.0f} |")
                continue
            right, n = right_of(folder)
            interval = wilson_interval(right, n)
            values[generation.generation] = right / n
            if generation.parent:
                gains[move] = right / n - values[generation.parent]
            told = f"{right / n:.4f} ({right} of {n}) | {interval.low:.3f} to {interval.high:.3f}"
            print(f"| {generation.generation} | {move} | {built} | {told} | {seconds:.0f} |")
        if gains:
            best = max(gains, key=lambda move: gains[move])
            print(f"\nThe strongest single move is {best}: {gains[best]:+.4f} on all items.")


if __name__ == "__main__":
    main()
