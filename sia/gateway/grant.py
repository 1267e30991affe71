"""What one jailed program may do: one model, its accounts, its rate, its token."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sia.gateway.budget import Account
from sia.gateway.dialects import DIALECTS
from sia.gateway.dialects.protocol import Dialect
from sia.gateway.prices import Price
from sia.gateway.providers import Model
from sia.gateway.trace import Role

MOST_REFUSALS = 1000
"""Refused calls of one program that are recorded."""


@dataclass
class Pace:
    """So many calls a minute: a bucket that holds a minute's worth. Whoever comes too early waits."""

    per_minute: int
    _credit: float = field(init=False)
    _at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._credit = float(self.per_minute)

    async def turn(self) -> None:
        """Returns when the next call may start."""
        now = time.monotonic()
        self._credit = min(self.per_minute, self._credit + (now - self._at) * self.per_minute / 60) - 1
        self._at = now
        if self._credit < 0:
            await asyncio.sleep(-self._credit * 60 / self.per_minute)


@dataclass
class Grant:
    """The rights of one start of a stage's program."""

    role: Role
    generation: int
    attempt: int
    model: Model
    price: Price
    key: str | None
    """The provider's; never leaves this process but to the provider."""
    missing_key: str | None
    """Variable that should hold the key and does not."""
    accounts: Sequence[Account]
    pace: Pace
    side_by_side: int
    """Calls in flight; more wait."""
    adapter: str | None = None
    """The LoRA adapter that the gateway asks for, whatever the program asks: a digest, at Tinker a path."""
    token: str = field(default_factory=lambda: f"sia-{secrets.token_hex(16)}")
    refusals: int = 0
    run_cap: str | None = None
    """The cap of the whole run that refused a call of this program."""
    run_cap_at: float = 0.0
    """When, on the clock of `time.monotonic`."""

    @property
    def dialect(self) -> Dialect:
        """The one that its model speaks."""
        return DIALECTS[self.model.provider.dialect]
