"""Behaviour cloning: supervised learning of given answers (Pomerleau, 1989, "ALVINN", NeurIPS 1; for language models
known as supervised fine-tuning, SFT).

tokens     L = - mean over sequences of  sum_t log p(y_t | x, y_<t)
choices    L = - mean over sequences of  log [ exp s(x, y) / sum_c exp s(x, c) ]

where s(x, c) is the log-likelihood of the choice c as a continuation of x. The second form is the loss of a classifier
that has no head of its own: it leaves alone the tokens that are no choice, and so needs fewer steps.
"""

import torch
from torch import Tensor


def token_loss(logp: Tensor, mask: Tensor) -> Tensor:
    """`logp` and `mask` [B, T]: the log-likelihood of each token of the given answers."""
    return -(logp * mask).sum(dim=1).mean()


def choice_loss(scores: Tensor, answers: Tensor) -> Tensor:
    """`scores` [B, C]: the log-likelihood of each choice; `answers` [B]: which one is right."""
    return torch.nn.functional.cross_entropy(scores, answers)
