"""Entropic advantage weighting: the gradient of a soft maximum of the reward (Yuksekgonul et al., 2026,
arXiv:2601.16175, "TTT-Discover"; the objective is the exponential utility of Howard and Matheson, 1972).

J_b = log E exp(b r)                     the mean reward for b -> 0, the best one for b -> infinity
w_n = N exp(b r_n) / sum_m exp(b r_m)    gradient weights, of mean 1
A_n = w_n - 1                            with the baseline 1
L = - mean_n A_n sum_t log p(y_t)  +  k mean_n sum_t KL_t

The temperature adapts to each group: b is the one at which the normalised weights w/N are `budget` nats away from equal
weights (KL). Where few answers are good this looks at the best alone; where many are, b falls. The budget of ln 2
amounts to halving the group. A group whose rewards are equal has advantage 0.
"""

import torch
from torch import Tensor

MAX_SHARPNESS = 1e6
BISECTIONS = 60


def entropic_advantages(rewards: Tensor, budget: float) -> Tensor:
    """`rewards` [G, N] to advantages [G, N]; `budget` in nats, at most what the group's ties allow."""
    spread = rewards.amax(dim=1, keepdim=True) - rewards.amin(dim=1, keepdim=True)
    scaled = (rewards - rewards.amax(dim=1, keepdim=True)) / spread.clamp(min=1e-12)
    low, high = torch.zeros_like(spread), torch.full_like(spread, MAX_SHARPNESS)
    # The divergence grows with the sharpness; bisection on a logarithmic scale finds where it meets the budget.
    for _ in range(BISECTIONS):
        middle = torch.expm1(0.5 * (torch.log1p(low) + torch.log1p(high)))
        below = _divergence(scaled * middle) < budget
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    weights = torch.softmax(scaled * low, dim=1) * rewards.shape[1]
    return torch.where(spread > 0, weights - 1.0, torch.zeros_like(weights))


def _divergence(logits: Tensor) -> Tensor:
    """KL of softmax(logits) from equal weights, in nats, [G, 1]."""
    logp = torch.log_softmax(logits, dim=1)
    entropy = -(logp.exp() * logp).sum(dim=1, keepdim=True)
    return torch.log(torch.tensor(float(logits.shape[1]), dtype=logits.dtype, device=logits.device)) - entropy
