"""Multiple choice: one letter of several options.

Where the run has a model it is asked, or its probabilities of the options are compared. Without one only the form of
the options can speak.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sia.author.brief import Brief, CalledModel
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.asked import asked_model, demand_model, scores_continuations, topic_of
from sia.author.offline.kinds.questions import look_at_questions


class ChoiceRecipe(Recipe):
    """How an option is chosen."""

    rule: Literal["first", "longest", "central", "overlap", "middle", "ask", "score"] = "first"
    """The last two are the model's: its answer in words, or its probability of each option."""
    reasoned: bool = False
    """Whether the model is told to think before it answers in words."""
    samples: int = 1
    """Answers in words to one question; the most frequent letter is taken."""
    topic: bool = False
    """Whether the prompt names the question's subject."""
    scored: Literal["letter", "text"] = "letter"
    """What is scored: the letters of the listed options, or each option's text after the bare question."""
    calibrated: bool = False
    """Whether the score of the same option after a prompt without content is subtracted."""
    permuted: bool = False
    """Whether every option is scored under every letter."""

    def asks_model(self) -> bool:
        return self.rule in ("ask", "score")


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
    topic: str | None
    """Field that names the subject."""
    model: CalledModel | None

    @property
    def scores(self) -> bool:
        """Whether the model's server scores given continuations."""
        return scores_continuations(self.model)


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
        topic=topic_of(found),
        model=asked_model(brief),
    )


def first_recipe(brief: Brief) -> ChoiceRecipe:
    """The model's answer in words; without one the first option. Raises NotOfThisKind when a model is demanded."""
    return ChoiceRecipe(rule="ask" if demand_model(brief) else "first")


MOVES: tuple[Move[ChoiceSchema], ...] = (
    Move(
        "score-letters",
        {"rule": "score", "scored": "letter"},
        lambda s: s.scores,
        0.030,
        "A small model often answers beside the point, but its probabilities of the letters can always be compared.",
        "It may prefer a letter whatever the question is.",
        lambda s: f"Chance is {1 / len(s.letters):.2f}.",
    ),
    Move(
        "score-texts",
        {"rule": "score", "scored": "text"},
        lambda s: s.scores,
        0.025,
        "Models that cannot refer to letters still know which text follows a question; the mean over its tokens keeps "
        "long options from losing.",
        "Smooth wording wins over truth.",
    ),
    Move(
        "calibrate",
        {"calibrated": True},
        lambda s: s.scores,
        0.020,
        "What the model thinks of an option where the prompt has no content is bias; it is subtracted (Zhao et al. "
        "2021, arXiv:2102.09690).",
        "The prompt without content may have biases of its own.",
        needs={"rule": "score"},
    ),
    Move(
        "permute-options",
        {"permuted": True},
        lambda s: s.scores,
        0.015,
        "Every option stands once under every letter, so that a liking for a letter or a place adds to all alike.",
        "It takes as many times longer as there are options.",
        lambda s: f"{len(s.letters)} orders of each of {s.count} questions.",
        needs={"rule": "score", "scored": "letter"},
    ),
    Move(
        "name-the-topic",
        {"topic": True},
        lambda s: s.model is not None and s.topic is not None,
        0.008,
        "The subject of a question calls up what belongs to it.",
        "It adds words that decide nothing.",
        lambda s: f"`{s.topic}` names the subject.",
    ),
    Move(
        "think-first",
        {"reasoned": True},
        lambda s: s.model is not None,
        0.010,
        "Steps on the way to the answer help models that can take them.",
        "Small models lose the thread; and every answer takes many times longer.",
        needs={"rule": "ask"},
    ),
    Move(
        "self-consistency",
        {"samples": 5},
        lambda s: s.model is not None,
        0.012,
        "The most frequent of several sampled answers is right more often than a single one (Wang et al. 2022, "
        "arXiv:2203.11171).",
        "Where the model guesses, a vote is a guess, too. It takes five times as long.",
        needs={"rule": "ask"},
    ),
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
