"""Exact answers: problems that a search decides are recognised by their text and solved by it.

What no search decides is put to the model, where the run has one. Two families are known: the shortest walk of a knight
over given squares of a board, and the line of best moves in a chess position. Each solver is general for its family.
"""

import re
from dataclasses import dataclass
from typing import Literal

from sia.author.brief import Brief, CalledModel
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.asked import asked_model, demand_model
from sia.author.offline.kinds.questions import SAMPLE, look_at_questions

ROUTE = r"(?is)(?=.*\bknight\b)(?=.*\b\d+\s*x\s*\d+\b)(?=.*minimum number of moves)(?=.*\(\d+,\s*\d+\))"
"""A walk of a knight on a board of a given size over squares that are given as pairs."""
POSITION = r"(?:[pnbrqkPNBRQK1-8]+/){7}[pnbrqkPNBRQK1-8]+ [wb] (?:-|[KQkq]+) (?:-|[a-h][36])(?: \d+ \d+)?"
"""Forsyth-Edwards notation."""


class ExactRecipe(Recipe):
    """How hard each family of problems is worked on."""

    route: Literal["none", "nearest", "exchange", "exact"] = "nearest"
    line: Literal["none", "search"] = "none"
    nodes: int = 4_000
    """Positions that are looked at for one move of a line."""
    asked: bool = False
    """Whether the model gets the problems that no search above works on."""
    reasoned: bool = False
    """Whether it is told to think before it answers."""
    samples: int = 1
    """Answers of the model to one problem; the most frequent one is taken."""

    def asks_model(self) -> bool:
        return self.asked and self.route == self.line == "none"


@dataclass(frozen=True)
class ProblemSchema:
    """The problems of a task."""

    file: str
    id: str
    text: str
    route_pattern: str
    position_pattern: str
    routes: int
    """Problems about a walk."""
    positions: int
    """Problems about a chess position."""
    count: int
    sample: str
    """File with answers of the right form."""
    model: CalledModel | None


def look_at_problems(brief: Brief) -> ProblemSchema:
    """Reads the problems. Raises NotOfThisKind when none of them belongs to a family that is known here."""
    found = look_at_questions(brief.task.public_dir)
    texts = [str(record.get(found.text, "")) for record in found.records]
    routes = sum(bool(re.match(ROUTE, text)) for text in texts)
    positions = sum(bool(re.search(POSITION, text)) for text in texts)
    model = asked_model(brief)
    if not routes + positions and model is None:
        raise NotOfThisKind(f"none of the {len(texts)} problems of {found.file} is of a family with a known search")
    return ProblemSchema(
        found.file, found.id, found.text, ROUTE, POSITION, routes, positions, len(texts), SAMPLE, model
    )


def first_recipe(brief: Brief) -> ExactRecipe:
    """The simplest rule; the model alone where it is demanded. Raises NotOfThisKind when there is none."""
    model = demand_model(brief)
    if brief.task.answers == "model" or (model and not _has_family(brief)):
        return ExactRecipe(route="none", asked=True)
    return ExactRecipe()


def _has_family(brief: Brief) -> bool:
    schema = look_at_problems(brief)
    return schema.routes + schema.positions > 0


MOVES: tuple[Move[ProblemSchema], ...] = (
    Move(
        "ask-the-model",
        {"asked": True},
        lambda s: s.model is not None,
        0.015,
        "The model may know what no search here works on; an answer costs nothing where none would be given.",
        "A small model's answers to hard problems are guesses.",
        lambda s: f"{s.count - s.routes - s.positions} of {s.count} problems are of no family with a search.",
    ),
    Move(
        "think-first",
        {"reasoned": True},
        lambda s: s.model is not None,
        0.010,
        "Steps on the way to the answer help models that can take them.",
        "Small models lose the thread; and every answer takes many times longer.",
        needs={"asked": True},
    ),
    Move(
        "self-consistency",
        {"samples": 5},
        lambda s: s.model is not None,
        0.008,
        "The most frequent of several sampled answers is right more often than a single one (Wang et al. 2022, "
        "arXiv:2203.11171).",
        "Where the model guesses, a vote is a guess, too. It takes five times as long.",
        needs={"asked": True},
    ),
    Move(
        "exact-walk",
        {"route": "exact"},
        lambda s: s.routes > 0,
        0.300,
        "The walk is a graph problem: distances between the squares by breadth-first search, then the shortest path "
        "through all of them as an integer program, with cuts until it hangs together. Its optimum is proven.",
        "The program may take long when there are many squares.",
        lambda s: f"{s.routes} of {s.count} problems give a board, a start and squares to touch.",
    ),
    Move(
        "exchange-walk",
        {"route": "exchange"},
        lambda s: s.routes > 0,
        0.050,
        "Turning round parts of the order of squares, as long as that makes the walk shorter, removes its crossings.",
        "It ends where no single turn helps, and that is seldom the shortest walk.",
        lambda s: f"{s.routes} of {s.count} problems give a board, a start and squares to touch.",
        needs={"route": "nearest"},
    ),
    Move(
        "search-line",
        {"line": "search"},
        lambda s: s.positions > 0,
        0.040,
        "Alpha-beta search with a count of material finds forced gains and mates.",
        "Quiet positions are decided by more than material; there its moves are guesses.",
        lambda s: f"{s.positions} of {s.count} problems give a position.",
    ),
    Move(
        "deeper-line",
        {"nodes": 30_000},
        lambda s: s.positions > 0,
        0.020,
        "Looking at more positions finds longer combinations.",
        "It takes minutes, and what counts in quiet positions stays the same.",
        lambda s: f"{s.positions} of {s.count} problems give a position.",
        needs={"line": "search"},
    ),
)

EXACT_ANSWER = Kind(
    name="exact-answer",
    look=look_at_problems,
    recipe=ExactRecipe,
    first=first_recipe,
    moves=MOVES,
    template="exact_answer.py.j2",
)
