"""Denoising of count matrices: what is left is a program, and its settings may be chosen on molecules it holds out."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sia.author.brief import Brief
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe

SAMPLE = "sample_denoise.py"
MODULES = ("metrics.py", "simulate.py", "datasets.py")


class MatrixRecipe(Recipe):
    """How the expected counts are told from the counts."""

    method: Literal["none", "neighbours", "diffusion", "low-rank"] = "none"
    rank: int = 15
    """Components of the logarithms."""
    thinned: bool = False
    """Whether the components are those of counts thinned to the depth that is measured at."""
    thinnings: int = 4
    chosen_rank: bool = False
    """Whether the rank is chosen on molecules that the program holds out itself."""
    blend: bool = False
    """Whether a diffusion is mixed in, with a weight chosen in the same way."""


@dataclass(frozen=True)
class MatrixSchema:
    """What the task asks for."""

    held_out: float
    """Share of the molecules that the program is measured on."""


def look_at_program(brief: Brief) -> MatrixSchema:
    """Reads the sample program and the split. Raises NotOfThisKind when the task asks for no `denoise`."""
    public = brief.task.public_dir
    for name in (SAMPLE, *MODULES):
        if not (public / name).is_file():
            raise NotOfThisKind(f"no {name} in {public}")
    defined = [node for node in _parsed(public / SAMPLE).body if isinstance(node, ast.FunctionDef)]
    if "denoise" not in {node.name for node in defined}:
        raise NotOfThisKind(f"{SAMPLE} defines no denoise")
    share = next((value for name, value in _constants(public / "metrics.py") if name == "TRAIN_SHARE"), None)
    if not isinstance(share, float):
        raise NotOfThisKind("metrics.py says no TRAIN_SHARE")
    return MatrixSchema(1.0 - share)


def first_recipe(brief: Brief) -> MatrixRecipe:
    """The counts as they are. Raises NotOfThisKind when the answers must come from a model."""
    if brief.task.answers == "model":
        raise NotOfThisKind("the task wants its answers from a language model, and a program denoises without one")
    return MatrixRecipe()


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise NotOfThisKind(f"{file.name} cannot be read: {error}") from None


def _constants(file: Path) -> list[tuple[str, object]]:
    """Names and values that the module gives at its top level."""
    found: list[tuple[str, object]] = []
    for node in _parsed(file).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found += [(target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name)]
    return found


MOVES: tuple[Move[MatrixSchema], ...] = (
    Move(
        "low-rank",
        {"method": "low-rank"},
        lambda s: True,
        0.070,
        "Cells differ in few ways and counts are noisy in as many as there are genes: the leading components of the "
        "logarithms keep the first and drop most of the second.",
        "Rare cell types may have no component of their own.",
        needs={"thinned": False},
    ),
    Move(
        "diffusion",
        {"method": "diffusion", "thinned": False, "chosen_rank": False, "blend": False},
        lambda s: True,
        0.065,
        "A walk over like cells borrows counts along gradients as well as within types (van Dijk et al. 2018).",
        "Where cells of several types touch, it mixes them.",
    ),
    Move(
        "thinned-low-rank",
        {"method": "low-rank", "thinned": True},
        lambda s: 0.0 < s.held_out < 0.5,
        0.060,
        "The logarithm of few counts is not the logarithm of their mean: components are learnt from counts that are "
        "thinned to the depth that is measured at.",
        "Thinning throws most counts away, and weak components with them; common genes gain at the cost of rare ones.",
        lambda s: f"The measure holds out {s.held_out:.0%} of the molecules.",
    ),
    Move(
        "neighbours",
        {"method": "neighbours", "thinned": False, "chosen_rank": False, "blend": False},
        lambda s: True,
        0.020,
        "The mean over like cells has less noise than one cell.",
        "What is particular to a cell is lost.",
    ),
    Move(
        "choose-rank",
        {"chosen_rank": True},
        lambda s: True,
        0.010,
        "How many components are signal depends on the data set; molecules that the program holds out itself tell.",
        "It takes several times as long.",
        needs={"method": "low-rank"},
    ),
    Move(
        "more-thinnings",
        {"thinnings": 12},
        lambda s: True,
        0.005,
        "The mean over more thinnings is nearer to what is to be expected.",
        "It takes longer, for little.",
        needs={"thinned": True},
    ),
    Move(
        "blend",
        {"blend": True},
        lambda s: True,
        0.004,
        "Components and neighbours err in different ways; a mean of both, weighted by what held-out molecules say, "
        "errs less.",
        "The weight may come out as all or nothing.",
        needs={"method": "low-rank"},
    ),
)

MATRIX = Kind(
    name="matrix",
    look=look_at_program,
    recipe=MatrixRecipe,
    first=first_recipe,
    moves=MOVES,
    template="matrix.py.j2",
)
