"""The training loop: batches, steps, checkpoints, validation, and an end in order whatever happens.

The batch of a step and the drawing of its answers depend on the plan's seed and the step alone. A training that was
killed and goes on from a checkpoint therefore sees what it would have seen.
"""

import errno
import hashlib
import random
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import torch
from torch.optim import AdamW

from sia.store.durable import digest_file
from sia.store.run_directory import remove
from sia.weights.checkpoints import Marks, best_adapter, has_best, load_checkpoint, save_best, save_checkpoint
from sia.weights.examples import Example, Examples, read_examples
from sia.weights.health import Fault, Health
from sia.weights.model import Policy, load_policy
from sia.weights.outcome import ADAPTER_CONFIG, ADAPTER_WEIGHTS, METRICS_FILE, StepMetrics, TrainingOutcome
from sia.weights.plan import PlanError, TrainingPlan, parse_plan
from sia.weights.rewards import RewardGroup, reward_of
from sia.weights.rollouts import by_length
from sia.weights.scoring import Tokens, choice_tokens
from sia.weights.update import StepReport, take_step, validation_reward

VALIDATIONS = 2
"""Times that the adapter is validated in a training, the end included: each costs as much as a dozen steps."""
RESERVE = 0.9
"""Share of the time limit that steps may fill; the rest is for loading, validation and saving."""
MEASURED_STEPS = 5
FEW_STEPS = 0.05
"""Share of the steps by which their number is not changed again."""
WINDOW = 8
"""Batches are cut from windows of so many batches sorted by length: little padding, still a random order."""

Say = Callable[[str], None]


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


@dataclass
class _Run:
    """One training in this process. `marks` moves on with every step."""

    job: Job
    plan: TrainingPlan
    policy: Policy
    examples: Examples
    reward: RewardGroup
    choices: list[Tokens] | None
    optimiser: AdamW
    marks: Marks
    say: Say
    started: float

    @property
    def seconds(self) -> float:
        return self.marks.seconds + time.monotonic() - self.started


def train(job: Job, say: Say) -> TrainingOutcome:
    """The whole update, and how it ended. A fault ends it in order: the best adapter so far is left all the same."""
    started = time.monotonic()
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        job.work.mkdir(parents=True, exist_ok=True)
        run = _prepare(job, say, started)
    except PlanError as error:
        return TrainingOutcome(ended="refused", reason=str(error), adapter=False)
    fault = None
    try:
        fault = _steps(run)
    except PlanError as error:
        fault = Fault("refused", str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        fault = Fault("disk full", f"{error.strerror} while a checkpoint was saved")
    except (torch.OutOfMemoryError, MemoryError) as error:
        fault = _out_of_memory(run, error)
    except RuntimeError as error:
        # The CPU allocator and cuBLAS have no exception of their own.
        if "memory" not in str(error) and "alloc" not in str(error).lower():
            raise
        fault = _out_of_memory(run, error)
    return _leave(run, fault)


def _prepare(job: Job, say: Say, started: float) -> _Run:
    plan = parse_plan(job.plan.read_bytes())
    examples = read_examples(plan.data, job.author if plan.data.origin == "author" else job.public, plan.seed)
    if not examples.train:
        raise PlanError("data: validation leaves no row to train on")
    reward = reward_of(plan, job.public, job.author)
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
    return _Run(job, plan, policy, examples, reward, choices, optimiser, marks, say, started)


def _empty(folder: Path) -> None:
    """Removes what another training left; the folder itself may be a mount."""
    for entry in folder.iterdir():
        remove(entry)


def _steps(run: _Run) -> Fault | None:
    """Steps from where the marks stand to the last one; the fault that ended them, if any."""
    plan, marks, health = run.plan, run.marks, Health()
    if not marks.validated:
        marks.before = marks.best = _validate(run)
        marks.validated = True
        run.say(f"before the first step: validation reward {_number(marks.before)}")
    saved = step_start = time.monotonic()
    durations: list[float] = []
    with _metrics_file(run) as metrics:
        while marks.step < marks.steps:
            if run.seconds > plan.limits.seconds:
                return Fault("time limit", f"{plan.limits.seconds:g} s reached at step {marks.step} of {marks.steps}")
            step_start = time.monotonic()
            report = _one_step(run)
            fault = health.look(
                marks.step + 1, report.loss, report.gradient_norm, report.reward, report.kl, report.spread
            ) or _memory_fault(plan)
            if fault is not None and fault.ended == "not finite":
                # The weights are spoilt: the last checkpoint counts.
                return fault
            marks.step += 1
            marks.tokens += report.tokens
            durations.append(time.monotonic() - step_start)
            line = _metrics(run, report, durations)
            metrics.write(line.model_dump_json() + "\n")
            metrics.flush()
            run.say(progress_line(line, marks.steps, _left(run, durations)))
            if fault is not None:
                _consider(run)
                return fault
            if len(durations) % MEASURED_STEPS == 0:
                _fit_into_time(run, durations)
            if marks.step == marks.steps or marks.step % -(-marks.steps // VALIDATIONS) == 0:
                _consider(run)
            if time.monotonic() - saved > plan.checkpoint_seconds or marks.step == marks.steps:
                _checkpoint(run)
                saved = time.monotonic()
    return None


def _one_step(run: _Run) -> StepReport:
    plan, optimiser = run.plan, run.optimiser
    torch.manual_seed(plan.seed * 1_000_003 + run.marks.step)
    rate = plan.optimiser.learning_rate * learning_rate_factor(plan, run.marks.step, run.marks.steps)
    for group in optimiser.param_groups:
        group["lr"] = rate
    parameters = run.policy.parameters()

    def apply() -> float:
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, plan.optimiser.max_gradient_norm))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return norm

    batch = batch_of(run.examples.train, plan, run.marks.step)
    return take_step(run.policy, plan, batch, run.reward, run.choices, apply)


