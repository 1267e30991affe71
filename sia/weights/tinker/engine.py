"""What moves weights at Tinker: each step of a plan as calls of Tinker's client."""

import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tinker
import torch
from pydantic import ConfigDict, ValidationError

from sia.gateway.providers import TokenPrices
from sia.store.durable import write_whole
from sia.weights.algorithms.dpo import dpo_loss
from sia.weights.examples import Example, Examples
from sia.weights.health import Fault
from sia.weights.loop import Marks, StepReport
from sia.weights.plan import TrainingPlan
from sia.weights.rewards import normal
from sia.weights.schedule import batch_of, learning_rate_factor
from sia.weights.tinker.datums import rewarded, weighted
from sia.weights.tinker.mapping import group_weights, kl_advantages
from sia.weights.tinker.meter import Meter, cost_of
from sia.weights.tinker.reference import TinkerAdapter, write_reference
from sia.weights.tokens import Tokenizer, Tokens, answer_tokens, prompt_tokens
from sia.weights.traces import Grade

CHECKPOINT_FILE = "tinker_checkpoint.json"
CHECKPOINT_LIFE = 24 * 3600
"""Seconds that Tinker keeps a state for going on after a kill."""


@dataclass(frozen=True)
class RemoteJob:
    """A training at Tinker. `out` and `work` are folders of its own."""

    plan: TrainingPlan
    base_model: str
    """As Tinker calls it."""
    public: Path
    author: Path
    parent: TinkerAdapter | None
    out: Path
    work: Path
    grade: Grade
    key: str
    url: str
    prices: TokenPrices | None
    most_cost: float | None


class RemoteMarks(Marks):
    """Where a training stands, and the state at Tinker that it can go on from."""

    model_config = ConfigDict(extra="forbid")

    state: str | None = None
    meter: Meter = Meter()


