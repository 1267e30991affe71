"""Text classification: classical models of n-grams, trained on the public labelled texts, and the run's model.

The model chooses among the few labels that the classical scores put first: all of them would be too many to compare.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from sia.author.brief import Brief, CalledModel
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.asked import asked_model, demand_model, scores_continuations
from sia.author.offline.kinds.table import look_at_table

LONG_TEXT = 40
"""Characters on average; shorter columns are categories or names."""


class TextRecipe(Recipe):
    """Which features of a text, and which model gives each label its score."""

    model: Literal["neighbours", "centroids", "svm"] = "neighbours"
    neighbours: int = 1
    analyzer: Literal["char", "word", "char_wb"] = "char"
    longest: int = 2
    """n-grams of 1 to so many characters or words."""
    cost: float = 1.0
    """Of a training case on the wrong side; large values fit closer."""
    blend: float = 0.0
    """Weight of the nearest centroid beside the linear model, both standardised within a text."""
    asked: Literal["none", "score", "words"] = "none"
    """Whether the model is asked: for its probability of each candidate label, or for one of them in words."""
    candidates: int = 5
    """Labels that the model chooses among."""
    shots: int = 0
    """The most similar training texts with their labels that the prompt shows."""
    calibrated: bool = False
    """Whether the label's score after a prompt without content is subtracted."""
    weight: float = 0.3
    """Of the model beside the classical scores, both standardised within a text."""
    alone: bool = False
    """Whether the model decides alone among the candidates."""

    def asks_model(self) -> bool:
        return self.asked != "none" and self.alone


@dataclass(frozen=True)
class TextSchema:
    """The tables of a task and what its texts are like."""

    train: str
    test: str
    id: str
    text: str
    label: str
    rows: int
    labels: int
    rarest: int
    """Training cases of the rarest label."""
    characters: float
    """Mean length of a text."""
    spaced: bool
    """Whether blanks part the words."""
    seconds: float
    """Of one run of the agent: the model is asked no longer than there is time for."""
    model: CalledModel | None

    @property
    def scores(self) -> bool:
        """Whether the model's server scores given continuations."""
        return scores_continuations(self.model)


def look_at_texts(brief: Brief) -> TextSchema:
    """Reads the tables. Raises NotOfThisKind unless one column of long texts decides on one of several labels."""
    public = brief.task.public_dir
    table = look_at_table(public)
    train = pd.read_csv(public / table.train)
    test = pd.read_csv(public / table.test, nrows=1)
    features = [c for c in test.columns if c != table.id and c in train.columns]
    lengths = {c: float(train[c].astype(str).str.len().mean()) for c in features}
    text = max(lengths, key=lambda c: lengths[c], default=None)
    if text is None or lengths[text] < LONG_TEXT or len(features) > 2:
        raise NotOfThisKind(f"{table.train} has no single column of long texts")
    labels = train[table.target].value_counts()
    if table.problem != "classification" or len(labels) < 2:
        raise NotOfThisKind(f"{table.target} in {table.train} is no label")
    blanks = float(train[text].astype(str).str.count(r"\s").mean()) / lengths[text]
    return TextSchema(
        train=table.train,
        test=table.test,
        id=table.id,
        text=text,
        label=table.target,
        rows=len(train),
        labels=len(labels),
        rarest=int(labels.min()),
        characters=lengths[text],
        spaced=blanks > 0.08,
        seconds=brief.task.seconds,
        model=asked_model(brief),
    )


def first_recipe(brief: Brief) -> TextRecipe:
    """The nearest neighbour; where a model is demanded, its choice among the labels of several neighbours.

    Raises NotOfThisKind when the answers must come from a model and there is none.
    """
    model = demand_model(brief)
    first = TextRecipe(analyzer="word" if look_at_texts(brief).spaced else "char")
    if brief.task.answers == "any" or model is None:
        return first
    asked = "score" if scores_continuations(model) else "words"
    return first.model_copy(update={"neighbours": 16, "asked": asked, "alone": True})


