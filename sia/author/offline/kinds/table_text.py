"""Tables whose answers must come from the run's model: each row is written out as text, and the labels are scored.

Here both levers can be pulled. What a row's text says is the harness; what the model makes of it are the weights.
"""

import runpy
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sia.author.brief import Brief
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.asked import scores_continuations
from sia.author.offline.kinds.table import TableSchema, look_at_table
from sia.author.offline.kinds.taught import classifier_plan
from sia.weights.plan import TrainingPlan

MAX_LABELS = 20
STEPS = 240
BATCH = 16
TRAINING_SECONDS = 420.0


class TableTextRecipe(Recipe):
    """How a row is written out, and how often the weights were trained."""

    split: bool = False
    """Composite columns as their parts, groups by their size."""
    summed: bool = False
    """Amounts as their sum first, and only those above zero."""
    bare: bool = False
    """The values in a fixed order without the columns' names: half as many tokens."""
    cut: bool = False
    """Whether the cut between two labels is set on public training rows."""
    rounds: int = 0
    """Updates of the weights so far."""

    def asks_model(self) -> bool:
        return True


@dataclass(frozen=True)
class TableTextSchema:
    """The table, and the labels that the model chooses among."""

    table: TableSchema
    columns: tuple[str, ...]
    """Written out as they are, in this order."""
    labels: tuple[str, ...]


def look_at_labels(brief: Brief) -> TableTextSchema:
    """Reads the tables. Raises NotOfThisKind unless a few labels are to be told and the model's server scores them."""
    table = look_at_table(brief.task.public_dir)
    if not scores_continuations(brief.task_model):
        raise NotOfThisKind("the answers must come from a model that scores labels (--task-model local/NAME)")
    train = pd.read_csv(brief.task.public_dir / table.train, dtype=str, keep_default_na=False)
    test = pd.read_csv(brief.task.public_dir / table.test, dtype=str, keep_default_na=False, nrows=1)
    labels = tuple(sorted(train[table.target].unique()))
    if table.problem != "classification" or not 2 <= len(labels) <= MAX_LABELS:
        raise NotOfThisKind(f"{table.target} has {len(labels)} values; up to {MAX_LABELS} labels can be compared")
    composite = {column for column, _ in table.composites}
    kept = [c for c in test.columns if c in train.columns and c != table.id]
    # A column of names says nothing, and costs tokens.
    columns = tuple(c for c in kept if c in table.numeric or c in composite or train[c].nunique() <= len(train) / 4)
    return TableTextSchema(table, columns, labels)


def training_plan(recipe: Recipe, schema: TableTextSchema, brief: Brief, adapter: str | None) -> TrainingPlan:
    """A classifier of the labels by their tokens: the recipe that small models learn fastest with."""
    return classifier_plan(
        brief,
        adapter,
        schema.labels,
        schema.table.rows,
        TRAINING_SECONDS,
        steps=STEPS,
        batch=BATCH,
        answer_tokens=8,
    )


def write_examples(agent: Path, schema: TableTextSchema, public: Path, file: Path) -> None:
    """The training rows in the very words in which the agent asks: its own function writes them."""
    functions = runpy.run_path(str(agent))
    train = pd.read_csv(public / schema.table.train, dtype=str, keep_default_na=False)
    test = pd.read_csv(public / schema.table.test, dtype=str, keep_default_na=False)
    prompts = functions["prompts"](train, test)[: len(train)]
    rows = pd.DataFrame({"prompt": prompts, "answer": train[schema.table.target]})
    rows.to_json(file, orient="records", lines=True, force_ascii=False)


MOVES: tuple[Move[TableTextSchema], ...] = (
    Move(
        "cut-on-public-rows",
        {"cut": True},
        lambda s: len(s.labels) == 2,
        0.050,
        "A model leans to one label whatever it reads; where the scores are to be cut can be seen on labelled rows.",
        "On few rows the best cut is partly chance.",
        lambda s: f"{s.table.rows} public rows have labels.",
    ),
    Move(
        "write-out-parts",
        {"split": True},
        lambda s: bool(s.table.composites),
        0.030,
        "A value that joins several others by a delimiter is one odd word to the model; its parts are plain ones.",
        "More words, and the adapter has learnt the old ones.",
        lambda s: "; ".join(f"every `{column}` has the same number of `{mark}`" for column, mark in s.table.composites),
    ),
    Move(
        "sum-up-amounts",
        {"summed": True},
        lambda s: len(s.table.amounts) >= 3,
        0.015,
        "A small model does not add; the sum of the amounts says at once what many zeros say at length.",
        "The adapter has learnt the old words.",
    ),
    Move(
        "train",
        {"rounds": 1},
        lambda s: s.table.rows >= 30,
        0.150,
        "The model has never seen such rows; the labelled ones can teach it, as a classifier over the labels' tokens.",
        "It takes minutes, and the adapter fits these words only.",
        lambda s: f"{s.table.rows} labelled rows, {len(s.labels)} labels.",
        needs={"rounds": 0},
        lever="weights",
    ),
    Move(
        "write-out-all-and-train",
        {"split": True, "summed": True, "bare": True, "rounds": 1},
        lambda s: s.table.rows >= 30 and (bool(s.table.composites) or len(s.table.amounts) >= 3),
        0.160,
        "New words need a model that has read them: parts and sums, in an order that training can teach, so that no "
        "row needs the columns' names and twice the rows are learnt in the same time.",
        "It takes minutes; which of the two helped is told only by the attribution.",
        lever="both",
    ),
    Move(
        "train-further",
        {"rounds": 2},
        lambda s: s.table.rows >= 1000,
        0.020,
        "A second round at a lower rate, from the adapter that is there.",
        "It may fit the training rows rather than what they have in common.",
        needs={"rounds": 1},
        lever="weights",
    ),
)

TABLE_TEXT = Kind(
    name="table-text",
    look=look_at_labels,
    recipe=TableTextRecipe,
    first=lambda brief: TableTextRecipe(),
    moves=MOVES,
    template="table_text.py.j2",
    plan=training_plan,
    examples=write_examples,
)
