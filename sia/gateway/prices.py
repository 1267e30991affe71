"""What calls cost. From `sia.toml`, else from the library genai-prices, which needs no network; else unknown."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from sia.gateway.providers import Model, TokenPrices
from sia.gateway.usage import NANO, Charge, Usage

MOST_CONTEXT = 1_048_576
"""Input tokens of a model whose context window is unknown."""
MOST_OUTPUT = 131_072
"""Output tokens of a call that sets no limit."""


@dataclass(frozen=True)
class Price:
    """The price of one model."""

    of: Callable[[Usage], int] | None
    """Nanodollars of a call; None: unknown."""
    context: int = MOST_CONTEXT
    """The most input tokens that the model takes."""

    def charge(self, usage: Usage) -> Charge:
        """What a call with this usage costs."""
        return Charge(usage.total, self.of(usage) if self.of else None)

    def worst(self, tokens_in: int, tokens_out: int) -> Charge:
        """The most that a call can cost: its whole input new, or written to the provider's cache."""
        if self.of is None:
            return Charge(tokens_in + tokens_out, None)
        # What is kept for an hour is never cheaper than what is kept for minutes.
        ways = Usage(input=tokens_in, output=tokens_out), Usage(cache_write_long=tokens_in, output=tokens_out)
        return Charge(tokens_in + tokens_out, max(map(self.of, ways)))


def price_of(model: Model) -> Price:
    """The price of `model`."""
    override = model.provider.prices.get(model.name)
    if override is not None:
        return Price(lambda usage: _by_table(override, usage), _context(model))
    if model.provider.free:
        return Price(lambda _: 0)
    if model.provider.price_id is None or not _in_library(model):
        return Price(None)
    return Price(lambda usage: _by_library(model, usage), _context(model))


def _by_table(prices: TokenPrices, usage: Usage) -> int:
    read = prices.input if prices.cache_read is None else prices.cache_read
    write = prices.input if prices.cache_write is None else prices.cache_write
    per_million = (
        usage.input * prices.input
        + usage.cache_read * read
        + (usage.cache_write + usage.cache_write_long) * write
        + usage.output * prices.output
    )
    return math.ceil(round(per_million * NANO / 1_000_000, 3))


def _by_library(model: Model, usage: Usage) -> int:
    from genai_prices import Usage as LibraryUsage
    from genai_prices import calc_price

    told = LibraryUsage(
        input_tokens=usage.all_input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write + usage.cache_write_long,
        cache_write_1h_tokens=usage.cache_write_long,
        output_tokens=usage.output,
    )
    return math.ceil(calc_price(told, model.name, provider_id=model.provider.price_id).total_price * NANO)


def _in_library(model: Model) -> bool:
    try:
        _by_library(model, Usage())
    except LookupError:
        return False
    return True


def _context(model: Model) -> int:
    from genai_prices import Usage as LibraryUsage
    from genai_prices import calc_price

    try:
        found = calc_price(LibraryUsage(), model.name, provider_id=model.provider.price_id).model
    except (LookupError, ValueError):
        return MOST_CONTEXT
    return found.context_window or MOST_CONTEXT
