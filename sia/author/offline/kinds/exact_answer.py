"""Exact answers: problems that a search decides are recognised by their text and solved by it, the others are not.

Two families are known: the shortest walk of a knight over given squares of a board, and the line of best moves in a
chess position. Each solver is general for its family.
"""

import re
from dataclasses import dataclass
from typing import Literal

from sia.author.brief import Brief
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe
from sia.author.offline.kinds.questions import look_at_questions

ROUTE = r"(?is)(?=.*\bknight\b)(?=.*\b\d+\s*x\s*\d+\b)(?=.*minimum number of moves)(?=.*\(\d+,\s*\d+\))"
"""A walk of a knight on a board of a given size over squares that are given as pairs."""
POSITION = r"(?:[pnbrqkPNBRQK1-8]+/){7}[pnbrqkPNBRQK1-8]+ [wb] (?:-|[KQkq]+) (?:-|[a-h][36])(?: \d+ \d+)?"
"""Forsyth-Edwards notation."""


class ExactRecipe(Recipe):
    """How hard each family of problems is worked on."""

    route: Literal["nearest", "exchange", "exact"] = "nearest"
    line: Literal["none", "search"] = "none"
    nodes: int = 4_000
    """Positions that are looked at for one move of a line."""


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


def look_at_problems(brief: Brief) -> ProblemSchema:
    """Reads the problems. Raises NotOfThisKind when none of them belongs to a family that is known here."""
    found = look_at_questions(brief.task.public_dir)
    texts = [str(record.get(found.text, "")) for record in found.records]
    routes = sum(bool(re.match(ROUTE, text)) for text in texts)
    positions = sum(bool(re.search(POSITION, text)) for text in texts)
    if not routes + positions:
        raise NotOfThisKind(f"none of the {len(texts)} problems of {found.file} is of a family with a known search")
    return ProblemSchema(found.file, found.id, found.text, ROUTE, POSITION, routes, positions, len(texts))


def first_recipe(brief: Brief) -> ExactRecipe:
    """The simplest rule. Raises NotOfThisKind when the answers must come from a model."""
    if brief.task.answers == "model":
        raise NotOfThisKind("the task wants its answers from a language model, and this run has none")
    return ExactRecipe()


MOVES: tuple[Move[ProblemSchema], ...] = (
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
