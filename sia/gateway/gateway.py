"""The gateway of a run: an event loop in a thread of its own, and a server for each program that may reach a model."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from sia.gateway.access import Access
from sia.gateway.budget import NO_CAP, Account, Cap
from sia.gateway.engine import Engine, open_engine
from sia.gateway.grant import Grant, Pace
from sia.gateway.keys import key_of
from sia.gateway.prices import price_of
from sia.gateway.providers import Model
from sia.gateway.recording import Recording
from sia.gateway.service import Service
from sia.gateway.trace import Role, TraceLine, events_of, is_charged, modelled_as, spending_of
from sia.gateway.upstream import Patience
from sia.gateway.usage import NANO
from sia.gateway.variables import program_variables

GRACE_SECONDS = 10.0
"""How long a program may go on after a cap of the run has refused it a call."""
SIDE_BY_SIDE = 64
END_SECONDS = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """What the gateway of a run allows, and what it keeps."""

    run: Cap = NO_CAP
    generation: Cap = NO_CAP
    target: Cap = NO_CAP
    """Of one run of the target agent."""
    calls_per_minute: int = 600
    keep_bodies: bool = True
    cache: Path | None = None
    """Folder of answers that runs share; None: no answer is reused."""
    patience: Patience = field(default_factory=Patience)


class Gateway:
    """See the module. One run, one process."""

    def __init__(
        self,
        folder: Path,
        models: Mapping[Role, Model],
        variables: Mapping[str, str],
        rules: Rules | None = None,
        replay: Recording | None = None,
        on_close: Sequence[Callable[[], None]] = (),
    ) -> None:
        """`variables` hold the keys. With `replay` every answer comes from it. Raises StoreError: a damaged journal."""
        self._on_close = on_close
        self.models = dict(models)
        self._variables = variables
        self._rules = rules or Rules()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway", daemon=True)
        self._thread.start()
        rules = self._rules
        try:
            self._engine = self._do(_opened(folder, rules.patience, rules.keep_bodies, rules.cache, replay))
        except BaseException:
            self._stop()
            raise
        self._run_account = self._account(rules.run, "", lambda _: True)
        self._charged: dict[int, int] = {}
        """Nanodollars that each generation spent past the gateway."""
        self._attempts: dict[tuple[int, Role], int] = {}

    @contextmanager
    def access(
        self, role: Role, generation: int, adapter: str | None = None, cap: Cap | None = None
    ) -> Iterator[Access]:
        """See the protocol. Raises OSError when a call could not be written down."""
        # One process runs a stage once; a stage may start a program more than once.
        if (generation, role) not in self._attempts:
            if self._engine.replay is not None:
                self._do(_written(self._engine, self._engine.replay.cut_short(generation, role)))
            self._attempts[generation, role] = 1 + self._engine.journal.attempts(generation, role)
        before = len(self._engine.journal.calls)
        grant = self._grant(role, generation, adapter)
        own = Account(cap or NO_CAP, " of a trial")
        grant.accounts = [*grant.accounts, own]
        service = Service(grant, self._engine)
        servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

        def listen(listener: socket.socket) -> None:
            servers.append(self._do(_serve(service, listener)))

        access = Access(
            variables=program_variables(role, self.models, service.grant.token),
            on_listener=listen,
            stopped=lambda: _overdue(service.grant),
        )
        try:
            yield access
        finally:
            self._do(_end(service, servers))
        self._do(self._engine.saved())
        calls = self._engine.journal.select(lambda call: (call.generation, call.role) == (generation, role))
        access.spending = spending_of(calls)
        access.events = events_of(self._engine.journal.calls[before:])
        access.own_cap = own.struck
        access.run_cap = service.grant.run_cap

    def charge(self, generation: int, cost: float) -> None:
        """See the protocol."""
        nanodollars = round(cost * NANO)
        self._charged[generation] = self._charged.get(generation, 0) + nanodollars
        self._run_account.nanodollars += nanodollars

    def left(self, generation: int) -> float | None:
        """See the protocol."""
        accounts = self._run_account, self._generation_account(generation)
        rest = [a.cap.nanodollars - a.nanodollars for a in accounts if a.cap.nanodollars is not None]
        return max(0, min(rest)) / NANO if rest else None

    def calls_of(self, generation: int) -> list[TraceLine]:
        """See the protocol."""
        return self._engine.journal.select(lambda call: call.generation == generation)

    @property
    def head(self) -> str:
        """See the protocol."""
        return self._engine.journal.head

    @property
    def strayed(self) -> Sequence[str]:
        """In a replay: requests that the recording does not hold as they are."""
        return self._engine.strayed

    def close(self) -> None:
        """Ends connections and thread."""
        self._do(self._engine.close())
        self._stop()
        for close in self._on_close:
            close()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_SECONDS)

    def _grant(self, role: Role, generation: int, adapter: str | None) -> Grant:
        model = self.models[modelled_as(role)]
        key = key_of(model.provider, self._variables)
        accounts = [self._run_account, self._generation_account(generation)]
        if role == "target":
            ours = (generation, role)
            accounts.append(
                self._account(
                    self._rules.target, " of a target agent", lambda call: (call.generation, call.role) == ours
                )
            )
        return Grant(
            role=role,
            generation=generation,
            attempt=self._attempts[generation, role],
            model=model,
            price=price_of(model),
            key=key,
            missing_key=model.provider.key_variables[0] if model.provider.key_variables and key is None else None,
            accounts=accounts,
            pace=Pace(self._rules.calls_per_minute),
            side_by_side=SIDE_BY_SIDE,
            adapter=adapter,
        )

    def _generation_account(self, generation: int) -> Account:
        account = self._account(self._rules.generation, " of a generation", lambda call: call.generation == generation)
        account.nanodollars += self._charged.get(generation, 0)
        return account

    def _account(self, cap: Cap, scope: str, counts: Callable[[TraceLine], bool]) -> Account:
        """An account with what its calls have cost so far."""
        calls = [call for call in self._engine.journal.calls if is_charged(call) and counts(call)]
        return Account(
            cap,
            scope,
            nanodollars=sum(round((call.cost or 0.0) * NANO) for call in calls),
            tokens=sum(call.input_tokens + call.output_tokens for call in calls),
        )

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _opened(
    folder: Path, patience: Patience, keep_bodies: bool, cache: Path | None, replay: Recording | None
) -> Engine:
    return open_engine(folder, patience, keep_bodies, cache, replay)


async def _written(engine: Engine, calls: Sequence[TraceLine]) -> None:
    for call in calls:
        engine.journal.end(call)


async def _serve(service: Service, listener: socket.socket) -> "tuple[uvicorn.Server, asyncio.Task[None]]":
    listener.setblocking(False)
    # Connections inherit it; without it small answers wait for the program's acknowledgement, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        service,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    return server, asyncio.create_task(server.serve(sockets=[listener]))


async def _end(service: Service, servers: "Sequence[tuple[uvicorn.Server, asyncio.Task[None]]]") -> None:
    await service.end()
    for server, _ in servers:
        server.should_exit = True
    if servers:
        await asyncio.wait([task for _, task in servers], timeout=END_SECONDS)
    # A call that came in between.
    await service.end()


def _overdue(grant: Grant) -> str | None:
    if grant.run_cap and time.monotonic() - grant.run_cap_at > GRACE_SECONDS:
        return grant.run_cap
    return None