def read_checkpoint(work: Path, digest: str) -> RemoteMarks | None:
    """The last checkpoint of this very training; None where there is none that can be read."""
    try:
        marks = RemoteMarks.model_validate_json((work / CHECKPOINT_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return marks if marks.digest == digest else None


@dataclass(frozen=True)
class _Drawn:
    """One sampled answer."""

    tokens: Tokens
    logprobs: list[float]
    text: str


@dataclass
class Remote:
    """The engine of a training at Tinker."""

    job: RemoteJob
    service: tinker.ServiceClient
    training: tinker.TrainingClient
    tokenizer: Tokenizer
    examples: Examples
    marks: RemoteMarks
    deadline: float
    """On the clock of `time.monotonic`: when the service is no longer waited for."""
    _updates: int = 0
    _sampler: tuple[int, tinker.SamplingClient] | None = None
    """A client for the weights as they were after so many updates."""
    _start: tinker.SamplingClient | None = None
    """A client for the model at the start."""

    @property
    def plan(self) -> TrainingPlan:
        """The job's."""
        return self.job.plan

    def step(self) -> StepReport:
        """See the protocol."""
        batch = batch_of(self.examples.train, self.plan, self.marks.step)
        before = self.marks.meter.total
        if self.plan.on_policy:
            report = self._on_policy(batch)
        elif self.plan.algorithm == "dpo":
            report = self._preferences(batch)
        else:
            answers = [answer_tokens(self.tokenizer, self.plan, e.answer or "", ended=True) for e in batch]
            pairs = zip(self._prompts(batch), answers, strict=True)
            data = [weighted(prompt, answer, 1.0 / len(batch)) for prompt, answer in pairs]
            loss, norm = self._update(data, "cross_entropy")
            report = StepReport(loss, norm, 0)
        return StepReport(**{**vars(report), "tokens": self.marks.meter.total - before})

    def validate(self) -> float | None:
        """See the protocol. The likeliest answer, as the agent would get it at temperature 0."""
        rows = self.examples.validation
        if not rows or self.plan.reward.kind == "majority":
            return None
        answers = [group[0].text for group in self._draw(rows, 1, temperature=0.0)]
        rewards = self.job.grade([([text], row) for text, row in zip(answers, rows, strict=True)])
        return sum(given[0] for given in rewards) / len(rows)

    def keep(self) -> None:
        """See the protocol."""
        name = f"step-{self.marks.step}"
        sampler = self.wait(self.training.save_weights_for_sampler(f"{name}-sampler")).path
        state = self.wait(self.training.save_state(name)).path
        plan = hashlib.sha256(self.plan.model_dump_json().encode()).hexdigest()
        rank = self.plan.lora.rank
        adapter = TinkerAdapter(sampler=sampler, state=state, base_model=self.job.base_model, rank=rank, plan=plan)
        write_reference(self.job.work, adapter)

    def checkpoint(self, seconds: float) -> None:
        """See the protocol."""
        saved = self.wait(self.training.save_state(f"checkpoint-{self.marks.step}", ttl_seconds=CHECKPOINT_LIFE))
        now = self.marks.model_copy(update={"seconds": seconds, "state": saved.path})
        write_whole(self.job.work / CHECKPOINT_FILE, now.model_dump_json().encode())

    def restore(self) -> int | None:
        """See the protocol."""
        marks = read_checkpoint(self.job.work, self.marks.digest)
        if marks is None or marks.state is None:
            return None
        self.training = self.wait(self.service.create_training_client_from_state_with_optimizer(marks.state))
        self._updates += 1  # clients of the spoilt weights are out of date
        return marks.step

    def exceeded(self) -> Fault | None:
        """See the protocol. The memory is Tinker's."""
        return None

    def cost(self, seconds: float) -> float | None:
        """See the protocol."""
        return cost_of(self.marks.meter, self.job.prices)

    def wait(self, future: Any) -> Any:  # noqa: ANN401 - the client's futures are of many types
        """The result of a call. Raises TimeoutError when the service does not come to an end in time."""
        return future.result(timeout=max(1.0, self.deadline - time.monotonic()))

    def _on_policy(self, batch: Sequence[Example]) -> StepReport:
        plan, prompts = self.plan, self._prompts(batch)
        groups = self._draw(batch, plan.group_size)
        pairs = zip(groups, batch, strict=True)
        rewards = torch.tensor(self.job.grade([([d.text for d in group], example) for group, example in pairs]))
        weights = group_weights(plan, rewards)
        references = self._reference([(p, d.tokens) for p, g in zip(prompts, groups, strict=True) for d in g])
        data, kl = [], 0.0
        for i, (prompt, group) in enumerate(zip(prompts, groups, strict=True)):
            for n, drawn in enumerate(group):
                reference = references[i * plan.group_size + n] if references else None
                advantages, far = _advantages(plan, float(weights[i, n]), drawn, reference, rewards.numel())
                kl += far
                if not any(advantages):
                    continue
                if plan.algorithm == "best-of-n":
                    data.append(weighted(prompt, drawn.tokens, advantages[0]))
                else:
                    data.append(rewarded(prompt, drawn.tokens, drawn.logprobs, advantages))
        loss, norm = 0.0, None
        for _ in range(plan.epochs if plan.algorithm == "grpo" else 1):
            # A batch whose groups are all even teaches nothing.
            if data:
                loss, norm = self._update(data, *_loss_of(plan))
        told = [logp for group in groups for drawn in group for logp in drawn.logprobs]
        return StepReport(
            loss,
            norm,
            0,
            reward=float(rewards.mean()),
            kl=kl / max(1, len(told)) if references else None,
            entropy=-sum(told) / max(1, len(told)),
            spread=float((rewards.amax(dim=1) > rewards.amin(dim=1)).float().mean()),
        )

    def _preferences(self, batch: Sequence[Example]) -> StepReport:
        plan = self.plan
        pairs = self._pairs(batch)
        if not pairs:
            return StepReport(0.0, None, 0, reward=1.0)
        rows = [(prompt, right) for prompt, right, _ in pairs] + [(prompt, wrong) for prompt, _, wrong in pairs]
        reference = torch.tensor([sum(logprobs) for logprobs in self._scored(rows)])
        n, preferred = len(pairs), 0.0

        def loss(data: list[tinker.Datum], logprobs: list[torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
            nonlocal preferred
            masks = [datum.loss_fn_inputs["weights"].to_torch() for datum in data]
            whole = torch.stack([(logp * mask).sum() for logp, mask in zip(logprobs, masks, strict=True)])
            preferred = float((whole[:n] > whole[n:]).float().mean())
            return dpo_loss(whole[:n], whole[n:], reference[:n], reference[n:], plan.dpo_beta), {}

        data = [weighted(prompt, answer, 1.0) for prompt, answer in rows]
        future = self.training.forward_backward_custom(data, loss)
        # A pass forward to get the likelihoods, and one forward and backward.
        value, norm = self._finish(future, data, passes=2)
        return StepReport(value, norm, 0, reward=preferred)

    def _pairs(self, batch: Sequence[Example]) -> list[tuple[Tokens, Tokens, Tokens]]:
        """Prompt, right answer, wrong answer: another choice, or what the model itself says wrongly."""
        prompts, choices = self._prompts(batch), self.plan.data.choices
        if choices is None:
            texts = [group[0].text for group in self._draw(batch, 1)]
        else:
            draw = random.Random(f"{self.plan.seed}/{self.marks.step}")
            texts = [draw.choice([c for c in choices if c != example.answer]) for example in batch]
        found = []
        for prompt, text, example in zip(prompts, texts, batch, strict=True):
            if text and normal(text) != normal(example.answer or ""):
                right, wrong = (
                    answer_tokens(self.tokenizer, self.plan, answer, ended=True)
                    for answer in (example.answer or "", text)
                )
                found.append((prompt, right, wrong))
        return found

    def _prompts(self, examples: Sequence[Example]) -> list[Tokens]:
        return [prompt_tokens(self.tokenizer, self.plan, example.prompt) for example in examples]

    def _draw(self, examples: Sequence[Example], count: int, temperature: float = 1.0) -> list[list[_Drawn]]:
        """`count` answers to each example by the weights as they are."""
        if self._sampler is None or self._sampler[0] != self._updates:
            self._sampler = self._updates, self.wait(self.training.save_weights_and_get_sampling_client())
        prompts = self._prompts(examples)
        futures = [
            self._sampler[1].sample(
                tinker.ModelInput.from_ints(prompt),
                count,
                tinker.SamplingParams(
                    max_tokens=self.plan.answer_tokens,
                    temperature=temperature,
                    seed=(self.plan.seed * 1_000_003 + self.marks.step * 1_009 + i) % 2**31,
                ),
            )
            for i, prompt in enumerate(prompts)
        ]
        groups = []
        for prompt, future in zip(prompts, futures, strict=True):
            groups.append([self._drawn(sequence) for sequence in self.wait(future).sequences])
            self.marks.meter.read += len(prompt) * count
            self.marks.meter.written += sum(len(drawn.tokens) for drawn in groups[-1])
        return groups

    def _drawn(self, sequence: tinker.SampledSequence) -> _Drawn:
        tokens = list(sequence.tokens)
        text = str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
        return _Drawn(tokens, list(sequence.logprobs or [0.0] * len(tokens)), text)

    def _reference(self, rows: Sequence[tuple[Tokens, Tokens]]) -> list[list[float]]:
        return self._scored(rows) if self.plan.kl_weight else []

    def _scored(self, rows: Sequence[tuple[Tokens, Tokens]]) -> list[list[float]]:
        """The log-likelihood of each token of the answers under the model as it was at the start."""
        if self._start is None:
            parent = self.job.parent
            path, base = (parent.sampler, None) if parent else (None, self.job.base_model)
            self._start = self.wait(self.service.create_sampling_client(model_path=path, base_model=base))
        futures = [
            self._start.compute_logprobs(tinker.ModelInput.from_ints(prompt + answer)) for prompt, answer in rows
        ]
        found = []
        for (prompt, answer), future in zip(rows, futures, strict=True):
            found.append([logp or 0.0 for logp in self.wait(future)[len(prompt) :]])
            self.marks.meter.read += len(prompt) + len(answer)
        return found

    def _update(
        self, data: list[tinker.Datum], loss: tinker.types.LossFnType, config: dict[str, float] | None = None
    ) -> tuple[float, float | None]:
        return self._finish(self.training.forward_backward(data, loss, config), data, passes=1)

    def _finish(self, future: Any, data: list[tinker.Datum], passes: int) -> tuple[float, float | None]:  # noqa: ANN401
        """Takes the optimiser step behind a backward pass; the loss, and the gradient's norm where Tinker tells it."""
        plan, marks = self.plan, self.marks
        stepped = self.training.optim_step(
            tinker.AdamParams(
                learning_rate=plan.optimiser.learning_rate * learning_rate_factor(plan, marks.step, marks.steps),
                beta1=0.9,
                beta2=0.999,
                eps=1e-8,
                weight_decay=plan.optimiser.weight_decay,
                grad_clip_norm=plan.optimiser.max_gradient_norm,
            )
        )
        result, told = self.wait(future), self.wait(stepped).metrics or {}
        self._updates += 1
        marks.meter.trained += passes * sum(datum.model_input.length for datum in data)
        norms = [value for name, value in told.items() if "grad" in name and "norm" in name]
        return float(result.metrics.get("loss:sum", 0.0)), norms[0] if norms else None


def _advantages(
    plan: TrainingPlan, weight: float, drawn: _Drawn, reference: list[float] | None, answers: int
) -> tuple[list[float], float]:
    """The weight of each token of one answer, and how far it is from the start in nats."""
    length = len(drawn.tokens)
    share = 1.0 / max(1, length) if plan.algorithm == "grpo" else 1.0
    advantages = torch.full((length,), weight * share)
    if reference is None:
        return advantages.tolist(), 0.0
    logp, start = torch.tensor(drawn.logprobs), torch.tensor(reference)
    pull = kl_advantages(logp, start, plan.kl_weight) * share / answers
    return (advantages + pull).tolist(), float((logp - start).sum())


def _loss_of(plan: TrainingPlan) -> tuple[tinker.types.LossFnType, dict[str, float] | None]:
    if plan.algorithm == "best-of-n":
        return "cross_entropy", None
    if plan.algorithm == "grpo":
        return "ppo", {"clip_low_threshold": 1.0 - plan.clip, "clip_high_threshold": 1.0 + plan.clip}
    return "importance_sampling", None