MOVES: tuple[Move[TextSchema], ...] = (
    Move(
        "score-candidates",
        {"asked": "score"},
        lambda s: s.scores,
        0.015,
        "The model's probability of each label that the classical scores put first says something that n-grams do not.",
        "A small model may know little of the texts' language; then it adds noise, and minutes.",
        lambda s: f"{s.labels} labels are too many to compare; the first few usually hold the right one.",
        needs={"asked": "none"},
    ),
    Move(
        "ask-in-words",
        {"asked": "words"},
        lambda s: s.model is not None and not s.scores,
        0.015,
        "The model is shown the labels that the classical scores put first, and names one.",
        "It may name none of them, or always the first.",
        needs={"asked": "none"},
    ),
    Move(
        "similar-examples",
        {"shots": 4},
        lambda s: s.model is not None and s.rarest > 1,
        0.020,
        "The most similar training texts with their labels show the model what is asked and which labels are likely.",
        "It may copy the last one's label.",
        needs={"asked": "score"},
    ),
    Move(
        "calibrate",
        {"calibrated": True},
        lambda s: s.scores,
        0.018,
        "Common and short labels are probable after any text; what a prompt without content gives them is subtracted "
        "(Zhao et al. 2021, arXiv:2102.09690).",
        "The prompt without content may have biases of its own.",
        needs={"asked": "score"},
    ),
    Move(
        "more-candidates",
        {"candidates": 10},
        lambda s: s.scores and s.labels > 5,
        0.006,
        "The right label is more often among ten than among five.",
        "More labels are more ways to be wrong.",
        needs={"asked": "score"},
    ),
    Move(
        "trust-the-model",
        {"weight": 1.0},
        lambda s: s.scores,
        0.004,
        "As much weight for the model as for the classical scores.",
        "A weak model outvotes a good classical one.",
        needs={"asked": "score", "alone": False},
    ),
    Move(
        "linear-machine",
        {"model": "svm"},
        lambda s: True,
        0.100,
        "A linear support vector machine weighs the thousands of n-grams that tell labels apart; a neighbour counts "
        "all of them alike.",
        "Labels with few cases get poor weights.",
        lambda s: f"{s.rows} training texts for {s.labels} labels, the rarest with {s.rarest}.",
    ),
    Move(
        "closer-fit",
        {"cost": 5.0},
        lambda s: s.rows > 500,
        0.020,
        "With many sparse features the classes can be parted with hardly an error; a higher cost of errors lets the "
        "machine use rare n-grams.",
        "Wrong labels among the training texts are learnt, too.",
        lambda s: f"A text has about {s.characters:.0f} characters.",
        needs={"model": "svm"},
    ),
    Move(
        "blend-centroids",
        {"blend": 0.3},
        lambda s: s.rarest > 1,
        0.010,
        "The likeness to a label's mean text errs elsewhere than a machine of boundaries does; their sum errs less.",
        "Labels with several topics have a mean that is like none of them.",
        needs={"model": "svm"},
    ),
    Move(
        "more-neighbours",
        {"model": "neighbours", "neighbours": 8},
        lambda s: s.rarest > 1,
        0.050,
        "Several neighbours outvote a single unlucky one.",
        "A rare label is outvoted as well.",
        needs={"model": "neighbours"},
    ),
    Move(
        "centroids",
        {"model": "centroids"},
        lambda s: True,
        0.080,
        "The mean text of a label forgets what is particular to single texts.",
        "Labels with several topics have a mean that is like none of them.",
        needs={"model": "neighbours"},
    ),
    Move(
        "longer-grams",
        {"longest": 3},
        lambda s: True,
        0.002,
        "Longer n-grams catch phrases.",
        "They are rare, and the features become several times as many.",
    ),
    Move(
        "characters",
        {"analyzer": "char_wb", "longest": 4},
        lambda s: s.spaced,
        0.010,
        "Characters within words catch stems, endings and misspellings.",
        "They blur words that differ in a letter.",
    ),
)

TEXT_CLASSIFICATION = Kind(
    name="text-classification",
    look=look_at_texts,
    recipe=TextRecipe,
    first=first_recipe,
    moves=MOVES,
    template="text_classification.py.j2",
    classical=TextRecipe(model="svm", cost=5.0, blend=0.3),
)
