"""What a training at Tinker uses, in tokens, and costs where the prices are known."""

from pydantic import BaseModel, ConfigDict

from sia.gateway.providers import TokenPrices


class Meter(BaseModel):
    """Tokens so far. Tinker bills each kind at a price of its own."""

    model_config = ConfigDict(extra="forbid")

    read: int = 0
    """Of prompts, when answers are drawn or scored."""
    written: int = 0
    trained: int = 0
    """Passed forward and backward."""

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.read + self.written + self.trained


def cost_of(meter: Meter, prices: TokenPrices | None) -> float | None:
    """US dollars; None: the price of training is not known. No discount for repeated prompts is taken into account."""
    if prices is None or prices.train is None:
        return None
    return (meter.read * prices.input + meter.written * prices.output + meter.trained * prices.train) / 1_000_000
