"""One optimiser step by each algorithm: the loss is built in parts that fit the memory, and the gradients add up."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import backward

from sia.weights.algorithms.best_of_n import best_of_n_loss, best_weights
from sia.weights.algorithms.cloning import choice_loss, token_loss
from sia.weights.algorithms.dpo import dpo_loss
from sia.weights.algorithms.entropic import entropic_advantages
from sia.weights.algorithms.grpo import group_advantages, grpo_loss
from sia.weights.algorithms.ppo import gae, ppo_loss, token_rewards, whitened
from sia.weights.algorithms.reinforce import leave_one_out, reinforce_loss
from sia.weights.examples import Example
from sia.weights.loop import StepReport
from sia.weights.model import Policy
from sia.weights.plan import TrainingPlan
from sia.weights.rewards import RewardGroup, normal
from sia.weights.rollouts import Rollouts, evaluate, generate, roll_out, text_of
from sia.weights.schedule import by_length
from sia.weights.scoring import Scored, score_answers, score_choices
from sia.weights.tokens import Tokens, answer_tokens, prompt_tokens

Apply = Callable[[], float]
"""Takes the optimiser step with the gradients so far; gives their norm before clipping."""


def take_step(
    policy: Policy,
    plan: TrainingPlan,
    examples: Sequence[Example],
    reward: RewardGroup,
    choices: list[Tokens] | None,
    apply: Apply,
) -> StepReport:
    """One step on a batch of examples. `choices` are the tokens of the choices where an action is one."""
    if plan.on_policy:
        return _on_policy(policy, plan, examples, reward, choices, apply)
    if plan.algorithm == "dpo":
        return _preferences(policy, plan, examples, apply)
    return _cloning(policy, plan, examples, choices, apply)


def validation_reward(
    policy: Policy, plan: TrainingPlan, examples: Sequence[Example], reward: RewardGroup, choices: list[Tokens] | None
) -> float | None:
    """Mean reward of the likeliest answers; None without examples, or where a reward needs a group to vote."""
    if not examples or plan.reward.kind == "majority":
        return None
    policy.model.eval()
    prompts = [prompt_tokens(policy.tokenizer, plan, example.prompt) for example in examples]
    total = 0.0
    with torch.no_grad():
        for part in by_length([len(p) for p in prompts], plan.micro_batch):
            if choices is not None and plan.data.choices is not None:
                best = score_choices(policy, [prompts[i] for i in part], choices)[0].argmax(dim=1).tolist()
                texts = [plan.data.choices[c] for c in best]
            else:
                drawn = generate(policy, plan, [prompts[i] for i in part], 1, greedy=True)
                texts = [text_of(policy, group[0]) for group in drawn]
            total += sum(reward([text], examples[i])[0] for text, i in zip(texts, part, strict=True))
    return total / len(examples)


def _cloning(
    policy: Policy, plan: TrainingPlan, examples: Sequence[Example], choices: list[Tokens] | None, apply: Apply
) -> StepReport:
    prompts = [prompt_tokens(policy.tokenizer, plan, example.prompt) for example in examples]
    policy.model.train()
    total, right, tokens = 0.0, 0.0, 0
    for part in by_length([len(p) for p in prompts], plan.micro_batch):
        rows = [prompts[i] for i in part]
        tokens += sum(map(len, rows))
        if choices is not None and plan.loss == "choices":
            assert plan.data.choices is not None
            index = torch.tensor([plan.data.choices.index(examples[i].answer or "") for i in part])
            scores, _ = score_choices(policy, rows, choices)
            loss = choice_loss(scores, index.to(policy.device))
            right += float((scores.argmax(dim=1).cpu() == index).sum())
        else:
            answers = [answer_tokens(policy.tokenizer, plan, examples[i].answer or "", ended=True) for i in part]
            tokens += sum(map(len, answers))
            scored = score_answers(policy, rows, answers)
            loss = token_loss(scored.logp, scored.mask)
        backward(loss * len(part) / len(examples))
        total += float(loss.detach()) * len(part) / len(examples)
    norm = apply()
    return StepReport(total, norm, tokens, reward=right / len(examples) if plan.loss == "choices" else None)


def _preferences(policy: Policy, plan: TrainingPlan, examples: Sequence[Example], apply: Apply) -> StepReport:
    """DPO: the reward that is reported is the share of pairs in which the model prefers the right answer."""
    pairs = _pairs(policy, plan, examples)
    total, right, tokens = 0.0, 0.0, 0
    for part in by_length([len(prompt) for prompt, _, _ in pairs], max(1, plan.micro_batch // 2)):
        rows = [pairs[i][0] for i in part] * 2
        answers = [pairs[i][1] for i in part] + [pairs[i][2] for i in part]
        tokens += sum(map(len, rows)) + sum(map(len, answers))
        policy.model.eval()
        with policy.as_reference():
            reference = _whole(score_answers(policy, rows, answers))
        policy.model.train()
        logp = _whole(score_answers(policy, rows, answers))
        n = len(part)
        loss = dpo_loss(logp[:n], logp[n:], reference[:n], reference[n:], plan.dpo_beta)
        backward(loss * n / len(pairs))
        total += float(loss.detach()) * n / len(pairs)
        right += float((logp[:n] > logp[n:]).sum())
    return StepReport(total, apply(), tokens, reward=right / len(pairs) if pairs else 1.0)


def _pairs(policy: Policy, plan: TrainingPlan, examples: Sequence[Example]) -> list[tuple[Tokens, Tokens, Tokens]]:
    """Prompt, right answer, wrong answer: another choice, or what the model itself says wrongly."""
    prompts = [prompt_tokens(policy.tokenizer, plan, example.prompt) for example in examples]
    ended = plan.data.choices is None
    if plan.data.choices is None:
        policy.model.eval()
        parts = by_length([len(p) for p in prompts], plan.micro_batch)
        drawn = {
            i: g[0]
            for part in parts
            for i, g in zip(part, generate(policy, plan, [prompts[i] for i in part], 1, greedy=False), strict=True)
        }
        wrong = {i: a for i, a in drawn.items() if a and normal(text_of(policy, a)) != normal(examples[i].answer or "")}
    else:
        draw = random.Random(torch.initial_seed())
        others = {i: [c for c in plan.data.choices if c != example.answer] for i, example in enumerate(examples)}
        wrong = {
            i: answer_tokens(policy.tokenizer, plan, draw.choice(found), ended=False) for i, found in others.items()
        }
    return [
        (prompts[i], answer_tokens(policy.tokenizer, plan, examples[i].answer or "", ended=ended), wrong[i])
        for i in sorted(wrong)
    ]


def _on_policy(
    policy: Policy,
    plan: TrainingPlan,
    examples: Sequence[Example],
    reward: RewardGroup,
    choices: list[Tokens] | None,
    apply: Apply,
) -> StepReport:
    parts = roll_out(policy, plan, examples, reward, choices)
    targets = _targets(plan, parts, policy.device)
    weights = _shares(plan, parts, targets)
    total, norm = 0.0, 0.0
    for _ in range(plan.epochs if plan.algorithm in ("ppo", "grpo") else 1):
        total = 0.0
        policy.model.train()
        for part, target, share in zip(parts, targets, weights, strict=True):
            now = evaluate(policy, plan, part.prompts, part.actions, choices)
            loss = _objective(plan, now, part, target)
            backward(loss * share)
            total += float(loss.detach()) * share
        norm = apply()
    rewards = torch.cat([part.rewards for part in parts])
    count = sum(float(part.mask.sum()) for part in parts)
    # The plain estimate of the KL: the other one is dominated by rare answers, and would raise false alarms.
    kl = sum(float(((part.old - part.reference) * part.mask).sum()) for part in parts) / count
    entropy = sum(float((part.entropy * part.mask).sum()) for part in parts) / count
    spread = float((rewards.amax(dim=1) > rewards.amin(dim=1)).float().mean())
    tokens = sum(part.tokens for part in parts)
    return StepReport(total, norm, tokens, float(rewards.mean()), kl, entropy, spread)


@dataclass(frozen=True)
class _Target:
    """What one part of the rollouts pulls towards: weights or advantages, and for PPO the returns."""

    advantages: Tensor
    returns: Tensor | None = None


def _targets(plan: TrainingPlan, parts: Sequence[Rollouts], device: torch.device) -> list[_Target]:
    if plan.algorithm == "ppo":
        return _ppo_targets(plan, parts)
    per_group: dict[str, Callable[[Tensor], Tensor]] = {
        "best-of-n": best_weights,
        "reinforce": leave_one_out,
        "grpo": group_advantages,
        "entropic": lambda rewards: entropic_advantages(rewards, plan.entropy_budget),
    }
    return [_Target(per_group[plan.algorithm](part.rewards).reshape(-1).to(device)) for part in parts]


def _ppo_targets(plan: TrainingPlan, parts: Sequence[Rollouts]) -> list[_Target]:
    found = []
    for part in parts:
        assert part.values is not None
        rewards = part.rewards.reshape(-1).to(part.old.device)
        by_token = token_rewards(rewards, part.old, part.reference, part.mask, plan.kl_weight)
        found.append(gae(by_token, part.values, part.mask, plan.gae_lambda))
    flat = torch.cat([advantages.reshape(-1) for advantages, _ in found])
    mask = torch.cat([part.mask.reshape(-1) for part in parts])
    even = torch.split(whitened(flat, mask), [part.mask.numel() for part in parts])
    return [
        _Target(white.view_as(advantages), returns) for white, (advantages, returns) in zip(even, found, strict=True)
    ]


def _shares(plan: TrainingPlan, parts: Sequence[Rollouts], targets: Sequence[_Target]) -> list[float]:
    """The weight of each part's mean in the mean over the batch."""
    if plan.algorithm == "best-of-n":
        winners = [float(target.advantages.sum()) for target in targets]
        return [count / max(1.0, sum(winners)) for count in winners]
    groups = [len(part.prompts) for part in parts]
    return [count / sum(groups) for count in groups]


def _objective(plan: TrainingPlan, now: Scored, part: Rollouts, target: _Target) -> Tensor:
    if plan.algorithm == "best-of-n":
        return best_of_n_loss(now.logp, part.mask, target.advantages)
    if plan.algorithm == "grpo":
        return grpo_loss(now.logp, part.old, part.mask, target.advantages, plan.clip, part.reference, plan.kl_weight)
    if plan.algorithm == "ppo":
        assert now.values is not None
        assert target.returns is not None
        return ppo_loss(now.logp, part.old, now.values, target.returns, part.mask, target.advantages, plan.clip)
    return reinforce_loss(now.logp, part.mask, target.advantages, part.reference, plan.kl_weight)


def _whole(scored: Scored) -> Tensor:
    return (scored.logp * scored.mask).sum(dim=1)
