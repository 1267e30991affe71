"""Seed agent for trimul: leaves the formula itself as `custom_cpu`, looked at on public inputs.

It shows the contract: the two arguments, `kernel.py` as the answer, `agent_execution.json` as the record.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path

import torch

KERNEL = '''"""The triangle multiplicative update, operation by operation."""

import torch
import torch.nn.functional as F


def custom_cpu(data):
    """x [B, N, N, C], mask [B, N, N], weights, config -> [B, N, N, C]."""
    x, mask, weights, config = data
    n = F.layer_norm(x, (config["dim"],), weights["norm.weight"], weights["norm.bias"])
    kept = mask.unsqueeze(-1)
    left = F.linear(n, weights["left_proj.weight"]) * kept * F.linear(n, weights["left_gate.weight"]).sigmoid()
    right = F.linear(n, weights["right_proj.weight"]) * kept * F.linear(n, weights["right_gate.weight"]).sigmoid()
    o = torch.einsum("bikh,bjkh->bijh", left, right)
    o = F.layer_norm(o, (o.shape[-1],), weights["to_out_norm.weight"], weights["to_out_norm.bias"])
    return F.linear(o * F.linear(n, weights["out_gate.weight"]).sigmoid(), weights["to_out.weight"])
'''


def load(file):
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    """Writes the kernel, and measures it once on public inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--working_dir", type=Path, required=True)
    arguments = parser.parse_args()

    file = arguments.working_dir / "kernel.py"
    file.write_text(KERNEL)
    kernel, reference = load(file), load(arguments.dataset_dir / "reference.py")
    record = []
    with torch.inference_mode():
        for mask in reference.MASKS:
            data = reference.make_data(64, 1, 128, mask=mask, seed=len(record))
            start = time.perf_counter()
            found = kernel.custom_cpu(data)
            seconds = time.perf_counter() - start
            error = reference.excess(found, reference.eager(data))
            record.append({"mask": mask, "error": round(error, 4), "seconds": round(seconds, 4)})
            print(record[-1], flush=True)
    (arguments.working_dir / "agent_execution.json").write_text(json.dumps(record, indent=1))
    if any(entry["error"] > 1 for entry in record):
        sys.exit("the kernel is wrong")


if __name__ == "__main__":
    main()
