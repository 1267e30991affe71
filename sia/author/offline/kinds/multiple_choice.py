"""Multiple choice: one letter of several options. Without a model only the form of the options can speak."""

from dataclasses import dataclass
from typing import Any, Literal

from sia.author.brief import Brief
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.questions import look_at_questions


class ChoiceRecipe(Recipe):
    """How an option is chosen."""

    rule: Literal["first", "longest", "central", "overlap", "middle"] = "first"


@dataclass(frozen=True)
class ChoiceSchema:
    """The questions of a task."""

    file: str
    id: str
    question: str
    options: str
    """Field of the options: an object of letter and text."""
    letters: tuple[str, ...]
    count: int
    """Number of questions."""


def look_at_choices(brief: Brief) -> ChoiceSchema:
    """Reads the questions. Raises NotOfThisKind when their records hold no options."""
    found = look_at_questions(brief.task.public_dir)
    first: dict[str, Any] = found.records[0]
    options = next((name for name, value in first.items() if isinstance(value, dict) and len(value) > 1), None)
    if options is None or not all(isinstance(r.get(options), dict) for r in found.records):
        raise NotOfThisKind(f"the records of {found.file} hold no object of options")
    return ChoiceSchema(
        file=found.file,
        id=found.id,
        question=found.text,
        options=options,
        letters=tuple(first[options]),
        count=len(found.records),
    )


def first_recipe(brief: Brief) -> ChoiceRecipe:
    """The first option, always. Raises NotOfThisKind when the answers must come from a model."""
    if brief.task.answers == "model":
        raise NotOfThisKind("the task wants its answers from a language model, and this run has none")
    return ChoiceRecipe()


MOVES: tuple[Move[ChoiceSchema], ...] = (
    Move(
        "longest-option",
        {"rule": "longest"},
        lambda s: True,
        0.020,
        "Writers of tests make the right option more precise than the others, and so longer.",
        "Careful writers make all options equally long; then this is chance.",
        lambda s: f"{s.count} questions with {len(s.letters)} options each: chance is {1 / len(s.letters):.2f}.",
    ),
    Move(
        "central-option",
        {"rule": "central"},
        lambda s: len(s.letters) > 2,
        0.020,
        "Wrong options are often made from the right one by one change each, so that it resembles all of them most.",
        "Options that were written one by one show no such pattern.",
    ),
    Move(
        "overlap-with-question",
        {"rule": "overlap"},
        lambda s: True,
        0.005,
        "The right option may share more words with the question.",
        "Wrong options are often made to share them.",
    ),
    Move(
        "middle-number",
        {"rule": "middle"},
        lambda s: len(s.letters) > 2,
        0.005,
        "Among options that are numbers the right one tends to lie between wrong ones.",
        "It says nothing of options in words; the first one is taken there.",
    ),
)

MULTIPLE_CHOICE = Kind(
    name="multiple-choice",
    look=look_at_choices,
    recipe=ChoiceRecipe,
    first=first_recipe,
    moves=MOVES,
    template="multiple_choice.py.j2",
)
