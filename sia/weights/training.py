"""The trainer on this machine: a model with a LoRA adapter, and an end in order whatever happens.

The batch of a step and the drawing of its answers depend on the plan's seed and the step alone. A training that was
killed and goes on from a checkpoint therefore sees what it would have seen.
"""

import errno
import hashlib
import resource
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim import AdamW

from sia.store.durable import digest_file
from sia.store.run_directory import remove
from sia.weights.checkpoints import best_adapter, has_best, load_checkpoint, save_best, save_checkpoint
from sia.weights.examples import Examples
from sia.weights.health import Fault
from sia.weights.loop import Course, Marks, Say, StepReport, end_reason, last_look, take_steps
from sia.weights.model import Policy, load_policy
from sia.weights.outcome import ADAPTER_CONFIG, ADAPTER_WEIGHTS, METRICS_FILE, TrainingOutcome
from sia.weights.plan import PlanError, TrainingPlan, parse_plan
from sia.weights.rewards import RewardGroup, reward_of
from sia.weights.schedule import batch_of, learning_rate_factor
from sia.weights.scoring import choice_tokens
from sia.weights.tokens import Tokens
from sia.weights.traces import data_digest, select_examples
from sia.weights.update import take_step, validation_reward

HOUR = 3600.0


@dataclass(frozen=True)
class Job:
    """The files and folders that a training works with; all but `out` and `work` are read only."""

    plan: Path
    public: Path
    author: Path
    base: Path
    parent: Path | None
    out: Path
    work: Path
    hour_cost: float = 0.0
    """US dollars for an hour of this machine."""
    most_cost: float | None = None
    """US dollars that the training may cost; None: no limit."""


