"""Answers drawn from the model being trained, with their rewards: what every on-policy algorithm learns from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sia.weights.examples import Example
from sia.weights.model import Policy
from sia.weights.plan import TrainingPlan
from sia.weights.rewards import RewardGroup
from sia.weights.schedule import by_length
from sia.weights.scoring import Scored, score_answers, score_choices
from sia.weights.tokens import Tokens, prompt_tokens


@dataclass(frozen=True)
class Rollouts:
    """G prompts with N answers each, small enough for one forward pass; B = G N."""

    prompts: list[Tokens]
    actions: list[list[Tokens]]
    """[G][N] answers in tokens; where an action is a choice, its number alone."""
    rewards: Tensor
    """[G, N]."""
    old: Tensor
    """[B, T], the log-likelihoods under the model that drew the answers."""
    reference: Tensor
    """[B, T], under the model as it was at the start."""
    mask: Tensor
    entropy: Tensor
    values: Tensor | None
    """[B, T], PPO's estimates at the time of drawing."""

    @property
    def tokens(self) -> int:
        """Tokens read and written for them."""
        answers = sum(len(action) for group in self.actions for action in group)
        return sum(map(len, self.prompts)) * len(self.actions[0]) + answers


def roll_out(
    policy: Policy, plan: TrainingPlan, examples: Sequence[Example], reward: RewardGroup, choices: list[Tokens] | None
) -> list[Rollouts]:
    """Draws `group_size` answers to each example and rewards them; in parts of about `micro_batch` sequences."""
    prompts = [prompt_tokens(policy.tokenizer, plan, example.prompt) for example in examples]
    parts = []
    size = max(1, plan.micro_batch // (1 if choices else plan.group_size))
    policy.model.eval()
    for indices in by_length([len(prompt) for prompt in prompts], size):
        part = [prompts[i] for i in indices]
        with torch.no_grad():
            actions, texts = _draw(policy, plan, part, choices)
            rewards = torch.tensor([reward(group, examples[i]) for group, i in zip(texts, indices, strict=True)])
            old = evaluate(policy, plan, part, actions, choices)
        with policy.as_reference():
            reference = evaluate(policy, plan, part, actions, choices)
        parts.append(
            Rollouts(part, actions, rewards, old.logp, reference.logp, old.mask, old.entropy, values=old.values)
        )
    return parts


def evaluate(
    policy: Policy,
    plan: TrainingPlan,
    prompts: Sequence[Tokens],
    actions: Sequence[Sequence[Tokens]],
    choices: list[Tokens] | None,
) -> Scored:
    """What the model says of the actions [G][N], as B = G N rows at the temperature of the drawing."""
    values = plan.algorithm == "ppo"
    n = len(actions[0])
    if choices is None:
        rows = [prompt for prompt in prompts for _ in range(n)]
        flat = [action for group in actions for action in group]
        return score_answers(policy, rows, flat, plan.temperature, values)
    scores, estimates = score_choices(policy, prompts, choices, values)
    logp = torch.log_softmax(scores / plan.temperature, dim=1)
    index = torch.tensor([[action[0] for action in group] for group in actions], device=logp.device)
    chosen = logp.gather(1, index).reshape(-1, 1)
    with torch.no_grad():
        entropy = -(logp.exp() * logp).sum(dim=1, keepdim=True).repeat_interleave(n, dim=0)
    repeated = estimates.unsqueeze(1).repeat_interleave(n, dim=0) if estimates is not None else None
    return Scored(chosen, torch.ones_like(chosen), entropy, repeated)


def generate(policy: Policy, plan: TrainingPlan, prompts: Sequence[Tokens], n: int, greedy: bool) -> list[list[Tokens]]:
    """`n` answers to each prompt, each up to and with its end-of-text token."""
    width = max(map(len, prompts))
    end = policy.tokenizer.eos_token_id
    pad = policy.tokenizer.pad_token_id if policy.tokenizer.pad_token_id is not None else end or 0
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        attention[row, width - len(prompt) :] = 1
    how = (
        {"do_sample": False}
        if greedy
        else {"do_sample": True, "temperature": plan.temperature, "top_k": 0, "top_p": 1.0}
    )
    with torch.no_grad():
        output = policy.model.generate(
            input_ids=ids.to(policy.device),
            attention_mask=attention.to(policy.device),
            max_new_tokens=plan.answer_tokens,
            num_return_sequences=n,
            pad_token_id=pad,
            eos_token_id=end,
            **how,
        )
    answers = [_until(row, end) for row in output[:, width:].tolist()]
    return [answers[i : i + n] for i in range(0, len(answers), n)]


def text_of(policy: Policy, answer: Tokens) -> str:
    """The words of a generated answer."""
    return str(policy.tokenizer.decode(answer, skip_special_tokens=True)).strip()


def _draw(
    policy: Policy, plan: TrainingPlan, prompts: Sequence[Tokens], choices: list[Tokens] | None
) -> tuple[list[list[Tokens]], list[list[str]]]:
    """Actions and their texts, [G][N] each."""
    if choices is None:
        drawn = generate(policy, plan, prompts, plan.group_size, greedy=False)
        return drawn, [[text_of(policy, answer) for answer in group] for group in drawn]
    assert plan.data.choices is not None
    scores, _ = score_choices(policy, prompts, choices)
    chances = torch.softmax(scores / plan.temperature, dim=1)
    picked = torch.multinomial(chances, plan.group_size, replacement=True).tolist()
    return [[[c] for c in row] for row in picked], [[plan.data.choices[c] for c in row] for row in picked]


def _until(answer: Tokens, end: int | None) -> Tokens:
    return answer[: answer.index(end) + 1] if end in answer else answer
