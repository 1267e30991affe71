"""What a stage gets to let its program reach a model, and what it learns afterwards. Light: no server is imported."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from sia.gateway.budget import Cap
from sia.gateway.providers import Model
from sia.gateway.trace import Role, TraceLine
from sia.jail.protocol import OnListener
from sia.store.records import Spending


@dataclass
class Access:
    """The way of one program to its model; without a gateway there is none."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """For the program's environment; the jail puts the address in."""
    on_listener: OnListener | None = None
    """For the jail: takes the listener that the program reaches."""
    stopped: Callable[[], str | None] = lambda: None
    """Why the program has to be stopped, in words, once a cap of the run has refused it a call and it has not ended."""
    spending: Spending = field(default_factory=Spending)
    """Afterwards: what the starts in this role have cost in this generation."""
    events: tuple[str, ...] = ()
    """Afterwards: what the gateway refused, in words."""
    own_cap: str | None = None
    """Afterwards: the cap of this one start that was reached."""
    run_cap: str | None = None
    """Afterwards: the cap of the run that was reached; the stage must not be recorded."""


class ModelGateway(Protocol):
    """A gateway as the stages know it."""

    @property
    def models(self) -> Mapping[Role, Model]:
        """Who has which model."""
        ...

    def access(
        self, role: Role, generation: int, adapter: str | None = None, cap: Cap | None = None
    ) -> AbstractContextManager[Access]:
        """Opens the way for one program; at the end every call is settled and written down.

        `adapter` is what the LoRA adapter is called where the model is served: its digest, at Tinker its path. `cap`
        is of this one start.
        """
        ...

    def charge(self, generation: int, cost: float) -> None:
        """Counts US dollars that were spent past it, on training, against the caps of the run and the generation."""
        ...

    def left(self, generation: int) -> float | None:
        """US dollars that the caps of the run and the generation still allow; None: no cap."""
        ...

    def calls_of(self, generation: int) -> list[TraceLine]:
        """The calls of a generation, by id."""
        ...

    @property
    def head(self) -> str:
        """SHA-256 of the last line of `calls.jsonl`."""
        ...

    def close(self) -> None:
        """Ends the gateway."""
        ...
