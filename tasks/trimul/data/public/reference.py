"""The formula of the task in plain PyTorch, and inputs like those of the evaluation. Import it, measure against it.

Triangle multiplicative update with outgoing edges: Jumper et al. 2021, Nature 596:583, supplementary algorithm 11, in
the form without biases of AlphaFold 3, Abramson et al. 2024, Nature 630:493, supplementary algorithm 12.
"""

import math

import torch
import torch.nn.functional as F

HIDDEN = 128
EPSILON = 1e-5
TOLERANCE = 2e-2
PROJECTIONS = ("left_proj", "right_proj", "left_gate", "right_gate", "out_gate")
MASKS = ("ones", "float32", "int64")
"""All ones; zeros and ones in float32; zeros and ones in int64."""

Data = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], dict[str, int]]
"""x [B, N, N, C], mask [B, N, N], weights by name, {"dim": C, "hidden_dim": H}."""


def eager(data: Data) -> torch.Tensor:
    """The formula, operation by operation: what candidates are compared with, in values and in time.

    n = LayerNorm(x); l = (n Wl) * mask * sigmoid(n Wlg), and r alike; o[i, j] = sum over k of l[i, k] * r[j, k], for
    each channel; result = (LayerNorm(o) * sigmoid(n Wog)) Wo.
    """
    x, mask, weights, config = data
    n = F.layer_norm(x, (config["dim"],), weights["norm.weight"], weights["norm.bias"], EPSILON)
    kept = mask.unsqueeze(-1)
    left = F.linear(n, weights["left_proj.weight"]) * kept * F.linear(n, weights["left_gate.weight"]).sigmoid()
    right = F.linear(n, weights["right_proj.weight"]) * kept * F.linear(n, weights["right_gate.weight"]).sigmoid()
    o = torch.einsum("bikh,bjkh->bijh", left, right)
    normal = (config["hidden_dim"],), weights["to_out_norm.weight"], weights["to_out_norm.bias"], EPSILON
    gated = F.layer_norm(o, *normal) * F.linear(n, weights["out_gate.weight"]).sigmoid()
    return F.linear(gated, weights["to_out.weight"])


def make_data(
    n: int, batch: int, dim: int, *, cauchy: bool = False, mask: str = "ones", seed: int = 0, device: str = "cpu"
) -> Data:
    """Random inputs: x normal or Cauchy of scale 2; the mask one of `MASKS`; weights N(0, 1/H), the last N(0, 1/C)."""
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    if cauchy:
        x = torch.empty(batch, n, n, dim, device=device).cauchy_(0.0, 2.0, generator=generator)
    else:
        x = normal(batch, n, n, dim)
    kept = torch.ones(batch, n, n, device=device)
    if mask != "ones":
        kept = torch.randint(0, 2, (batch, n, n), generator=generator, device=device).to(getattr(torch, mask))
    weights = {"norm.weight": normal(dim), "norm.bias": normal(dim)}
    weights |= {f"{name}.weight": normal(HIDDEN, dim) / math.sqrt(HIDDEN) for name in PROJECTIONS}
    weights |= {"to_out_norm.weight": normal(HIDDEN), "to_out_norm.bias": normal(HIDDEN)}
    weights["to_out.weight"] = normal(dim, HIDDEN) / math.sqrt(dim)
    return x, kept, weights, {"dim": dim, "hidden_dim": HIDDEN}


def excess(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest error in units of what is allowed, 2e-2 + 2e-2 |wanted|: above 1 is wrong, and so is any NaN."""
    worst = ((found - wanted).abs() / (TOLERANCE + TOLERANCE * wanted.abs())).max().item()
    return worst if math.isfinite(worst) else math.inf