def batch_of(examples: list[Example], plan: TrainingPlan, step: int) -> list[Example]:
    """The examples of one step: every epoch its own order, each window of it sorted by length."""
    size = min(plan.batch, len(examples))
    per_epoch = len(examples) // size
    epoch, place = divmod(step, per_epoch)
    generator = random.Random(f"{plan.seed}/{epoch}")
    order = generator.sample(range(len(examples)), len(examples))
    window, inside = divmod(place, WINDOW)
    part = order[window * WINDOW * size : min((window + 1) * WINDOW, per_epoch) * size]
    batches = by_length([len(examples[i].prompt) for i in part], size)
    generator.shuffle(batches)
    return [examples[part[i]] for i in batches[inside]]


def learning_rate_factor(plan: TrainingPlan, step: int, steps: int) -> float:
    """Between 0 and 1: a linear rise over the warm-up, then constant or a linear fall to 0 after the last step."""
    warmup = int(plan.optimiser.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if plan.optimiser.schedule == "constant":
        return 1.0
    return max(0.0, (steps - step) / max(1, steps - warmup))


def progress_line(metrics: StepMetrics, steps: int, left: float) -> str:
    """One step for people."""
    parts = [f"step {metrics.step}/{steps}", f"loss {metrics.loss:.4g}"]
    if metrics.reward is not None:
        parts.append(f"reward {metrics.reward:.3f}")
    if metrics.kl is not None:
        parts.append(f"KL {metrics.kl:.3g}")
    if metrics.entropy is not None:
        parts.append(f"entropy {metrics.entropy:.3g}")
    minutes, seconds = divmod(int(left), 60)
    parts += [f"{metrics.tokens_per_second:.0f} tok/s", f"{minutes}:{seconds:02} left"]
    return "  ".join(parts)


def _metrics(run: _Run, report: StepReport, durations: list[float]) -> StepMetrics:
    return StepMetrics(
        step=run.marks.step,
        loss=report.loss,
        reward=report.reward,
        kl=report.kl,
        entropy=report.entropy,
        spread=report.spread,
        gradient_norm=report.gradient_norm,
        tokens=run.marks.tokens,
        tokens_per_second=report.tokens / max(durations[-1], 1e-9),
        seconds=run.seconds,
    )


def _metrics_file(run: _Run) -> TextIO:
    """The file of metrics, without the lines of steps that were lost with a kill."""
    file = run.job.work / METRICS_FILE
    kept = []
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                if StepMetrics.model_validate_json(line).step <= run.marks.step:
                    kept.append(line)
            except ValueError:
                break
    file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return file.open("a", encoding="utf-8")


def _fit_into_time(run: _Run, durations: list[float]) -> None:
    """As many steps, and with them the schedule, as the time limit allows at the speed so far; small changes wait."""
    plan, marks = run.plan, run.marks
    each = sum(durations[1:]) / (len(durations) - 1)
    fitting = marks.step + int((RESERVE * plan.limits.seconds - run.seconds) / max(each, 1e-9))
    steps = min(plan.steps, max(marks.step + 1, fitting))
    if steps != marks.steps and abs(steps - marks.steps) >= FEW_STEPS * marks.steps:
        marks.steps = steps
        run.say(f"{plan.limits.seconds:g} s allow {steps} of {plan.steps} steps" + ": shortened" * (steps < plan.steps))


def _left(run: _Run, durations: list[float]) -> float:
    recent = durations[-20:]
    return sum(recent) / len(recent) * (run.marks.steps - run.marks.step)


def _validate(run: _Run) -> float | None:
    torch.manual_seed(run.plan.seed)
    return validation_reward(run.policy, run.plan, run.examples.validation, run.reward, run.choices)


def _consider(run: _Run) -> None:
    """Validates, and keeps the adapter when it is the best so far; without validation the latest is."""
    marks = run.marks
    found = _validate(run)
    if found is not None:
        run.say(f"step {marks.step}: validation reward {found:.3f} (before {_number(marks.before)})")
    if found is None or marks.best is None or found > marks.best or (found == marks.best and marks.best_step):
        save_best(run.job.work, run.policy)
        marks.best, marks.best_step = found, marks.step


def _checkpoint(run: _Run) -> None:
    now = run.marks.model_copy(update={"seconds": run.seconds})
    save_checkpoint(run.job.work, run.policy, run.optimiser, now)


def _leave(run: _Run, fault: Fault | None) -> TrainingOutcome:
    """Puts the best adapter into the output folder, if the training made one that is better than the start."""
    marks = run.marks
    left = has_best(run.job.work)
    reason = fault.reason if fault else ""
    if left:
        for file, name in zip(best_adapter(run.job.work), (ADAPTER_WEIGHTS, ADAPTER_CONFIG), strict=True):
            shutil.copyfile(file, run.job.out / name)
    elif not fault:
        reason = "no checkpoint was better on the validation rows than the model at the start"
    metrics = run.job.work / METRICS_FILE
    if metrics.exists():
        shutil.copyfile(metrics, run.job.out / METRICS_FILE)
    return TrainingOutcome(
        ended=fault.ended if fault else "finished",
        reason=reason,
        adapter=left,
        steps=marks.step,
        adapter_step=marks.best_step,
        tokens=marks.tokens,
        seconds=run.seconds,
        before=marks.before,
        after=marks.best if left else None,
        device=str(run.policy.device),
    )


def _out_of_memory(run: _Run, error: BaseException) -> Fault:
    first = (str(error).splitlines() or ["no memory"])[0]
    return Fault(
        "out of memory",
        f"step {run.marks.step + 1}: {first[:200]}; lower micro_batch or prompt_tokens, or set gradient_checkpointing",
    )


def _memory_fault(plan: TrainingPlan) -> Fault | None:
    peak = peak_memory()
    if peak <= plan.limits.memory_bytes:
        return None
    return Fault(
        "out of memory",
        f"{peak >> 20} MiB are above limits.memory_bytes; lower micro_batch or prompt_tokens, or set "
        "gradient_checkpointing",
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
    folder = job.author if plan.data.origin == "author" else job.public
    digest.update(digest_file(folder / plan.data.file).encode())
    digest.update(digest_file(job.parent / ADAPTER_WEIGHTS).encode() if job.parent else b"base")
    digest.update(str(job.base).encode())
    return digest.hexdigest()


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None else "not measured"
