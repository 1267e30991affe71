"""What the ledger, `generation.json` and `run.json` say. All of it is derived from the stages' records."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sia.score.model import Lever, Score, Verdict
from sia.weights.outcome import Ending
from sia.weights.plan import Algorithm

Stage = Literal["author", "train", "run", "score", "decide"]
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


class Trained(Frozen):
    """The train stage: how the update of the target model's weights ended. It takes place when the weights lever was
    pulled."""

    stage: Literal["train"] = "train"
    algorithm: Algorithm
    parent_adapter: str | None = Field(description="digest of the adapter that it went on from; None: the base")
    adapter: str | None = Field(description="digest of the adapter that it left; None: none")
    ended: Ending | Literal["stopped"]
    reason: str = ""
    steps: int = 0
    tokens: int = Field(default=0, description="read, written and learnt from in training")
    before: float | None = Field(default=None, description="reward on public validation rows, at the start")
    after: float | None = Field(default=None, description="the same, of the adapter that was left")
    seconds: float
    peak_memory_bytes: int | None = None
    spending: Spending = Field(default=Spending(), description="of this machine's hours, or at Tinker")
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


StageRecord = Annotated[Authored | Trained | Ran | Scored | Decided, Field(discriminator="stage")]


class GenerationRecord(Frozen):
    """`generation.json`: one generation at a glance."""

    generation: int
    status: Literal["scored", "failed"]
    parent: int | None
    lever: Lever
    adapter: str | None = Field(default=None, description="digest of the adapter that its agent's model ran with")
    trained: Trained | None = Field(default=None, description="the update of this generation, if there was one")
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


class Cell(Frozen):
    """One cell of the attribution: a harness with a model, scored on all items."""

    harness: int = Field(description="generation whose target agent it is")
    adapter: str | None = Field(description="digest; None: the base model")
    score: Score | None
    failure: str | None = None


class Attribution(Frozen):
    """What each lever is worth: {first, best harness} x {base, best adapter} on the same items."""

    first: int
    best: int
    adapter: str
    cells: tuple[Cell, ...] = Field(
        description="first with base, first with adapter, best with base, best with adapter"
    )
    weights_alone: Verdict | None = Field(description="first harness with the adapter against the one without")
    harness_alone: Verdict | None = Field(description="best harness without the adapter against the first; None: same")
    both: Verdict | None = Field(description="best harness with the adapter against the first without")
    both_over_weights: Verdict | None = Field(
        default=None, description="both against the first harness with the adapter"
    )
    both_over_harness: Verdict | None = Field(default=None, description="both against the best harness without it")

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """By what is compared, those that could be told."""
        named = {
            "weights alone": self.weights_alone,
            "harness alone": self.harness_alone,
            "both": self.both,
            "both against weights alone": self.both_over_weights,
            "both against harness alone": self.both_over_harness,
        }
        return {name: verdict for name, verdict in named.items() if verdict}


class Classical(Frozen):
    """What an agent without a language model scores on a task that wants the model's own answers."""

    how: str = Field(description="the agent's own description")
    score: Score | None = Field(description="on all items")
    failure: str | None = None


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
    trainer: Literal["local", "tinker"] = "local"
    machine_cost: float | None = Field(default=None, description="US dollars for an hour of training here")
    answers: Literal["any", "model"] | None = Field(
        default=None, description="asked for, whether only the target model may answer; None: as task.toml says"
    )
    parent: Literal["best", "latest"]
    candidates: int = 1
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
    attribution: Attribution | None = Field(default=None, description="of a run that kept an adapter")
    classical: Classical | None = Field(default=None, description="of a run in which only the model's answers count")
