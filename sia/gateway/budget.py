"""Caps that bind: a call's worst case is held before the call is sent, and settled when it ends.

For every account, at any time: spent + held <= cap, so that calls that run side by side cannot overshoot. It does not
know what a call costs or who makes it; `sia.gateway.prices` and `sia.gateway.service` do. Used by one thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sia.gateway.usage import NANO, Charge


@dataclass(frozen=True)
class Cap:
    """What may be spent; None: as much as one likes."""

    nanodollars: int | None = None
    tokens: int | None = None

    @staticmethod
    def of(cost: float | None, tokens: int | None) -> "Cap":
        """A cap in US dollars and tokens."""
        return Cap(None if cost is None else round(cost * NANO), tokens)


NO_CAP = Cap()


@dataclass
class Account:
    """One cap, and what counts against it."""

    cap: Cap
    scope: str = ""
    """What the cap is of, for messages: "", " a generation", " a run of the target agent"."""
    nanodollars: int = 0
    tokens: int = 0
    held_nanodollars: int = 0
    held_tokens: int = 0
    struck: str | None = None
    """Why a call was refused, once one was."""

    def lacks(self, need: Charge, with_held: bool) -> str | None:
        """The cap that has no room for `need`, in words; None when there is room."""
        cost, tokens = self.nanodollars, self.tokens
        if with_held:
            cost, tokens = cost + self.held_nanodollars, tokens + self.held_tokens
        most = self.cap.nanodollars
        if most is not None and need.nanodollars is not None and cost + need.nanodollars > most:
            told = f"${cost / NANO:.4g} spent, the next call may cost ${need.nanodollars / NANO:.4g}"
            return f"cost cap of ${most / NANO:g}{self.scope} reached ({told})"
        if self.cap.tokens is not None and tokens + need.tokens > self.cap.tokens:
            told = f"{tokens} used, the next call may take {need.tokens}"
            return f"cap of {self.cap.tokens} tokens{self.scope} reached ({told})"
        return None


@dataclass
class Hold:
    """A call's worst case, held in every account that it counts against, until it is settled."""

    accounts: Sequence[Account]
    need: Charge
    open: bool = True

    def settle(self, charge: Charge) -> None:
        """Gives the held sum free and charges what the call cost. A second time does nothing."""
        if not self.open:
            return
        self.open = False
        for account in self.accounts:
            account.held_tokens -= self.need.tokens
            account.held_nanodollars -= self.need.nanodollars or 0
            account.tokens += charge.tokens
            account.nanodollars += charge.nanodollars or 0


class CapReachedError(Exception):
    """A call does not fit under a cap, whatever the calls in flight will cost. The text names the cap."""

    def __init__(self, reason: str, account: Account) -> None:
        self.account = account
        super().__init__(reason)


def hold(accounts: Sequence[Account], need: Charge) -> Hold | None:
    """Holds `need` in all accounts or in none; None when it would fit once calls in flight are settled.

    Raises CapReachedError, and marks the account as struck, when it can never fit.
    """
    for account in accounts:
        if reason := account.lacks(need, with_held=False):
            account.struck = reason
            raise CapReachedError(reason, account)
    if any(account.lacks(need, with_held=True) for account in accounts):
        return None
    for account in accounts:
        account.held_tokens += need.tokens
        account.held_nanodollars += need.nanodollars or 0
    return Hold(accounts, need)
