"""Direct preference optimisation (Rafailov et al., 2023, arXiv:2305.18290, equation 7).

L = - mean log sigmoid( beta [ (log p(y+) - log q(y+)) - (log p(y-) - log q(y-)) ] )

y+ is the preferred answer, y- the other, q the model as it was at the start. Preferences come from labels: the right
answer against a wrong choice, or against what the model itself said wrongly.
"""

import torch
from torch import Tensor


def dpo_loss(chosen: Tensor, rejected: Tensor, chosen_ref: Tensor, rejected_ref: Tensor, beta: float) -> Tensor:
    """Log-likelihoods of whole answers, each [B], under the model and under the reference."""
    margin = (chosen - chosen_ref) - (rejected - rejected_ref)
    return -torch.nn.functional.logsigmoid(beta * margin).mean()
