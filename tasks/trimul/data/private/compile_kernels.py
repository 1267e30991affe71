"""Compiles the kernels of a candidate for an H100 on a machine without a GPU, and tells what they take.

`python -I -B compile_kernels.py SCRATCH FILE THREADS`. `custom_kernel` is called on inputs in main memory, and every
start of a kernel in it compiles that kernel instead. Of kernels with several configurations the first is taken.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "public")]
SHAPES = ((256, 1, 128), (256, 1, 384))


class Hopper:
    """Stands for the driver of a machine with an H100, as far as compiling needs one."""

    def get_current_target(self) -> object:
        """The device that is compiled for."""
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        """Its number."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """No stream is ever used."""
        return 0

    def get_active_torch_device(self) -> object:
        """Where inputs lie: in main memory."""
        import torch

        return torch.device("cpu")


def compiled(file: str) -> dict[str, Any]:
    """Every kernel once: by the name, and by what it was compiled to."""
    import torch
    import triton
    from reference import make_data
    from triton.runtime.autotuner import Autotuner
    from triton.runtime.jit import JITFunction

    found: dict[str, Any] = {}
    original = JITFunction.run

    def run(self: object, *arguments: object, grid: object, warmup: bool, **more: object) -> object:
        kernel = original(self, *arguments, grid=grid, warmup=True, **more)
        found.setdefault(kernel.asm["ptx"], kernel)
        return kernel

    JITFunction.run = run
    Autotuner._bench = lambda self, *arguments, config, **more: [0.0, 0.0, 0.0]
    triton.runtime.driver.set_active(Hopper())
    spec = importlib.util.spec_from_file_location("kernel", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kernel"] = module
    spec.loader.exec_module(module)
    for n, batch, dim in SHAPES:
        with torch.inference_mode():
            module.custom_kernel(make_data(n, batch, dim, mask="float32"))
    return found


def resources(ptx: str, scratch: str) -> tuple[int, int]:
    """Registers a thread and spilled bytes, as that one of Triton's assemblers tells them which takes the text."""
    import triton

    source = Path(scratch) / "kernel.ptx"
    source.write_text(ptx, encoding="utf-8")
    target = re.search(r"\.target\s+(\w+)", ptx)
    options = ["-v", f"--gpu-name={target[1] if target else 'sm_90a'}", str(source), "-o", f"{source}.cubin"]
    for assembler in sorted(Path(triton.__file__).parent.glob("backends/nvidia/bin/ptxas*")):
        done = subprocess.run([str(assembler), *options], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            registers = re.search(r"Used (\d+) registers", done.stderr)
            spilled = re.search(r"(\d+) bytes spill stores", done.stderr)
            return int(registers[1]) if registers else 0, int(spilled[1]) if spilled else 0
    raise ValueError("no assembler takes what was compiled")


def main() -> None:
    """One line of JSON."""
    scratch, file, threads = sys.argv[1:]
    import confine

    confine.die_with_parent()
    confine.restrict([scratch, "/dev"])
    os.chdir(scratch)
    import torch

    torch.set_num_threads(int(threads))
    try:
        kernels = []
        for ptx, kernel in compiled(file).items():
            registers, spilled = resources(ptx, scratch)
            shared = int(kernel.metadata.shared)
            kernels.append(
                {"name": kernel.name, "registers": registers, "spilled_bytes": spilled, "shared_bytes": shared}
            )
        report: dict[str, Any] = {"kernels": kernels}
    except BaseException as error:  # noqa: BLE001 - whatever a candidate or the compiler raises is told
        report = {"error": f"{type(error).__name__}: {error}"[:300]}
    print(f"\n{json.dumps(report)}", flush=True)


if __name__ == "__main__":
    main()
