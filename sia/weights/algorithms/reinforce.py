"""REINFORCE with a leave-one-out baseline and a KL penalty (Williams, 1992, Machine Learning 8:229; the baseline: Kool
et al., 2019; Ahmadian et al., 2024, arXiv:2402.14740, "RLOO").

A_n = r_n - mean of the other rewards of the group
L = - mean_n A_n sum_t log p(y_t)  +  k mean_n sum_t KL_t,    KL_t = q/p - log(q/p) - 1  (J. Schulman, 2020, "k3")

p is the model, q the reference: the model as it was at the start. KL_t is never negative and an unbiased estimate of
KL(p || q) where y is drawn from p.
"""

import torch
from torch import Tensor


def leave_one_out(rewards: Tensor) -> Tensor:
    """`rewards` [G, N], N >= 2, to advantages [G, N] that sum to zero in each group."""
    n = rewards.shape[1]
    return (rewards - rewards.mean(dim=1, keepdim=True)) * n / (n - 1)


def reinforce_loss(
    logp: Tensor, mask: Tensor, advantages: Tensor, reference: Tensor | None = None, kl_weight: float = 0.0
) -> Tensor:
    """`logp`, `mask` and `reference` [B, T], `advantages` [B]; no reference, no penalty."""
    loss = -(advantages * (logp * mask).sum(dim=1)).mean()
    if reference is not None and kl_weight:
        loss = loss + kl_weight * (kl_estimate(logp, reference) * mask).sum(dim=1).mean()
    return loss


def kl_estimate(logp: Tensor, reference: Tensor) -> Tensor:
    """The k3 estimate for each token, in nats."""
    ratio = reference - logp
    return torch.exp(ratio) - ratio - 1.0
