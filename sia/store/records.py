"""What the ledger, `generation.json` and `run.json` say. All of it is derived from the stages' records."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sia.author.brief import Lever
from sia.score.model import Score, Verdict

Stage = Literal["author", "run", "score", "decide"]
RunStatus = Literal["running", "interrupted", "finished", "failed"]


class Frozen(BaseModel):
    """A record: written once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spending(Frozen):
    """What the model calls of a stage cost, with those of starts of the stage that were cut short."""

    calls: int = 0
    tokens: int = 0
    cost: float = Field(default=0.0, description="US dollars, of the calls whose price is known")
    unpriced: int = Field(default=0, description="calls whose price is not known")


class Authored(Frozen):
    """The author stage: who wrote the target agent, on which parent."""

    stage: Literal["author"] = "author"
    author: str
    parent: int | None
    lever: Lever = "harness"
    seconds: float
    starts: int = Field(default=1, description="2: it was told what was wrong with its files")
    events: tuple[str, ...] = Field(default=(), description="what it tried and must not, and what was cleaned up")
    spending: Spending = Spending()
    failure: str | None = None


class Ran(Frozen):
    """The run stage: how the target agent ended."""

    stage: Literal["run"] = "run"
    seconds: float
    peak_memory_bytes: int | None
    output_bytes: int
    events: tuple[str, ...] = ()
    spending: Spending = Spending()
    failure: str | None = None


class Scored(Frozen):
    """The score stage: what the evaluator measured. `sealed` reaches no author and no screen before the end."""

    stage: Literal["score"] = "score"
    seconds: float
    all: Score | None = None
    dev: Score | None = None
    sealed: Score | None = None
    events: tuple[str, ...] = ()
    failure: str | None = None


class Decided(Frozen):
    """The decide stage: the verdict, and the best generation from now on."""

    stage: Literal["decide"] = "decide"
    verdict: Verdict
    best: int | None


StageRecord = Annotated[Authored | Ran | Scored | Decided, Field(discriminator="stage")]


class GenerationRecord(Frozen):
    """`generation.json`: one generation at a glance."""

    generation: int
    status: Literal["scored", "failed"]
    parent: int | None
    lever: Lever
    score: Score | None = Field(description="on the dev items, the only ones that selection may use")
    verdict: Verdict
    failure: str | None = Field(default=None, description="stage and reason")
    cost: float = Field(default=0.0, description="US dollars, of the calls whose price is known")
    tokens: int = 0
    unpriced_calls: int = Field(default=0, description="calls whose price is not known")
    seconds: dict[Stage, float] = Field(description="wall-clock seconds of each stage that took place")
    peak_memory_bytes: int | None = None
    jail_events: tuple[str, ...] = Field(default=(), description="limits that struck and outputs that were refused")


class FinalScores(Frozen):
    """One generation measured at the end of the run, on every part of the items."""

    generation: int
    all: Score
    dev: Score
    sealed: Score | None = Field(description="on items that nobody saw during the run; None: too few items to seal any")


class SandboxRecord(Frozen):
    """What held generated programs during an earlier start of the run."""

    generations: int = Field(description="decided when that sandbox was given up")
    jail: str
    jail_gaps: tuple[str, ...]
    limits: dict[str, float]
    gpu: bool


class RunRecord(Frozen):
    """`run.json`: what was asked for, with what, and how it ended."""

    run_id: str
    status: RunStatus
    task: str
    task_dir: str
    task_digest: str = Field(description="SHA-256 over the task's files")
    backend: str
    focus: Literal["harness", "weights", "auto"]
    parent: Literal["best", "latest"]
    seed: int
    sealed_fraction: float
    max_gen: int
    max_turns: int = Field(default=20, description="answers of the model that writes one agent")
    meta_model: str = ""
    task_model: str = ""
    max_cost: float | None = Field(default=None, description="US dollars; None: no cap")
    max_tokens: int | None = None
    max_gen_cost: float | None = Field(default=None, description="US dollars a generation")
    max_gen_tokens: int | None = None
    versions: dict[str, str] = Field(description="of Python, sia and the packages that the target agents get")
    jail: str
    jail_gaps: tuple[str, ...]
    limits: dict[str, float] = Field(default_factory=dict, description="--limit-NAME flags, over those of the task")
    gpu: bool = False
    earlier_sandboxes: tuple[SandboxRecord, ...] = Field(
        default=(), description="of starts before the last one, where they differ; the fields above tell of the last"
    )
    generations: int = 0
    cost: float = Field(default=0.0, description="US dollars, of the decided generations' calls with a known price")
    tokens: int = 0
    unpriced_calls: int = Field(default=0, description="calls whose price is not known")
    best: int | None = None
    stopped_because: str | None = None
    first_scored: FinalScores | None = None
    best_scores: FinalScores | None = None
    ledger: str = Field(default="", description="SHA-256 of the ledger's last line when this was written")
    calls: str = Field(default="", description="the same of calls.jsonl")
    digest: str = Field(default="", description="SHA-256 of this file with an empty digest")
    sealed_verdict: Verdict | None = Field(default=None, description="best against the first scored, on sealed items")