@dataclass
class _Trainer:
    """The engine of a training in this process."""

    job: Job
    plan: TrainingPlan
    policy: Policy
    examples: Examples
    reward: RewardGroup
    choices: list[Tokens] | None
    optimiser: AdamW
    marks: Marks

    def step(self) -> StepReport:
        """See the protocol."""
        plan, optimiser, marks = self.plan, self.optimiser, self.marks
        torch.manual_seed(plan.seed * 1_000_003 + marks.step)
        rate = plan.optimiser.learning_rate * learning_rate_factor(plan, marks.step, marks.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        parameters = self.policy.parameters()

        def apply() -> float:
            norm = float(torch.nn.utils.clip_grad_norm_(parameters, plan.optimiser.max_gradient_norm))
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            return norm

        batch = batch_of(self.examples.train, plan, marks.step)
        return take_step(self.policy, plan, batch, self.reward, self.choices, apply)

    def validate(self) -> float | None:
        """See the protocol."""
        torch.manual_seed(self.plan.seed)
        return validation_reward(self.policy, self.plan, self.examples.validation, self.reward, self.choices)

    def keep(self) -> None:
        """See the protocol."""
        save_best(self.job.work, self.policy)

    def checkpoint(self, seconds: float) -> None:
        """See the protocol."""
        now = self.marks.model_copy(update={"seconds": seconds})
        save_checkpoint(self.job.work, self.policy, self.optimiser, now)

    def restore(self) -> int | None:
        """See the protocol."""
        marks = load_checkpoint(self.job.work, self.policy, self.optimiser, self.marks.digest)
        return marks.step if marks else None

    def exceeded(self) -> Fault | None:
        """See the protocol."""
        peak = peak_memory()
        if peak <= self.plan.limits.memory_bytes:
            return None
        return Fault(
            "out of memory",
            f"{peak >> 20} MiB are above limits.memory_bytes; lower micro_batch or prompt_tokens, or set "
            "gradient_checkpointing",
        )

    def cost(self, seconds: float) -> float | None:
        """See the protocol."""
        return seconds / HOUR * self.job.hour_cost


def train(job: Job, say: Say) -> TrainingOutcome:
    """The whole update, and how it ended. A fault ends it in order: the best adapter so far is left all the same."""
    started = time.monotonic()
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        job.work.mkdir(parents=True, exist_ok=True)
        trainer = _prepare(job, say)
    except PlanError as error:
        return TrainingOutcome(ended="refused", reason=str(error), adapter=False)
    course = Course(trainer.plan, trainer.marks, trainer, job.work, job.most_cost, say, started)
    fault = None
    try:
        fault = take_steps(course)
    except PlanError as error:
        fault = Fault("refused", str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        fault = Fault("disk full", f"{error.strerror} while a checkpoint was saved")
    except (torch.OutOfMemoryError, MemoryError) as error:
        fault = _out_of_memory(trainer.marks, error)
    except RuntimeError as error:
        # The CPU allocator and cuBLAS have no exception of their own.
        if "memory" not in str(error) and "alloc" not in str(error).lower():
            raise
        fault = _out_of_memory(trainer.marks, error)
    if fault and fault.ended in ("out of memory", "disk full"):
        with suppress(OSError, RuntimeError, MemoryError):
            last_look(course)
    return _leave(trainer, fault, course)


def _prepare(job: Job, say: Say) -> _Trainer:
    plan = parse_plan(job.plan.read_bytes())
    reward = reward_of(plan, job.public, job.author)
    examples = select_examples(
        plan, job.public, job.author, lambda groups: [reward(answers, example) for answers, example in groups]
    )
    say(f"{len(examples.train)} examples to learn from, {len(examples.validation)} to validate on")
    policy = load_policy(job.base, plan, job.parent)
    choices = choice_tokens(policy, plan) if plan.by_choice else None
    optimiser = AdamW(policy.parameters(), lr=plan.optimiser.learning_rate, weight_decay=plan.optimiser.weight_decay)
    digest = _digest(job, plan)
    marks = load_checkpoint(job.work, policy, optimiser, digest)
    if marks is not None:
        say(f"going on from step {marks.step}")
    else:
        _empty(job.work)
        marks = Marks(digest=digest, steps=plan.steps)
    size = sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    say(f"{plan.algorithm} on {policy.device}, {size:,} parameters to train, {plan.steps} steps")
    return _Trainer(job, plan, policy, examples, reward, choices, optimiser, marks)


def _empty(folder: Path) -> None:
    """Removes what another training left, but for what tells its cost; the folder itself may be a mount."""
    for entry in folder.iterdir():
        if entry.name != METRICS_FILE:
            remove(entry)


def _leave(trainer: _Trainer, fault: Fault | None, course: Course) -> TrainingOutcome:
    """Puts the best adapter into the output folder, if the training made one that is better than the start."""
    job, marks = trainer.job, trainer.marks
    left = has_best(job.work)
    if left:
        for file, name in zip(best_adapter(job.work), (ADAPTER_WEIGHTS, ADAPTER_CONFIG), strict=True):
            shutil.copyfile(file, job.out / name)
    metrics = job.work / METRICS_FILE
    if metrics.exists():
        shutil.copyfile(metrics, job.out / METRICS_FILE)
    return TrainingOutcome(
        ended=fault.ended if fault else "finished",
        reason=end_reason(fault, left),
        adapter=left,
        steps=marks.step,
        adapter_step=marks.best_step,
        tokens=marks.tokens,
        seconds=course.seconds,
        cost=course.cost or 0.0,
        before=marks.before,
        after=marks.best if left else None,
        device=str(trainer.policy.device),
    )


def _out_of_memory(marks: Marks, error: BaseException) -> Fault:
    first = (str(error).splitlines() or ["no memory"])[0]
    return Fault(
        "out of memory",
        f"step {marks.step + 1}: {first[:200]}; lower micro_batch or prompt_tokens, or set gradient_checkpointing",
    )


def peak_memory() -> int:
    """Bytes of memory that this process has held at most."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    # The kernel's ru_maxrss would count what the parent held before this program was loaded.
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _digest(job: Job, plan: TrainingPlan) -> str:
    """Of everything that the training depends on."""
    digest = hashlib.sha256(plan.model_dump_json().encode())
    digest.update(data_digest(plan, job.public, job.author).encode())
    digest.update(digest_file(job.parent / ADAPTER_WEIGHTS).encode() if job.parent else b"base")
    digest.update(str(job.base).encode())
    return digest.hexdigest()
