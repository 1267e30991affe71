"""Answers that are there already: of the run that is replayed, of a stage that was cut short, or of the cache."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sia.gateway.bodies import Bodies
from sia.gateway.trace import Role, TraceLine
from sia.store.durable import write_whole


@dataclass(frozen=True)
class Recorded:
    """An answer, and the call that it was given to."""

    call: TraceLine
    body: bytes


class Recording:
    """Calls of one run, each handed out once: identical requests get their answers in the order of the recording.

    With `last_only`, for a replay, the calls of starts of a stage that were cut short are not handed out.
    """

    def __init__(self, calls: Iterable[TraceLine], bodies: Bodies, last_only: bool = False) -> None:
        self._bodies = bodies
        self._cut_short: dict[tuple[int, Role], list[TraceLine]] = defaultdict(list)
        calls = list(calls)
        last: dict[tuple[int, Role], int] = defaultdict(int)
        for call in calls:
            last[call.generation, call.role] = max(last[call.generation, call.role], call.attempt)
        self._waiting: dict[tuple[int, Role], deque[TraceLine]] = defaultdict(deque)
        self._by_key: dict[tuple[int, Role, str], deque[TraceLine]] = defaultdict(deque)
        self._given: set[int] = set()
        for call in sorted(calls, key=lambda call: call.id):
            if last_only and call.attempt < last[call.generation, call.role]:
                self._cut_short[call.generation, call.role].append(call)
                continue
            self._waiting[call.generation, call.role].append(call)
            self._by_key[call.generation, call.role, call.key].append(call)

    def cut_short(self, generation: int, role: Role) -> list[TraceLine]:
        """The calls of starts of a stage that came to nothing."""
        return self._cut_short[generation, role]

    def take(self, generation: int, role: Role, key: str) -> Recorded | None:
        """The next answer to exactly this request."""
        return self._next(self._by_key[generation, role, key])

    def take_in_order(self, generation: int, role: Role, endpoint: str) -> Recorded | None:
        """The next answer that the program got at this endpoint, whatever it had asked."""
        waiting = self._waiting[generation, role]
        while waiting and waiting[0].id in self._given:
            waiting.popleft()
        for call in waiting:
            if call.id not in self._given and call.endpoint == endpoint:
                return self._next(deque([call]))
        return None

    def _next(self, calls: deque[TraceLine]) -> Recorded | None:
        while calls:
            call = calls.popleft()
            if call.id in self._given:
                continue
            body = self._bodies.get(call.answer) if call.answer else b""
            if body is not None:
                self._given.add(call.id)
                return Recorded(call, body)
        return None


class Cache:
    """Good answers by request, shared by all runs that ask with `--cache`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "calls"
        self._bodies = Bodies(folder / "bodies")

    def get(self, key: str) -> Recorded | None:
        """The answer to exactly this request."""
        try:
            call = TraceLine.model_validate_json(self._file(key).read_bytes())
        except (OSError, ValidationError):
            return None
        body = self._bodies.get(call.answer) if call.answer else None
        return None if body is None else Recorded(call, body)

    def keep(self, call: TraceLine, answer: bytes) -> None:
        """Remembers a good answer. Raises OSError when the disk is full."""
        self._bodies.keep(answer)
        file = self._file(call.key)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, call.model_dump_json().encode())

    def _file(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def is_good(call: TraceLine) -> bool:
    """Whether an answer may be given again in place of a new one."""
    return call.status == 200 and call.error is None and call.answer is not None
