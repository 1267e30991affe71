"""Leaves a busy process running beside the reference."""

import subprocess
import sys

import torch
import torch.nn.functional as F


def formula(data):
    x, mask, weights, config = data
    n = F.layer_norm(x, (config["dim"],), weights["norm.weight"], weights["norm.bias"])
    kept = mask.unsqueeze(-1)
    left = F.linear(n, weights["left_proj.weight"]) * kept * F.linear(n, weights["left_gate.weight"]).sigmoid()
    right = F.linear(n, weights["right_proj.weight"]) * kept * F.linear(n, weights["right_gate.weight"]).sigmoid()
    o = torch.einsum("bikh,bjkh->bijh", left, right)
    o = F.layer_norm(o, (o.shape[-1],), weights["to_out_norm.weight"], weights["to_out_norm.bias"])
    return F.linear(o * F.linear(n, weights["out_gate.weight"]).sigmoid(), weights["to_out.weight"])


BUSY = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"


def custom_cpu(data):
    subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)
    return formula(data)
