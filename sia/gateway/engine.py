"""What the calls of one run share: connections, accounts, journal, bodies, recordings. Lives in the gateway's loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sia.gateway.bodies import BODIES, Bodies
from sia.gateway.budget import CapReachedError, Hold, hold
from sia.gateway.call import Call
from sia.gateway.grant import MOST_REFUSALS
from sia.gateway.journal import CALLS_FILE, Journal
from sia.gateway.recording import Cache, Recorded, Recording, is_good
from sia.gateway.trace import Source, TraceLine
from sia.gateway.upstream import Patience, Upstream
from sia.gateway.usage import Charge


@dataclass
class Engine:
    """See the module."""

    journal: Journal
    upstream: Upstream
    patience: Patience
    bodies: Bodies | None
    """None: bodies are not kept."""
    replay: Recording | None = None
    """Every answer comes from here; there is no upstream."""
    again: Recording | None = None
    """Answers of stages that were cut short, for when they run again."""
    cache: Cache | None = None
    strayed: list[str] = field(default_factory=list)
    """Requests of a replay that the recording does not hold as they are, in words."""
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _saving: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="bodies"))
    failures: list[OSError] = field(default_factory=list)
    """What could not be written down, a full disk for example."""

    def find(self, call: Call) -> tuple[Recorded, Source] | None:
        """The answer to a call that is there already, and where it was found."""
        grant = call.grant
        if self.replay is not None:
            found = self.replay.take(grant.generation, grant.role, call.key)
            if found is None:
                where = f"generation {grant.generation}, {grant.role}: POST {call.path}"
                found = self.replay.take_in_order(grant.generation, grant.role, call.path)
                self.strayed.append(f"{where}, {'other content' if found else 'not recorded at all'}")
            return (found, "recording") if found else None
        if self.again is not None and (found := self.again.take(grant.generation, grant.role, call.key)):
            return found, "recording"
        if self.cache is not None and (found := self.cache.get(call.key)):
            return found, "cache"
        return None

    async def hold(self, call: Call) -> Hold:
        """Holds the call's worst case, waiting for calls in flight when only they are in its way.

        Raises CapReachedError, and OSError when the call cannot be written down.
        """
        most = call.most
        while True:
            self._settled.clear()
            try:
                held = hold(call.grant.accounts, most)
            except CapReachedError as error:
                if error.account is call.grant.accounts[0] and call.grant.run_cap is None:
                    call.grant.run_cap, call.grant.run_cap_at = str(error), time.monotonic()
                raise
            if held is not None:
                try:
                    self.journal.begin(call.line(), most)
                except OSError:
                    held.settle(Charge(0, 0))
                    self._settled.set()
                    raise
                return held
            await self._settled.wait()

    def lose(self, call: Call) -> None:
        """Charges a try that got no answer and may have been billed."""
        most = call.most
        assert call.hold is not None
        call.hold.settle(most)
        call.lost.append(most)
        call.may_be_billed = False
        self._settled.set()

    def finish(self, call: Call) -> None:
        """Settles a call and writes it down. Safe to call when the call was cancelled."""
        settled = call.settled()
        line = call.line(settled)
        if call.hold is not None:
            call.hold.settle(settled[1])
            self._settled.set()
        if call.source == "gateway":
            call.grant.refusals += 1
            if call.grant.refusals > MOST_REFUSALS:
                return
        self._end(line)
        self._save(call, line)

    def repeat(self, call: Call, found: Recorded, source: Source) -> None:
        """Writes down that a call was answered from what is there. A replay's line is the recorded one."""
        if self.replay is not None:
            self.journal.end(found.call)
            return
        told = {"cost": 0.0, "source": source, "content_type": found.call.content_type, "answer": found.call.answer}
        tokens = {name: getattr(found.call, name) for name in ("input_tokens", "cached_tokens", "output_tokens")}
        self._end(call.line().model_copy(update=told | tokens))
        self._save(call, None, found.body)

    def _end(self, line: TraceLine) -> None:
        try:
            self.journal.end(line)
        except OSError as error:
            self.failures.append(error)

    def _save(self, call: Call, line: TraceLine | None, answer: bytes | None = None) -> None:
        if answer is None:
            answer = b"".join(call.answer)
        if self.bodies is not None:
            self._in_background(self.bodies.keep, call.body)
            if answer:
                self._in_background(self.bodies.keep, answer)
        if self.cache is not None and line is not None and is_good(line) and line.source == "upstream":
            cache, good = self.cache, line
            self._in_background(lambda content: cache.keep(good, content), answer)

    def _in_background(self, keep: Callable[[bytes], object], content: bytes) -> None:
        def work() -> None:
            try:
                keep(content)
            except OSError as error:
                self.failures.append(error)

        self._saving.submit(work)

    async def saved(self) -> None:
        """Returns when everything is written. Raises the OSError of what could not be (disk full)."""
        await asyncio.get_running_loop().run_in_executor(self._saving, self.journal.sync)
        if self.failures:
            raise self.failures.pop()

    async def close(self) -> None:
        """Ends connections and threads."""
        await self.upstream.close()
        await asyncio.to_thread(self._saving.shutdown)


def open_engine(
    folder: Path, patience: Patience, keep_bodies: bool, cache: Path | None, replay: Recording | None
) -> Engine:
    """The engine of the run in `folder`."""
    journal = Journal(folder / CALLS_FILE)
    bodies = Bodies(folder / BODIES)
    cut_short = Recording(filter(is_good, journal.calls), bodies) if journal.calls and replay is None else None
    return Engine(
        journal=journal,
        upstream=Upstream(patience),
        patience=patience,
        bodies=bodies if keep_bodies else None,
        replay=replay,
        again=cut_short,
        cache=Cache(cache) if cache is not None else None,
    )
