"""Proximal policy optimisation with generalised advantage estimation (Schulman et al., 2017, arXiv:1707.06347; GAE:
Schulman et al., 2016, arXiv:1506.02438), with the KL penalty in the reward as for language models (Ziegler et al.,
2019, arXiv:1909.08593).

r_t = -k (log p_old(y_t) - log q(y_t)),  and the answer's reward is added at its last token
d_t = r_t + V_{t+1} - V_t                  (discount 1; V is 0 after the last token)
A_t = d_t + l A_{t+1},   returns_t = A_t + V_t
L = - mean_n 1/T_n sum_t min(rho_t A_t, clip(rho_t, 1 - c, 1 + c) A_t)  +  v mean_n 1/T_n sum_t (V_t - returns_t)^2 / 2

Advantages are brought to mean 0 and deviation 1 over the batch. V is a linear function of the last hidden state.
"""

import torch
from torch import Tensor

from sia.weights.algorithms.grpo import clipped_terms

VALUE_WEIGHT = 0.5
EPSILON = 1e-8


def token_rewards(rewards: Tensor, logp: Tensor, reference: Tensor | None, mask: Tensor, kl_weight: float) -> Tensor:
    """`rewards` [B] to r_t [B, T]; answers begin at token 0 and end where the mask does."""
    lengths = mask.sum(dim=1).long().clamp(min=1)
    at_end = torch.zeros_like(mask).scatter(1, (lengths - 1).unsqueeze(1), rewards.to(mask.dtype).unsqueeze(1))
    if reference is None or not kl_weight:
        return at_end
    return at_end - kl_weight * (logp - reference) * mask


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """`rewards`, `values` and `mask` [B, T] to advantages and returns [B, T]; discount 1, 0 on padding."""
    values = values * mask
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        next_value = values[:, t + 1] if t + 1 < values.shape[1] else torch.zeros_like(values[:, 0])
        following = (rewards[:, t] + next_value - values[:, t] + gae_lambda * following) * mask[:, t]
        advantages[:, t] = following
    return advantages, (advantages + values) * mask


def whitened(advantages: Tensor, mask: Tensor) -> Tensor:
    """Brought to mean 0 and deviation 1 over the tokens that the mask keeps."""
    count = mask.sum().clamp(min=1.0)
    mean = (advantages * mask).sum() / count
    variance = ((advantages - mean) ** 2 * mask).sum() / count
    return (advantages - mean) / torch.sqrt(variance + EPSILON) * mask


def ppo_loss(
    logp: Tensor, old: Tensor, values: Tensor, returns: Tensor, mask: Tensor, advantages: Tensor, clip: float
) -> Tensor:
    """All [B, T]; `values` is V now, `returns` from the time of sampling."""
    terms = clipped_terms(logp, old, advantages, clip) - VALUE_WEIGHT * 0.5 * (values - returns) ** 2
    return -((terms * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)).mean()
