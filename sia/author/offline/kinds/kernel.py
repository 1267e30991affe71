"""Kernels: a fast program for the triangle multiplicative update, in PyTorch for processors and in Triton for GPUs.

The moves are those by which one would speed up a chain of normalisations, products and gates by hand: keep intermediate
results in the processor's caches, lay them out as the contraction wants them, start fewer and larger products, use
fewer bits where the tolerance allows it. What a move brings is measured by the evaluator, never assumed.
"""

from dataclasses import dataclass
from typing import Literal

from sia.author.brief import Brief
from sia.author.offline.grammar import Kind, Move, NotOfThisKind, Recipe

REFERENCE = "reference.py"
NAMES = ("eager", "make_data", "excess")
"""What the reference offers."""


class KernelRecipe(Recipe):
    """How the formula is computed on processors."""

    blocked: bool = False
    """Some thousand positions at a time, with the channels first for the contraction; else operation by operation."""
    rows: int = 4096
    """Positions in a block."""
    stacked: bool = False
    """The five projections in one product."""
    folded: bool = False
    """The first LayerNorm's scale and shift in the projections' weights."""
    precision: Literal["float32", "mixed", "bfloat16"] = "float32"
    """bfloat16 for nothing, for the contraction, or for the projections as well; all the rest stays in float32."""
    relaxed: bool = False
    """Whether PyTorch may take another library than its first for products in float32, and round inside."""
    tuned: bool = False
    """Whether the agent measures several sizes of blocks, and takes the fastest."""
    triton: bool = False
    """Whether a Triton kernel for GPUs is left as well."""


@dataclass(frozen=True)
class KernelSchema:
    """The public reference."""

    file: str
    triton: bool
    """Triton is in the agents' environment."""


def look_at_reference(brief: Brief) -> KernelSchema:
    """Raises NotOfThisKind unless a reference of this formula lies among the public files."""
    try:
        text = (brief.task.public_dir / REFERENCE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise NotOfThisKind(f"no {REFERENCE} in {brief.task.public_dir}") from None
    missing = [name for name in NAMES if f"def {name}(" not in text]
    if missing or "left_proj" not in text:
        raise NotOfThisKind(f"{REFERENCE} is no reference of the triangle multiplicative update")
    return KernelSchema(REFERENCE, any(package.startswith("triton==") for package in brief.task.installed))


def first_recipe(brief: Brief) -> KernelRecipe:
    """The formula itself, with a Triton kernel where Triton is there to look at it."""
    return KernelRecipe(triton=look_at_reference(brief).triton)


BLOCKED: dict[str, object] = {"blocked": True}

MOVES: tuple[Move[KernelSchema], ...] = (
    Move(
        "row-blocks",
        {"blocked": True},
        lambda s: True,
        0.60,
        "Most of the time goes into moving intermediate results through memory: x has C numbers a position, and each "
        "projection 128. A few thousand positions at a time stay in the caches, and what the contraction reads is "
        "written with the channels first, so that it becomes one batch of plain matrix products.",
        "Small inputs gain little: they stay in the caches anyway.",
        needs={"blocked": False},
    ),
    Move(
        "relaxed-products",
        {"relaxed": True},
        lambda s: True,
        0.80,
        "With a lower precision of float32 products allowed, PyTorch hands them to oneDNN, which uses the processor's "
        "widest instructions, and bfloat16 inside where there are fast ones for it.",
        "On processors that its first library knows well nothing changes.",
    ),
    Move(
        "half-contraction",
        {"precision": "mixed"},
        lambda s: True,
        0.40,
        "l, r and o are the largest intermediate results and leave the caches; in bfloat16 they are half as large, and "
        "the contraction multiplies twice as fast. Sums stay in float32; float16 would be far slower on most.",
        "The tolerance of 2e-2 is a few roundings away.",
        needs={**BLOCKED, "precision": "float32"},
    ),
    Move(
        "half-projections",
        {"precision": "bfloat16"},
        lambda s: True,
        0.03,
        "The projections are the larger part of the products, and bfloat16 doubles their speed.",
        "With unlucky weights, masks of zeros and ones and C = 128 single elements leave the tolerance: refused then.",
        needs={**BLOCKED, "precision": "mixed"},
    ),
    Move(
        "one-product",
        {"stacked": True},
        lambda s: True,
        0.20,
        "Five projections of one input are one product with the weights on top of each other: the input is read once.",
        "The result of a block is five times as large, and may leave the cache.",
        needs=BLOCKED,
    ),
    Move(
        "measured-blocks",
        {"tuned": True},
        lambda s: True,
        0.15,
        "The best size of a block depends on the caches of this machine; the agent measures several on public inputs.",
        "On a busy machine it may take a worse one.",
        needs=BLOCKED,
    ),
    Move(
        "fold-norm",
        {"folded": True},
        lambda s: True,
        0.05,
        "LayerNorm's scale and shift are linear: in the weights and in a bias they cost nothing for each position.",
        "The bias is rounded once more, the same for all positions.",
        needs=BLOCKED,
    ),
    Move(
        "smaller-blocks",
        {"rows": 2048},
        lambda s: True,
        0.02,
        "Half as many positions in a block, for processors with small caches.",
        "Smaller products are less efficient.",
        needs={**BLOCKED, "tuned": False},
    ),
)

KERNEL = Kind(
    name="kernel",
    look=look_at_reference,
    recipe=KernelRecipe,
    first=first_recipe,
    moves=MOVES,
    template="kernel.py.j2",
)
