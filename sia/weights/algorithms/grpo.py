"""Group relative policy optimisation (Shao et al., 2024, arXiv:2402.03300, equations 3, 4 and 21).

A_n = (r_n - mean r) / (std r + e)          within the group; std with N - 1
rho_t = p(y_t) / p_old(y_t)
L = - mean_n  1/T_n sum_t [ min(rho_t A_n, clip(rho_t, 1 - c, 1 + c) A_n) - k KL_t ]

p_old is the model that drew the answers; KL_t as in REINFORCE. A group of equal rewards has advantage 0 and teaches
nothing: where most groups are so, take easier prompts, larger groups or a finer reward.
"""

import torch
from torch import Tensor

from sia.weights.algorithms.reinforce import kl_estimate

EPSILON = 1e-4


def group_advantages(rewards: Tensor) -> Tensor:
    """`rewards` [G, N], N >= 2, to advantages [G, N] of mean 0 and deviation 1 in each group."""
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.std(dim=1, keepdim=True) + EPSILON)


def clipped_terms(logp: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped surrogate of each token [B, T], to be maximised; `advantages` [B] or [B, T]."""
    if advantages.dim() == 1:
        advantages = advantages.unsqueeze(1)
    ratio = torch.exp(logp - old)
    return torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages)


def grpo_loss(
    logp: Tensor,
    old: Tensor,
    mask: Tensor,
    advantages: Tensor,
    clip: float,
    reference: Tensor | None = None,
    kl_weight: float = 0.0,
) -> Tensor:
    """`logp`, `old`, `mask` and `reference` [B, T], `advantages` [B]."""
    terms = clipped_terms(logp, old, advantages, clip)
    if reference is not None and kl_weight:
        terms = terms - kl_weight * kl_estimate(logp, reference)
    return -((terms * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)).mean()
