"""Best-of-N cloning: sample N answers a prompt, keep the best, and clone it (rejection sampling fine-tuning: Touvron et
al., 2023, arXiv:2307.09288, section 3.2.3; with repetition it is expert iteration, Anthony et al., 2017,
arXiv:1705.08439).

L = - mean over groups with a winner of  sum_t log p(y*_t | x, y*_<t),   y* = argmax_n r(x, y_n)

A group whose rewards are all equal has no winner and is left out: there is nothing to prefer.
"""

from torch import Tensor


def best_weights(rewards: Tensor) -> Tensor:
    """`rewards` [G, N] to weights [G, N]: 1 on the first best answer of each group with a winner, else 0."""
    best = rewards.argmax(dim=1, keepdim=True)
    weights = rewards.new_zeros(rewards.shape).scatter(1, best, 1.0)
    return weights * (rewards.amax(dim=1, keepdim=True) > rewards.amin(dim=1, keepdim=True))


def best_of_n_loss(logp: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """`logp` and `mask` [B, T], `weights` [B]; 0 when no group has a winner."""
    return -(weights * (logp * mask).sum(dim=1)).sum() / weights.sum().clamp(min=1.0)
