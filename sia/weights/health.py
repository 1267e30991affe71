"""Watches a training for what cannot end well, or has nothing left to learn. It looks at numbers alone."""

import math
from dataclasses import dataclass, field

from sia.weights.outcome import Ending

PATIENCE = 25
"""Steps in a row that must look wrong; one bad batch is no fault."""
MAX_KL = 10.0
"""Nats a token from the start: the model then says something else altogether."""
FAR_STEPS = 5
SMOOTHING = 0.9
SOLVED = 0.999


@dataclass(frozen=True)
class Fault:
    """Why a training ends before its last step."""

    ended: Ending
    reason: str


@dataclass
class Health:
    """What was seen so far."""

    first: float | None = None
    smooth: float | None = None
    high: int = 0
    far: int = 0
    even: int = 0
    recent: list[float] = field(default_factory=list)
    graded: bool = True
    """Whether a reward of 1 means a right answer; a vote's only means that all agree."""

    def look(
        self,
        step: int,
        loss: float,
        gradient_norm: float | None,
        reward: float | None,
        kl: float | None,
        spread: float | None,
    ) -> Fault | None:
        """Takes in one step; says what is wrong, if anything."""
        norm = gradient_norm if gradient_norm is not None else 0.0
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return Fault("not finite", f"step {step}: loss {loss:g}, gradient {norm:g}; lower the learning rate")
        self.far = self.far + 1 if kl is not None and kl > MAX_KL else 0
        if self.far >= FAR_STEPS:
            return Fault(
                "diverged",
                f"step {step}: {kl:.1f} nats a token from the start; lower the learning rate or raise kl_weight",
            )
        if spread is None:
            return self._loss_rises(step, loss)
        return self._nothing_to_prefer(step, reward or 0.0, spread)

    def _loss_rises(self, step: int, loss: float) -> Fault | None:
        self.smooth = loss if self.smooth is None else SMOOTHING * self.smooth + (1 - SMOOTHING) * loss
        self.first = self.smooth if self.first is None else self.first
        self.high = self.high + 1 if self.smooth > 2.0 * self.first + 1.0 else 0
        if self.high < PATIENCE:
            return None
        return Fault(
            "diverged",
            f"step {step}: the loss rose from {self.first:.3g} to {self.smooth:.3g}; lower the learning rate",
        )

    def _nothing_to_prefer(self, step: int, reward: float, spread: float) -> Fault | None:
        self.even = self.even + 1 if spread == 0.0 else 0
        self.recent = [*self.recent, reward][-PATIENCE:]
        if self.even < PATIENCE:
            return None
        mean = sum(self.recent) / len(self.recent)
        if self.graded and SOLVED <= mean <= 1.0 + 1e-9:
            return Fault("solved", f"step {step}: every sampled answer of the last {PATIENCE} steps had full reward")
        return Fault(
            "collapsed",
            f"step {step}: the answers of every group had equal rewards for {PATIENCE} steps, {mean:.3g} on average, "
            "and so taught nothing; take larger groups, a finer reward, a higher temperature, or cloning first",
        )
