"""What an author gets and what it leaves: the contract between the loop and every author program.

An author is a program that runs in the jail with one writable folder, its *workspace*:

    brief.json      this module's `Brief`
    prompt.txt      the brief in words, for authors that are language models
    system.txt      who such an author is, and how it works
    context.md      the evolution so far, bounded
    evidence.md     digest of the latest generation's logs and scores, bounded and free of private values
    parent/         files of the generation to build on (from generation 2)
    previous/       files of the latest generation, when it is not the parent
    repair.txt      only when it is started for the second time: what is wrong with the files that it left
    .author/        its own between the two starts: home, conversation

and leaves there `target_agent.py`, from generation 2 `improvement.md`, and where it likes `requirements.txt`,
`decision.json` (see `sia.author.decision`), the `training_examples.jsonl` and `training_reward.py` that its training
plan names, and `author_state.json`. The last is its own memory: it lies in `previous/` the next time. Authors that
are language models also leave `.author/author_transcript.jsonl`, see `sia.author.transcript`.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sia.score.model import Direction, Lever, Score, Verdict
from sia.weights.plan import REWARD_FILE

BRIEF_FILE = "brief.json"
PROMPT_FILE = "prompt.txt"
SYSTEM_FILE = "system.txt"
REPAIR_FILE = "repair.txt"
OWN_DIR = ".author"
TRANSCRIPT_FILE = "author_transcript.jsonl"
CONTEXT_FILE = "context.md"
EVIDENCE_FILE = "evidence.md"
PARENT_DIR = "parent"
PREVIOUS_DIR = "previous"
AGENT_FILE = "target_agent.py"
REQUIREMENTS_FILE = "requirements.txt"
IMPROVEMENT_FILE = "improvement.md"
DECISION_FILE = "decision.json"
STATE_FILE = "author_state.json"
HANDED_ON = (AGENT_FILE, REQUIREMENTS_FILE, IMPROVEMENT_FILE, DECISION_FILE, STATE_FILE, REWARD_FILE)
"""What an author leaves, and what a later author sees of a generation beside its execution record."""


class TaskBrief(BaseModel):
    """The task as an author may know it. Nothing here leads to the private data."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str = Field(default="", description="`[task] kind`: tabular, text-classification, multiple-choice, ...")
    public_dir: Path = Field(description="task.md and the inputs; read-only")
    reference_dir: Path | None = Field(default=None, description="seed code and sample descriptions; read-only")
    metric: str | None = Field(default=None, description="None: the first known key of results.json")
    direction: Direction | None = None
    seconds: float = Field(description="wall-clock limit of one run of the target agent")
    packages: tuple[str, ...] = Field(default=(), description="requirements that the target agent may count on")
    installed: tuple[str, ...] = Field(default=(), description="all of its environment, as name==version")
    answers: Literal["any", "model"] = "any"


class PastTraining(BaseModel):
    """How an earlier update of the weights went."""

    model_config = ConfigDict(frozen=True)

    algorithm: str
    parent_adapter: str | None
    adapter: str | None = Field(description="digest of what it left; None: nothing")
    ended: str
    reason: str
    steps: int
    before: float | None = Field(description="reward on public validation rows, at the start")
    after: float | None = Field(description="the same, at the end")
    seconds: float


class PastGeneration(BaseModel):
    """One earlier generation, as far as an author may know it: dev score only."""

    model_config = ConfigDict(frozen=True)

    generation: int
    parent: int | None
    lever: Lever = "harness"
    score: Score | None = Field(default=None, description="on the dev items; None: the generation failed")
    verdict: Verdict
    failure: str | None = Field(default=None, description="stage and reason, when it failed")
    seconds: float = Field(description="wall-clock seconds that the target agent ran")
    whole_seconds: float = Field(default=0.0, description="wall-clock seconds of all its stages")
    cost: float = Field(default=0.0, description="US dollars of all its model calls")
    adapter: str | None = Field(default=None, description="digest of the adapter that its agent's model ran with")
    training: PastTraining | None = None


class EarlierTry(BaseModel):
    """What an earlier generation had changed, and what came of it."""

    model_config = ConfigDict(frozen=True)

    generation: int
    reason: str = Field(description="verdict or failure, in words")
    change: str = Field(default="", description="from its improvement.md, bounded")


class Budget(BaseModel):
    """What is left of the run."""

    model_config = ConfigDict(frozen=True)

    generations: int = Field(description="this one included")
    seconds: float | None = Field(default=None, description="wall-clock; None: no limit")
    cost: float | None = Field(default=None, description="US dollars; None: no limit")
    tokens: int | None = Field(default=None, description="None: no limit")


class CalledModel(BaseModel):
    """A model as its clients call it, at the address that the environment names."""

    model_config = ConfigDict(frozen=True)

    name: str
    dialect: Literal["anthropic", "openai", "gemini"]
    provider: str = Field(default="", description="who serves it, as in `--meta-model PROVIDER/NAME`")


class AuthorLimits(BaseModel):
    """What an author that is a language model works with."""

    model_config = ConfigDict(frozen=True)

    model: CalledModel | None = Field(default=None, description="None: the author is no language model")
    max_turns: int = Field(default=20, description="answers of the model, both starts together")
    seconds: float = Field(default=1500.0, description="wall-clock, for one start")
    idle_seconds: float = Field(default=360.0, description="without any sign of life of the model or a tool")


class Brief(BaseModel):
    """Everything that an author is told for one generation."""

    model_config = ConfigDict(frozen=True)

    generation: int = Field(ge=1)
    max_generations: int
    seed: int
    focus: Literal["harness", "weights", "auto"] = "harness"
    task: TaskBrief
    parent: int | None = Field(default=None, description="generation to build on; None: write the first agent")
    history: tuple[PastGeneration, ...] = Field(
        default=(), description="the latest generations and the best one, oldest first; bounded in number"
    )
    best: int | None = Field(default=None, description="the best generation so far")
    rejected: tuple[EarlierTry, ...] = Field(
        default=(), description="since the best one, without the siblings; latest last, bounded in number"
    )
    candidate: int = Field(default=1, description="which of the candidates on this parent it is")
    candidates: int = Field(default=1, description="agents that are written on one parent")
    siblings: tuple[EarlierTry, ...] = Field(default=(), description="the candidates on this parent so far")
    task_model: CalledModel | None = Field(default=None, description="the one model that the target agent can call")
    trainable: bool = Field(default=False, description="whether the weights of that model can be updated in this run")
    budget: Budget = Budget(generations=1)
    limits: AuthorLimits = AuthorLimits()
