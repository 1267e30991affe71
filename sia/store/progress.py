"""What a run has achieved so far, folded from its ledger lines. The same lines always give the same progress."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sia.store.ledger import LedgerLine
from sia.store.records import Authored, Decided, GenerationRecord, Ran, Scored, Stage, StageRecord, Trained


@dataclass
class OpenGeneration:
    """The generation in the making: the records of its finished stages."""

    number: int
    authored: Authored | None = None
    trained: Trained | None = None
    ran: Ran | None = None
    scored: Scored | None = None
    inherited: str | None = None
    """Digest of the parent generation's adapter."""

    @property
    def adapter(self) -> str | None:
        """Digest of the adapter that the agent's model runs with: the one trained here, else the parent's."""
        return self.trained.adapter if self.trained else self.inherited

    @property
    def failure(self) -> str | None:
        """Stage and reason of the first failure."""
        for record in (self.authored, self.trained, self.ran, self.scored):
            if record is not None and record.failure:
                return f"{record.stage}: {record.failure}"
        return None

    @property
    def _events(self) -> tuple[str, ...]:
        """What the jail told of each stage, those of the target agent without its name."""
        told = [("author: ", self.authored), ("", self.ran), ("evaluator: ", self.scored)]
        return tuple(who + event for who, record in told if record is not None for event in record.events)

    @property
    def next_stage(self) -> Stage:
        """The first stage without a record; after a failure straight to the decision."""
        if self.failure:
            return "decide"
        if self.authored is None:
            return "author"
        if self.trained is None and self.authored.lever != "harness":
            return "train"
        if self.ran is None:
            return "run"
        return "score" if self.scored is None else "decide"

    def record(self, decided: Decided) -> GenerationRecord:
        """`generation.json`."""
        assert self.authored is not None
        done: list[StageRecord] = [r for r in (self.authored, self.trained, self.ran, self.scored) if r is not None]
        spent = [r.spending for r in (self.authored, self.ran) if r is not None]
        return GenerationRecord(
            generation=self.number,
            status="failed" if self.failure else "scored",
            parent=self.authored.parent,
            lever=self.authored.lever,
            adapter=self.adapter,
            trained=self.trained,
            score=self.scored.dev if self.scored else None,
            verdict=decided.verdict,
            failure=self.failure,
            cost=round(sum(s.cost for s in spent), 9),
            tokens=sum(s.tokens for s in spent),
            unpriced_calls=sum(s.unpriced for s in spent),
            seconds={r.stage: r.seconds for r in done if not isinstance(r, Decided)},
            peak_memory_bytes=self.ran.peak_memory_bytes if self.ran else None,
            jail_events=self._events,
        )


@dataclass
class RunProgress:
    """Everything that later generations depend on."""

    generations: list[GenerationRecord] = field(default_factory=list)
    scored: dict[int, Scored] = field(default_factory=dict)
    adapters: dict[str, int] = field(default_factory=dict)
    """Digest to the generation that trained it."""
    best: int | None = None
    bests: list[int | None] = field(default_factory=list)
    """The best one after each decided generation."""
    best_since: int = 0
    """Number of generations decided since the best one."""
    looks: int = 0
    seconds: float = 0.0
    open: OpenGeneration = field(default_factory=lambda: OpenGeneration(1))

    def add(self, record: StageRecord) -> None:
        """Takes in the next stage of the open generation."""
        if isinstance(record, Decided):
            self._close(record)
            return
        self.seconds += record.seconds
        if isinstance(record, Authored):
            self.open.authored = record
            self.open.inherited = self.generation(record.parent).adapter if record.parent else None
        elif isinstance(record, Trained):
            self.open.trained = record
            if record.adapter:
                self.adapters.setdefault(record.adapter, self.open.number)
        elif isinstance(record, Ran):
            self.open.ran = record
        else:
            self.open.scored = record

    def _close(self, decided: Decided) -> None:
        number = self.open.number
        self.generations.append(self.open.record(decided))
        if self.open.scored and not self.open.failure:
            self.scored[number] = self.open.scored
        self.looks = max(self.looks, decided.verdict.looks)
        self.best_since = 0 if decided.best != self.best else self.best_since + 1
        self.best = decided.best
        self.bests.append(decided.best)
        self.open = OpenGeneration(number + 1)

    def generation(self, number: int) -> GenerationRecord:
        """The record of a decided generation."""
        return self.generations[number - 1]


def fold(lines: Iterable[LedgerLine]) -> RunProgress:
    """The progress that the ledger tells of."""
    progress = RunProgress()
    for line in lines:
        progress.add(line.record)
    return progress
