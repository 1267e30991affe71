"""Writes the files of a prepared task."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from sia.prepare.competition import Competition
from sia.prepare.holdout import Holdout
from sia.prepare.rules import Rules
from sia.prepare.tables import Tables

ANSWERS = "answers.csv"
PACKAGES = ("pandas>=2.2", "scikit-learn>=1.5")
"""Of agents and evaluator; NumPy and SciPy come with them. The same as the bundled tasks' share one environment."""
MAX_DESCRIPTION = 14_000
"""Characters of the competition's own words that `task.md` carries."""
MANY_CLASSES = 50
_GRADER = Path(__file__).with_name("evaluate.py")


@dataclass(frozen=True)
class Origin:
    """Where a task comes from, for its manifest."""

    competition: Competition
    source: str
    packages: tuple[str, ...] = PACKAGES


def write_tables(tables: Tables, holdout: Holdout, root: Path) -> None:
    """The public tables without the labels of the held-out rows, and these labels in private."""
    public, private = root / "data" / "public", root / "data" / "private"
    features = list(tables.features)
    if tables.id not in features:
        features.insert(0, tables.id)
    held = tables.train.iloc[list(holdout.rows)]
    seen = [c for c in tables.train.columns if c in features or c in tables.targets]
    _write(tables.train.iloc[list(holdout.rest)][seen], public / "train.csv")
    _write(held[features], public / "test.csv")
    # One value for all rows: that of the competition's own sample that is most frequent says nothing of a row.
    usual = {c: tables.sample[c].mode().iloc[0] for c in tables.answers}
    _write(held[[tables.id]].assign(**usual), public / "sample_submission.csv")
    _write(held[[tables.id, *tables.targets]], private / ANSWERS)


def write_grading(rules: Mapping[str, object], root: Path) -> None:
    """The evaluator and what it is told."""
    private = root / "data" / "private"
    shutil.copyfile(_GRADER, private / "evaluate.py")
    (private / "grading.json").write_text(json.dumps(rules, indent=1) + "\n", encoding="utf-8")


def write_description(tables: Tables, rules: Rules, holdout: Holdout, origin: Origin, root: Path) -> None:
    """`task.md` of a task that was split here."""
    text = _render(
        "task.md.j2",
        title=origin.competition.title or origin.competition.slug,
        tables=tables,
        rules=rules,
        holdout=holdout,
        description=shortened(origin.competition.description),
    )
    (root / "data" / "public" / "task.md").write_text(text, encoding="utf-8")


def write_manifest(origin: Origin, metric: str, direction: str, root: Path) -> None:
    """`task.toml`."""
    text = _render(
        "task.toml.j2",
        title=origin.competition.title or origin.competition.slug,
        license=origin.competition.license or f"Rules of the Kaggle competition, {origin.competition.address}/rules",
        source=origin.source,
        metric=metric,
        direction=direction,
        packages=origin.packages,
    )
    (root / "task.toml").write_text(text, encoding="utf-8")
    (root / ".gitignore").write_text("data/\n", encoding="utf-8")


def write_reference(tables: Tables, rules: Rules, root: Path) -> None:
    """The seed agent: a linear model on the plain columns."""
    train = tables.train
    features = [c for c in tables.features if c != tables.id]
    numbers = [c for c in features if _is_number(train[c])]
    texts = [c for c in features if c not in numbers and train[c].str.len().mean() > 30]
    kinds = [c for c in features if c not in numbers and c not in texts and train[c].nunique() <= 100]
    text = _render(
        "reference_target_agent.py.j2",
        tables=tables,
        rules=rules,
        columns={"NUMBERS": numbers, "KINDS": kinds, "TEXTS": texts},
        positive=next((v for v in train[tables.targets[0]] if _same(v, rules.positive)), ""),
        many=len(rules.labels) > MANY_CLASSES,
    )
    _reference(root, text)


def write_plain_reference(root: Path) -> None:
    """The seed agent of a task whose tables are not known: it hands in the sample submission."""
    _reference(root, _render("plain_target_agent.py.j2"))


def write_samples(text: str | None, root: Path) -> None:
    """Descriptions of similar tasks: `text`, else those that come with SIA."""
    own = Path(__file__).parent / "templates" / "SAMPLE_TASK_DESCRIPTIONS.md"
    folder = root / "reference"
    folder.mkdir(exist_ok=True)
    (folder / own.name).write_text(text or own.read_text(encoding="utf-8"), encoding="utf-8")


def shortened(description: str) -> str:
    """At most `MAX_DESCRIPTION` characters of it, whole lines, with a word where something was cut."""
    if len(description) <= MAX_DESCRIPTION:
        return description.strip()
    return description[:MAX_DESCRIPTION].rsplit("\n", 1)[0].strip() + "\n\n(The rest of the competition's page is cut.)"


def _reference(root: Path, text: str) -> None:
    folder = root / "reference"
    folder.mkdir(exist_ok=True)
    (folder / "reference_target_agent.py").write_text(text, encoding="utf-8")


def _write(table: pd.DataFrame, file: Path) -> None:
    table.to_csv(file, index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)


def _is_number(column: "pd.Series[str]") -> bool:
    known = column[column != ""]
    return bool(len(known) and pd.to_numeric(known, errors="coerce").notna().all())


def _same(value: str, label: str) -> bool:
    from sia.prepare.evaluate import normal

    return normal(value) == label


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader("sia.prepare", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["toml"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.filters["names"] = _names
    return environment.get_template(template).render(**values)


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f"`{column}`" for column in columns)
