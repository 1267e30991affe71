"""Scores `kernel.py` in `--gen-dir`; writes `results.json` there. The candidate runs in processes of its own.

arena.py and workers.py      how a candidate is run and timed without being trusted; worker.py and confine.py run there
cases.py                     what it is run on
cpu_track.py, gpu_track.py   correctness and time; the metric in task.toml says which track is measured
triton_side.py               the Triton kernel without a GPU: interpreted, and compiled for one
"""

import argparse
import json
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MAX_BYTES = 1 << 20
MANIFEST = HERE.parent.parent / "task.toml"


def read_kernel(file: Path) -> bytes:
    """The candidate's source. Exits with status 1 and a line when it cannot be used."""
    try:
        if file.stat().st_size > MAX_BYTES:
            sys.exit(f"{file.name} is larger than {MAX_BYTES >> 20} MiB")
        source = file.read_bytes()
        compile(source, file.name, "exec", dont_inherit=True)
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        sys.exit(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}")
    return source


def evaluate(source: bytes, metric: str) -> dict[str, Any]:
    """The results of the track that the metric belongs to, with what is told of the Triton side."""
    import cpu_track
    import gpu_track
    import triton_side
    from workers import adopt_orphans, end_all

    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="scratch-") as place:
        scratch = Path(place)
        kernel = scratch / "kernel.py"
        kernel.write_bytes(source)
        try:
            if metric == gpu_track.METRIC:
                return gpu_track.measure(kernel, scratch)
            results = cpu_track.measure(kernel, scratch)
            return results | {"triton": triton_side.look(kernel, scratch)}
        finally:
            end_all([])


def main() -> None:
    """Writes the results, or ends with the reason why there are none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    source = read_kernel(folder / "kernel.py")
    sys.path[:0] = [str(HERE), str(HERE.parent / "public")]
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is not installed in the environment of the evaluator: name torch in [agent] packages")
    from workers import Refused, Void

    torch.set_grad_enabled(False)
    metric = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["metric"]["name"]
    try:
        results = evaluate(source, metric)
    except (Refused, Void) as error:
        sys.exit(str(error))
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print({name: value for name, value in results.items() if name != "items"})


if __name__ == "__main__":
    main()
