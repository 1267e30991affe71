"""Texts of many labels that the run's model must tell: every label has a code of one character, all scored in one pass.

Both levers can be pulled. The neighbours that stand beside the model's word are the harness; what the model makes of a
text are the weights. A code is a character of the label's own name, so that the model may know something of it.
"""

import runpy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sia.author.brief import Brief
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.asked import scores_continuations
from sia.author.offline.kinds.taught import classifier_plan
from sia.author.offline.kinds.text_classification import TextSchema, look_at_texts
from sia.weights.plan import TrainingPlan

MAX_LABELS = 500
STEPS = 640
BATCH = 8
"""Small: with so many labels it is the number of updates that counts."""
TRAINING_SECONDS = 1200.0
TOP_LAYERS = 10
"""Blocks that are trained: what lies below needs no gradients, and time is short."""


class TextCodesRecipe(Recipe):
    """What the model reads of a text, who has a say beside it, and how often the weights were trained."""

    characters: int = 150
    """From the middle of the text, where there is less form."""
    neighbours: int = 0
    """The most similar training texts whose labels are mixed in; 0: the model alone."""
    share: float = 0.5
    """Of the neighbours in the mixture."""
    rounds: int = 0
    """Updates of the weights so far."""

    def asks_model(self) -> bool:
        return True


@dataclass(frozen=True)
class TextCodesSchema:
    """The texts, and the code of each label."""

    texts: TextSchema
    codes: dict[str, str]


def look_at_codes(brief: Brief) -> TextCodesSchema:
    """Reads the tables. Raises NotOfThisKind unless labels of an unspaced script are to be told by a scoring server."""
    texts = look_at_texts(brief)
    if not scores_continuations(brief.task_model):
        raise NotOfThisKind("the answers must come from a model that scores labels (--task-model local/NAME)")
    if texts.spaced:
        raise NotOfThisKind("one letter says nothing of a label's words")
    train = pd.read_csv(brief.task.public_dir / texts.train, dtype=str, keep_default_na=False)
    labels = sorted(train[texts.label].unique())
    codes = codes_of(labels, Counter("".join(train[texts.text]))) if len(labels) <= MAX_LABELS else None
    if codes is None:
        raise NotOfThisKind(f"the {len(labels)} labels have no character each")
    return TextCodesSchema(texts, codes)


def codes_of(labels: Sequence[str], known: Counter[str]) -> dict[str, str] | None:
    """For each label a character of its own, if it can be one that the texts have and few labels; None: too few.

    A maximum matching by augmenting paths (H. W. Kuhn, 1955, Naval Research Logistics Quarterly 2:83).
    """
    shared = Counter(character for label in labels for character in set(label))
    wanted = {
        label: sorted(filter(str.isalpha, set(label)), key=lambda c: (not known[c], shared[c], -known[c], c))
        for label in labels
    }
    owner: dict[str, str] = {}

    def claim(label: str, tried: set[str]) -> bool:
        for character in wanted[label]:
            if character in tried:
                continue
            tried.add(character)
            if character not in owner or claim(owner[character], tried):
                owner[character] = label
                return True
        return False

    if not all(claim(label, set()) for label in labels):
        return None
    return {label: character for character, label in sorted(owner.items(), key=lambda pair: pair[1])}


def training_plan(recipe: Recipe, schema: TextCodesSchema, brief: Brief, adapter: str | None) -> TrainingPlan:
    """A classifier over the codes: one forward pass a text, however many labels there are."""
    return classifier_plan(
        brief,
        adapter,
        tuple(schema.codes.values()),
        schema.texts.rows,
        TRAINING_SECONDS,
        steps=STEPS,
        batch=BATCH,
        answer_tokens=4,
        prefix="",
        top_layers=TOP_LAYERS,
    )


def write_examples(agent: Path, schema: TextCodesSchema, public: Path, file: Path) -> None:
    """The training texts in the very words in which the agent asks: its own function writes them."""
    prompt_for = runpy.run_path(str(agent))["prompt_for"]
    train = pd.read_csv(public / schema.texts.train, dtype=str, keep_default_na=False)
    prompts = [prompt_for(text) for text in train[schema.texts.text]]
    rows = pd.DataFrame({"prompt": prompts, "answer": train[schema.texts.label].map(schema.codes)})
    rows.to_json(file, orient="records", lines=True, force_ascii=False)


MOVES: tuple[Move[TextCodesSchema], ...] = (
    Move(
        "mix-in-neighbours",
        {"neighbours": 8},
        lambda s: s.texts.rarest > 1,
        0.300,
        "The labels of the most similar training texts are a memory that the model lacks; both probabilities are mixed "
        "(Khandelwal et al. 2020, arXiv:1911.00172).",
        "A model that is sure and wrong outvotes its neighbours.",
        lambda s: f"{s.texts.rows} training texts for {s.texts.labels} labels.",
    ),
    Move(
        "trust-the-neighbours",
        {"share": 0.7},
        lambda s: True,
        0.004,
        "Neighbours that agree are rarely wrong.",
        "Where they disagree the model has less to say.",
        needs={"neighbours": 8},
    ),
    Move(
        "train",
        {"rounds": 1},
        lambda s: s.texts.rows >= 30,
        0.500,
        "The model has never seen these codes; the labelled texts can teach them, as a classifier over one token.",
        "It takes minutes, and the adapter fits these words only.",
        lambda s: f"{s.texts.rows} labelled texts, {s.texts.labels} labels.",
        needs={"rounds": 0},
        lever="weights",
    ),
    Move(
        "train-further",
        {"rounds": 2},
        lambda s: s.texts.rows >= 1000,
        0.030,
        "A second round at a lower rate, from the adapter that is there.",
        "It may fit the training texts rather than what they have in common.",
        needs={"rounds": 1},
        lever="weights",
    ),
)

TEXT_CODES = Kind(
    name="text-codes",
    look=look_at_codes,
    recipe=TextCodesRecipe,
    first=lambda brief: TextCodesRecipe(),
    moves=MOVES,
    template="text_codes.py.j2",
    plan=training_plan,
    examples=write_examples,
)
