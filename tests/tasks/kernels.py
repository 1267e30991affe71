"""Candidates for trimul: an honest one, ones that fail, and tricks that are harmless; cheats come with the task."""

FORMULA = """import torch
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
"""
HONEST = (
    FORMULA
    + """

def custom_cpu(data):
    return formula(data)
"""
)
CHEATS = {
    "answer-before-the-output": "wrong at|answered something else",
    "computed-after-the-answer": "wrong at",
    "inputs-mutated": "changes its inputs",
    "mask-ignored": "wrong at",
    "nan": "wrong at",
    "output-aliased-to-the-input": "changes its inputs",
    "output-cached-between-calls": "wrong at",
    "process-left-behind": "leaves processes running",
    "process-without-its-first-thread": "leaves processes running",
    "reference-slowed-down": "scheduled",
    "results-forged": "wrong at",
    "timer-patched-nothing-computed": "wrong at",
    "torch-patched": "wrong at",
}
"""Folder in data/private/cheats to a pattern of what the refusal says."""


def answering(line: str) -> str:
    """A candidate with this one line for a function."""
    return f"{FORMULA}\n\ndef custom_cpu(data):\n    {line}\n"


FAILING = {
    "input returned": (answering("return data[0]"), "wrong at"),
    "another shape": (answering("return formula(data)[:, :1]"), "shape"),
    "another type": (answering("return formula(data).half()"), "float16"),
    "no tensor": (answering("return 7"), "AttributeError"),
    "ends": (answering("import os; os._exit(0)"), "its process ended"),
    "raises": (answering("raise ValueError('no\\nmore')"), "ValueError: no more"),
    "raises when loaded": ("raise SystemExit('never')\n", "SystemExit: never"),
    "ends its parent": ("import os, signal\n\nos.kill(os.getppid(), signal.SIGKILL)\n", "PermissionError"),
    "process left behind when loaded": (
        "import subprocess, sys\n\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n" + HONEST,
        "leaves processes running",
    ),
    "nothing for processors": ("x = 1\n", "no function custom_cpu"),
    "no Python": ("def custom_cpu(:\n", "cannot be read"),
    "too large": ("#" * (2 << 20), "larger than 1 MiB"),
}
"""By name: the text, and what the refusal says."""
SPINNING = f"""{HONEST}

def spin():
    a = torch.randn(400, 400)
    end = time.monotonic() + 200
    while time.monotonic() < end:
        a @ a


import threading
import time

threading.Thread(target=spin, daemon=True).start()
"""
"""Keeps processors busy, whenever it may run."""


def calling(reference: str) -> str:
    """A candidate that calls the reference in the file."""
    return (
        "import importlib.util\n\n"
        f"SPEC = importlib.util.spec_from_file_location('reference', {reference!r})\n"
        "MODULE = importlib.util.module_from_spec(SPEC)\nSPEC.loader.exec_module(MODULE)\n"
        "custom_cpu = MODULE.eager\n"
    )
