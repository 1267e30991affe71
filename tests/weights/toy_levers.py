"""Two toy tables for the offline author: one where only the weights can win, one where only the harness can.

weights    Each row is a plain word that the model reads; which word has which label it has never learnt. Labels
           alternate in the order of the model's leaning, so that no cut between the two parts them.
harness    The model has learnt the labels of the words. In the table a word is joined to a number of its own, and the
           model does not know one such value: no training on it can tell rows apart. Written out in parts, it can.

Run as a program, `python -m tests.weights.toy_levers [--seeds 10]`, it counts how often `--focus auto` finds the lever
that wins, over seeds.
"""

import argparse
import csv
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sia.author.program import AUTHORS
from sia.store.catalog import generations_of
from sia.store.records import GenerationRecord
from tests.weights.play import make_settings, play_toy
from tests.weights.toy import ANSWERS, WORDS, leaning, make_base, teach

EVALUATOR = """
import argparse, csv, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = {r["id"]: r["label"] for r in csv.DictReader((pathlib.Path(__file__).parent / "labels.csv").open())}
given = {r["id"]: r["label"] for r in csv.DictReader((folder / "submission.csv").open())}
items = [{"id": k, "status": "CORRECT" if given.get(k) == v else "WRONG"} for k, v in truth.items()]
accuracy = sum(i["status"] == "CORRECT" for i in items) / len(items)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy, "items": items}))
"""


def make_table_task(root: Path, joined: bool, labels: Mapping[str, str]) -> Path:
    """Words with labels, 120 to learn from and 60 to tell; `joined`: each word with a number of its own."""
    public, private = root / "data" / "public", root / "data" / "private"
    public.mkdir(parents=True)
    private.mkdir(parents=True)
    rows = []
    for i in range(180):
        word = WORDS[i % len(WORDS)]
        rows.append({"id": str(i), "word": f"{word}_{i}" if joined else word, "label": labels[word]})
    train, test = rows[:120], rows[120:]
    _write(public / "train.csv", train, ("id", "word", "label"))
    _write(public / "test.csv", test, ("id", "word"))
    _write(public / "sample_submission.csv", [{**r, "label": "yes"} for r in test], ("id", "label"))
    _write(private / "labels.csv", test, ("id", "label"))
    (public / "task.md").write_text("Tell the label of each word.\n")
    (private / "evaluate.py").write_text(EVALUATOR)
    (root / "task.toml").write_text(
        "[task]\nkind = 'tabular'\n[limits]\nseconds = 120\n[metric]\nname = 'accuracy'\ndirection = 'max'\n"
        "[agent]\nanswers = 'model'\npackages = ['pandas>=2.2', 'scikit-learn>=1.5']\n"
    )
    return root


def play_levers(folder: Path, lever: str, seed: int, max_gen: int = 5) -> list[GenerationRecord]:
    """A run of the offline author with `--focus auto` on the toy where `lever` wins."""
    base = make_base(folder / "base", seed)
    if lever == "harness":
        labels = {word: ANSWERS[i >= len(WORDS) // 2] for i, word in enumerate(WORDS)}
        teach(base, [(f"word 1 {word}, word 2 shared by 1\nlabel:", label) for word, label in labels.items()])
    else:
        leanings = leaning(base, [f"word {word}\nlabel:" for word in WORDS])
        order = sorted(range(len(WORDS)), key=leanings.__getitem__)
        labels = {WORDS[i]: ANSWERS[place % 2] for place, i in enumerate(order)}
    task = make_table_task(folder / "task", lever == "harness", labels)
    settings = make_settings(folder, base, max_gen=max_gen, seed=seed, target_score=1.0)
    play_toy(task, settings, AUTHORS["offline"])
    return generations_of(folder / "runs" / "run_1")


def winner(generations: list[GenerationRecord]) -> str | None:
    """The lever of the generation that reached the full score; None when none did."""
    return next((g.lever for g in generations if g.score and g.score.value == 1.0), None)


def _write(file: Path, rows: list[dict[str, str]], fields: tuple[str, ...]) -> None:
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Counts over seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    count = parser.parse_args().seeds
    for lever in ("weights", "harness"):
        found = []
        for seed in range(count):
            with tempfile.TemporaryDirectory() as name:
                os.environ["SIA_CACHE_DIR"] = f"{name}/cache"
                found.append(winner(play_levers(Path(name), lever, seed)))
        print(f"{lever} must win: found by {found.count(lever)} of {count} seeds {found}", flush=True)


if __name__ == "__main__":
    main()
