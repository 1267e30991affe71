"""A small package `mlebench` of our own making, for machines where the real one cannot be installed.

It has those modules, names and signatures of MLE-bench that SIA uses (its registry, its check of prepared data, its
checksums, its grader and the ranking by leaderboard) and one competition. What the functions do is written from their
description, not taken over. Whoever has the real package need not run with this one: see `test_bench.py`.
"""

from pathlib import Path

REGISTRY = """
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from mlebench.grade_helpers import Grader

HOME = Path(__file__).parent


@dataclass(frozen=True)
class Competition:
    id: str
    name: str
    description: str
    grader: Any
    answers: Path
    sample_submission: Path
    prepare_fn: Callable
    raw_dir: Path
    private_dir: Path
    public_dir: Path
    checksums: Path
    leaderboard: Path


class Registry:
    def list_competition_ids(self):
        return ["wine-tasting"]

    def get_competition(self, competition_id):
        import importlib
        here = HOME / "competitions" / competition_id
        data = Path.home() / ".cache" / "mle-bench" / "data" / competition_id
        module = f"mlebench.competitions.{competition_id}"
        return Competition(
            id=competition_id,
            name="Wine Tasting",
            description="Tell who made the wine.",
            grader=Grader("multi-class-log-loss", f"{module}.grade:grade"),
            answers=data / "prepared" / "private" / "test.csv",
            sample_submission=data / "prepared" / "public" / "sample_submission.csv",
            prepare_fn=importlib.import_module(f"{module}.prepare").prepare,
            raw_dir=data / "raw",
            private_dir=data / "prepared" / "private",
            public_dir=data / "prepared" / "public",
            checksums=here / "checksums.yaml",
            leaderboard=here / "leaderboard.csv",
        )


registry = Registry()
"""

DATA = """
import hashlib

import pandas as pd


def is_dataset_prepared(competition, grading_only=False):
    return competition.answers.is_file() and competition.sample_submission.is_file()


def generate_checksums(target_dir, exts=None, exclude=None):
    return {f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in target_dir.glob("*.csv")}


def get_leaderboard(competition):
    return pd.read_csv(competition.leaderboard)
"""

UTILS = """
import importlib
import json

import pandas as pd


def import_fn(text):
    module, name = text.split(":")
    return getattr(importlib.import_module(module), name)


def read_csv(file, **options):
    return pd.read_csv(file, **options)


def load_answers(file):
    return read_csv(file)


def load_yaml(file):
    return json.loads(file.read_text())
"""

GRADE_HELPERS = """
from mlebench.utils import import_fn


class InvalidSubmissionError(Exception):
    pass


class Grader:
    def __init__(self, name, grade_fn):
        self.name, self.grade_fn = name, import_fn(grade_fn)

    def is_lower_better(self, leaderboard):
        return bool(leaderboard["score"].iloc[0] < leaderboard["score"].iloc[-1])

    def __call__(self, submission, answers):
        try:
            return round(self.grade_fn(submission, answers), 5)
        except InvalidSubmissionError:
            return None

    def rank_score(self, score, leaderboard):
        lower, scores = self.is_lower_better(leaderboard), leaderboard["score"]
        at = {"gold": 0, "silver": 1, "bronze": 3}
        bars = {f"{medal}_threshold": float(scores.iloc[k]) for medal, k in at.items()}
        bars["median_threshold"] = float(scores.median())
        passed = {m: score is not None and (score <= bars[f"{m}_threshold"]) == lower for m in (*at, "median")}
        silver, bronze = passed["silver"] and not passed["gold"], passed["bronze"] and not passed["silver"]
        medals = {"gold_medal": passed["gold"], "silver_medal": silver, "bronze_medal": bronze}
        return {**medals, "above_median": passed["median"], **bars}
"""

GRADE = """
from sklearn.metrics import log_loss

from mlebench.competitions.shared import CLASSES
from mlebench.grade_helpers import InvalidSubmissionError


def grade(submission, answers):
    if list(submission["bottle"]) != list(answers["bottle"]):
        raise InvalidSubmissionError("other bottles")
    return log_loss(answers["target"], submission[CLASSES].to_numpy(), labels=CLASSES)
"""

PREPARE = """
from sklearn.model_selection import train_test_split

from mlebench.competitions.shared import CLASSES
from mlebench.utils import read_csv


def prepare(raw, public, private):
    train, test = train_test_split(read_csv(raw / "train.csv"), test_size=0.2, random_state=0)
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns="target").to_csv(public / "test.csv", index=False)
    test[["bottle"]].assign(**dict.fromkeys(CLASSES, 1 / 3)).to_csv(public / "sample_submission.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
"""


def install(folder: Path) -> Path:
    """Writes the package below `folder`, which then belongs on the path."""
    files = {
        "__init__.py": "",
        "registry.py": REGISTRY,
        "data.py": DATA,
        "utils.py": UTILS,
        "grade_helpers.py": GRADE_HELPERS,
        "competitions/__init__.py": "",
        "competitions/shared.py": 'CLASSES = ["barbera", "barolo", "grignolino"]\n',
        "competitions/wine-tasting/grade.py": GRADE,
        "competitions/wine-tasting/prepare.py": PREPARE,
        "competitions/wine-tasting/leaderboard.csv": "score\n0.0001\n0.02\n0.1\n0.4\n0.9\n2.0\n",
    }
    for name, text in files.items():
        file = folder / "mlebench" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip())
    (folder / "mlebench-1.0.dist-info").mkdir()
    (folder / "mlebench-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mlebench\nVersion: 1.0\n")
    return folder
