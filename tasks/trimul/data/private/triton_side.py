"""The Triton kernel on a machine without a GPU: run by Triton's interpreter, and compiled for an H100.

What is found is told and never scored: neither says how fast a kernel is. Triton's interpreter multiplies bfloat16
wrongly, so a kernel that uses it fails here and may be right on a GPU.
"""

import importlib.util
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cases import triton_cases
from cpu_track import bytes_of
from reference import eager, excess
from workers import HERE, Refused, Worker, cores

SECONDS = 90.0
"""For the interpreted cases together, and again for compiling."""
MAX_REPORT = 1 << 16
SHARED_BYTES = 232_448
"""Shared memory that one block can have on an H100."""


def look(kernel: Path, scratch: Path) -> dict[str, Any]:
    """`state` (passed, failed with why, absent, unchecked), errors by case, what the compiler made of the kernels."""
    if importlib.util.find_spec("triton") is None:
        return {"state": "unchecked", "reason": "triton is not installed in the environment of the evaluator"}
    # The interpreter multiplies small matrices one by one: threads would only wait for each other.
    variables = {"TRITON_INTERPRET": "1", "OPENBLAS_NUM_THREADS": "1"}
    worker = Worker(kernel, "custom_kernel", scratch, max(map(bytes_of, triton_cases())), variables)
    errors: dict[str, float] = {}
    end = time.monotonic() + SECONDS
    try:
        if not worker.start():
            return {"state": "absent", "reason": "kernel.py has no function custom_kernel"}
        for number, case in enumerate(triton_cases()):
            data = case.data(number)
            worker.fill(data)
            worker.call(max(1.0, end - time.monotonic()))
            errors[case.name] = round(excess(worker.output, eager(data)), 4)
    except Refused as error:
        return {"state": "failed", "reason": str(error), "interpreted": errors}
    finally:
        worker.stop()
    wrong = [name for name, error in errors.items() if not error <= 1.0]
    compiled = compile_kernels(kernel, scratch)
    found: dict[str, Any] = {"state": "passed", "interpreted": errors, "compiled": compiled}
    if wrong:
        found |= {"state": "failed", "reason": f"wrong at {wrong[0]}, interpreted"}
    elif problem := compiler_problem(compiled):
        found |= {"state": "failed", "reason": problem}
    return found


def compiler_problem(compiled: dict[str, Any]) -> str | None:
    """Why the kernels could not run on an H100, as far as the compiler can tell."""
    if "error" in compiled:
        return f"not compiled for sm_90: {compiled['error']}"
    for kernel in compiled["kernels"]:
        if kernel["shared_bytes"] > SHARED_BYTES:
            return f"{kernel['name']} wants {kernel['shared_bytes']} bytes of shared memory; a block has {SHARED_BYTES}"
    return None


def compile_kernels(kernel: Path, scratch: Path) -> dict[str, Any]:
    """Registers, spilled bytes and shared memory of each kernel that `custom_kernel` starts, compiled for sm_90."""
    program = [sys.executable, "-I", "-B", str(HERE / "compile_kernels.py"), str(scratch), str(kernel), str(cores())]
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(scratch), "TMPDIR": str(scratch)}
    environment |= {"TRITON_CACHE_DIR": str(scratch / "triton"), "LANG": "C.UTF-8"}
    with subprocess.Popen(
        program, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        told, end = b"", time.monotonic() + SECONDS
        while select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            part = os.read(process.stdout.fileno(), MAX_REPORT)
            told += part
            if not part or len(told) > MAX_REPORT:
                break
        process.kill()
    return read_report(told)


def read_report(told: bytes) -> dict[str, Any]:
    """The last line of what a process told in which the candidate ran, with nothing in it but what belongs there."""
    try:
        report = json.loads(told.splitlines()[-1])
        if "error" in report:
            return {"error": " ".join(str(report["error"]).split())[:300]}
        numbers = ("registers", "spilled_bytes", "shared_bytes")
        kernels = [{"name": str(k["name"])[:80], **{n: int(k[n]) for n in numbers}} for k in report["kernels"][:64]]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return {"error": f"the compiler said nothing within {SECONDS:.0f} s"}
    return {"kernels": kernels} if kernels else {"error": "custom_kernel starts no Triton kernel"}
