"""What is measured: shapes, distributions, masks."""

from dataclasses import dataclass

import torch
from reference import MASKS, Data, make_data


@dataclass(frozen=True)
class Case:
    """One input, but for its seed."""

    n: int
    batch: int
    dim: int
    cauchy: bool
    mask: str

    @property
    def name(self) -> str:
        """`256x1x384 normal, mask float`."""
        drawn = "cauchy" if self.cauchy else "normal"
        return f"{self.n}x{self.batch}x{self.dim} {drawn}, mask {self.mask}"

    def data(self, seed: int, device: str = "cpu") -> Data:
        """The input of this seed."""
        return make_data(self.n, self.batch, self.dim, cauchy=self.cauchy, mask=self.mask, seed=seed, device=device)


SHAPES = (
    (256, 2, 128, False),
    (768, 1, 128, True),
    (256, 2, 384, False),
    (512, 1, 128, False),
    (1024, 1, 128, True),
    (768, 1, 384, False),
    (1024, 1, 384, False),
)
"""(N, B, C, Cauchy) of the timed cases on a GPU."""
CPU_SHARE = 4
"""On a CPU N is a fourth of that: a whole evaluation takes a minute on two cores."""
_CORRECT = ((16, 1), (33, 2), (48, 1))


def gpu_timed() -> list[Case]:
    """The seven shapes. The masks given here are replaced: ones and {0,1} take turns from repeat to repeat."""
    return [Case(*shape, "ones") for shape in SHAPES]


def cpu_timed() -> list[Case]:
    """The same with a fourth of N, each once with a mask of ones and once with one of zeros and ones."""
    return [Case(n // CPU_SHARE, b, c, cauchy, mask) for n, b, c, cauchy in SHAPES for mask in MASKS[:2]]


def cpu_correct() -> list[Case]:
    """18 small inputs, sizes that no block divides among them: every mask with both distributions and both widths."""
    cases = [Case(n, b, dim, False, mask) for n, b in _CORRECT for dim in (128, 384) for mask in MASKS]
    return [Case(c.n, c.batch, c.dim, (k + k // 6) % 2 == 1, c.mask) for k, c in enumerate(cases)]


def gpu_correct() -> list[Case]:
    """18 shapes, each with every mask and both distributions."""
    shapes = [(n, b, c) for n in (32, 64, 100, 128, 200, 256) for b, c in ((1, 128), (2, 128), (1, 384))]
    return [Case(*shape, cauchy, mask) for shape in shapes for cauchy in (False, True) for mask in MASKS]


def triton_cases() -> list[Case]:
    """Eight inputs that the interpreter of Triton can do in seconds."""
    return [
        Case(16, 1, 128, False, "ones"),
        Case(16, 2, 128, True, "float32"),
        Case(32, 1, 384, False, "int64"),
        Case(32, 1, 128, False, "float32"),
        Case(48, 1, 128, True, "ones"),
        Case(64, 1, 128, False, "float32"),
        Case(64, 1, 384, False, "ones"),
        Case(128, 1, 128, False, "float32"),
    ]


def same_bits(data: Data, other: Data) -> bool:
    """Whether two inputs are equal bit for bit, NaN included."""
    pairs = [(data[0], other[0]), (data[1], other[1]), *((data[2][key], other[2][key]) for key in data[2])]
    return all(torch.equal(a.view(torch.uint8), b.view(torch.uint8)) for a, b in pairs)
