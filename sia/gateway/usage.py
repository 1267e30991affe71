"""What a model call used, in tokens, and money as whole nanodollars, so that sums are exact."""

from dataclasses import dataclass

NANO = 1_000_000_000
"""Nanodollars in a US dollar."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one call. The four kinds of input do not overlap."""

    input: int = 0
    """Neither read from nor written to the provider's prompt cache."""
    cache_read: int = 0
    cache_write: int = 0
    """Kept by the provider for minutes."""
    cache_write_long: int = 0
    """Kept by the provider for an hour."""
    output: int = 0
    """Hidden reasoning included."""

    @property
    def all_input(self) -> int:
        """Every token of the prompt."""
        return self.input + self.cache_read + self.cache_write + self.cache_write_long

    @property
    def total(self) -> int:
        """Prompt and answer."""
        return self.all_input + self.output


@dataclass(frozen=True)
class Charge:
    """What a call costs at most, or did cost."""

    tokens: int
    nanodollars: int | None
    """None: the price is unknown."""


def dollars(nanodollars: int) -> float:
    """For people and files; exact up to nine million dollars."""
    return nanodollars / NANO
