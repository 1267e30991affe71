"""How likely answers are under the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sia.weights.model import Policy
from sia.weights.plan import PlanError, TrainingPlan
from sia.weights.tokens import Tokens, answer_tokens


@dataclass(frozen=True)
class Scored:
    """What the model says of B answers of up to T tokens."""

    logp: Tensor
    """[B, T], natural logarithms."""
    mask: Tensor
    """[B, T], 1 on the tokens of the answer."""
    entropy: Tensor
    """[B, T], nats, of the distribution that each token was drawn from; no gradient."""
    values: Tensor | None = None
    """[B, T], PPO's estimates."""


def choice_tokens(policy: Policy, plan: TrainingPlan) -> list[Tokens]:
    """The tokens of each choice. Raises PlanError when two of them look the same to the model, or one is empty."""
    assert plan.data.choices is not None
    found = [answer_tokens(policy.tokenizer, plan, choice, ended=False) for choice in plan.data.choices]
    if not all(found):
        raise PlanError("data.choices holds an answer without tokens")
    if len({tuple(ids) for ids in found}) < len(found):
        raise PlanError("two of data.choices have the same tokens within answer_tokens")
    return found


def score_answers(
    policy: Policy, prompts: Sequence[Tokens], answers: Sequence[Tokens], temperature: float = 1.0, values: bool = False
) -> Scored:
    """The likelihood of each answer after its prompt, in one forward pass over B = len(prompts) sequences."""
    width, length = max(map(len, prompts)), max(map(len, answers))
    pad = policy.tokenizer.pad_token_id or 0
    ids = torch.full((len(prompts), width + length), pad, dtype=torch.long)
    attention, mask = torch.zeros_like(ids), torch.zeros(len(prompts), length)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        ids[row, width - len(prompt) : width + len(answer)] = torch.tensor(prompt + answer)
        attention[row, width - len(prompt) : width + len(answer)] = 1
        mask[row, : len(answer)] = 1.0
    logits, hidden = _forward(policy, ids, attention, length + 1, values)
    logp = torch.log_softmax(logits[:, :-1].float() / temperature, dim=-1)
    with torch.no_grad():
        entropy = -(logp.exp() * logp).sum(dim=-1)
    chosen = logp.gather(2, ids[:, width:].to(policy.device).unsqueeze(2)).squeeze(2)
    estimates = policy.value_head(hidden[:, :-1].float()).squeeze(2) if hidden is not None else None
    return Scored(chosen, mask.to(policy.device), entropy, estimates)


def score_choices(
    policy: Policy, prompts: Sequence[Tokens], choices: Sequence[Tokens], values: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Log-likelihoods [B, C] of the choices as continuations of the prompts, and PPO's estimates [B] where wanted."""
    single = all(len(choice) == 1 for choice in choices)
    estimates = None
    if single or values:
        logits, hidden = _last_logits(policy, prompts, values)
        if hidden is not None:
            estimates = policy.value_head(hidden.float()).squeeze(1)
        if single:
            logp = torch.log_softmax(logits.float(), dim=-1)
            return logp[:, [choice[0] for choice in choices]], estimates
    rows = [(prompt, choice) for prompt in prompts for choice in choices]
    scored = score_answers(policy, [prompt for prompt, _ in rows], [choice for _, choice in rows])
    return (scored.logp * scored.mask).sum(dim=1).view(len(prompts), len(choices)), estimates


def _last_logits(policy: Policy, prompts: Sequence[Tokens], values: bool = False) -> tuple[Tensor, Tensor | None]:
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), policy.tokenizer.pad_token_id or 0, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        attention[row, width - len(prompt) :] = 1
    logits, hidden = _forward(policy, ids, attention, 1, values)
    return logits[:, -1], hidden[:, -1] if hidden is not None else None


def _forward(policy: Policy, ids: Tensor, attention: Tensor, keep: int, values: bool) -> tuple[Tensor, Tensor | None]:
    """Logits of the last `keep` positions, and their last hidden states where values are wanted."""
    positions = (attention.cumsum(dim=1) - 1).clamp(min=0)
    output = policy.model(
        input_ids=ids.to(policy.device),
        attention_mask=attention.to(policy.device),
        position_ids=positions.to(policy.device),
        logits_to_keep=keep,
        output_hidden_states=values,
        use_cache=False,
    )
    return output.logits, output.hidden_states[-1][:, -keep:] if values else None
