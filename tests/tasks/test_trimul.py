"""The evaluator of trimul: what it measures, and that candidates who cheat get nothing for it."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sia.task.catalog import find_bundled
from sia.task.fetch import prepare_task
from tests.tasks.kernels import CHEATS, FAILING, HONEST, SPINNING, calling

pytest.importorskip("torch")
pytestmark = pytest.mark.slow
TASK = prepare_task(find_bundled("trimul"), print)
MODULES = ("reference", "arena", "cases", "confine", "workers", "cpu_track", "gpu_track", "triton_side")
LINUX = sys.platform == "linux"
LANDLOCK = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)) if LINUX else 0
"""The kernel's version of it; from 6 on, signals are shut in."""


@pytest.fixture(scope="module")
def private() -> Iterator[dict[str, ModuleType]]:
    """The evaluator's modules, and no trace of them afterwards."""
    before = list(sys.path)
    sys.path[:0] = [str(TASK.private_dir), str(TASK.public_dir)]
    yield {name: __import__(name) for name in MODULES}
    sys.path[:] = before
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def bench(private: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """Measures a candidate on two small inputs; other tests may keep the machine busy, so the reference may vary."""
    track, cases = private["cpu_track"], private["cases"]
    monkeypatch.setattr(track, "STEADY", 1e9)
    monkeypatch.setattr(track, "cpu_correct", lambda: cases.cpu_correct()[:6])
    timed = [cases.Case(48, 1, 128, False, "ones"), cases.Case(48, 1, 128, True, "float32")]

    def measure(text: str) -> dict[str, Any]:
        kernel = tmp_path / "kernel.py"
        kernel.write_text(text)
        results: dict[str, Any] = track.measure(kernel, tmp_path, timed)
        return results

    return measure


def evaluate(folder: Path, text: str | None) -> "subprocess.CompletedProcess[str]":
    """The evaluator as a program."""
    if text is not None:
        (folder / "kernel.py").write_text(text)
    argv = [sys.executable, str(TASK.evaluator), "--gen-dir", str(folder)]
    own = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(argv, cwd=folder, env=own, capture_output=True, text=True, timeout=200, check=False)


def test_honest_candidate_is_scored_with_items(bench: Any) -> None:  # noqa: ANN401
    results = bench(HONEST)
    assert results["track"] == "cpu"
    assert len(results["items"]) == 2
    assert results["cpu_speedup"] == pytest.approx(sum(item["score"] for item in results["items"]) / 2)
    assert all(len(item["eager_ms"]) == len(item["custom_ms"]) == 5 for item in results["items"])
    assert all(item["error"] < 1e-3 for item in results["items"])
    assert 0.2 < results["cpu_speedup"] < 5


def refused(folder: Path, text: str, reason: str) -> None:
    done = evaluate(folder, text)
    assert done.returncode != 0, done.stdout
    assert re.search(reason, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 1, done.stderr
    assert [p.name for p in folder.iterdir()] == ["kernel.py"]


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_cheat_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    refused(tmp_path, (TASK.private_dir / "cheats" / name / "kernel.py").read_text(), CHEATS[name])


def test_every_cheat_of_the_task_is_tried() -> None:
    assert {folder.name for folder in (TASK.private_dir / "cheats").iterdir()} == set(CHEATS)


@pytest.mark.parametrize("name", sorted(FAILING))
def test_failing_candidate_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    if name == "ends its parent" and LANDLOCK < 6:
        pytest.skip("this kernel's Landlock shuts no signals in")
    refused(tmp_path, *FAILING[name])


def test_missing_kernel_is_told(tmp_path: Path) -> None:
    done = evaluate(tmp_path, None)
    assert (done.returncode, done.stderr) == (1, "kernel.py is missing\n")


@pytest.mark.parametrize(
    "text", [SPINNING, calling(str(TASK.public_dir / "reference.py"))], ids=["spinning", "calling"]
)
def test_harmless_trick_is_scored_as_what_it_computes(text: str, bench: Any) -> None:  # noqa: ANN401
    # Its processors are its own only while it is timed itself: beside it the reference is as fast as ever.
    results = bench(text)
    assert results["cpu_speedup"] < 2
    assert all(item["error"] < 1e-3 for item in results["items"])


def test_nothing_else_runs_while_the_reference_is_timed(private: dict[str, ModuleType], tmp_path: Path) -> None:
    workers = private["workers"]
    kernel = tmp_path / "kernel.py"
    kernel.write_text(SPINNING)
    worker = workers.Worker(kernel, "custom_cpu", tmp_path, 1 << 20)
    assert worker.start()

    def spent() -> int:
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = spent()
    workers.time.sleep(0.3)
    assert spent() == before
    worker.stop()


def test_busy_machine_voids_the_run(
    private: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track, cases = private["cpu_track"], private["cases"]
    monkeypatch.setattr(track, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(track, "cpu_correct", lambda: cases.cpu_correct()[:1])
    monkeypatch.setattr(track, "STEADY", 0.99)  # no machine is as steady as that
    kernel = tmp_path / "kernel.py"
    kernel.write_text(HONEST)
    with pytest.raises(private["workers"].Void, match="3 times in a row: something else keeps this machine busy"):
        track.measure(kernel, tmp_path, [cases.Case(16, 1, 128, False, "ones")])


def test_gpu_track_but_for_the_gpu(
    private: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track, cases = private["gpu_track"], private["cases"]
    monkeypatch.setattr(track, "STEADY", 1e9)
    kernel = tmp_path / "kernel.py"
    small = [cases.Case(24, 1, 128, False, mask) for mask in ("float32", "int64")]
    kernel.write_text(HONEST + "\n\ncustom_kernel = custom_cpu\n")
    results = track.measure(kernel, tmp_path, (small, small[:1]), "cpu")
    assert (results["track"], len(results["items"])) == ("gpu", 1)
    (item,) = results["items"]
    ones, masked = (min(item["custom_us"][start::2]) for start in (0, 1))
    assert item["score"] == pytest.approx((ones + masked) / 2, abs=0.1)
    assert results["gpu_microseconds"] == pytest.approx(item["score"])
    for name in ("mask-ignored", "inputs-mutated", "output-cached-between-calls"):
        text = (TASK.private_dir / "cheats" / name / "kernel.py").read_text()
        kernel.write_text(text + "\n\ncustom_kernel = custom_cpu\n")
        with pytest.raises(private["workers"].Refused, match=CHEATS[name]):
            track.measure(kernel, tmp_path, (small, small[:1]), "cpu")


def test_gpu_track_without_a_gpu_says_so(private: dict[str, ModuleType], tmp_path: Path) -> None:
    if __import__("torch").cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(private["workers"].Void, match="no GPU here"):
        private["gpu_track"].measure(tmp_path / "kernel.py", tmp_path)


def test_shapes_are_those_of_the_task(private: dict[str, ModuleType]) -> None:
    cases = private["cases"]
    assert len(cases.gpu_timed()) == 7
    assert len({(c.n, c.batch, c.dim) for c in cases.gpu_correct()}) == 18
    assert {(c.mask, c.cauchy) for c in cases.gpu_correct()} == {(m, d) for m in cases.MASKS for d in (True, False)}
    assert len(cases.cpu_correct()) == 18
    every = {(mask, dim, cauchy) for mask in cases.MASKS for dim in (128, 384) for cauchy in (True, False)}
    assert {(c.mask, c.dim, c.cauchy) for c in cases.cpu_correct()} == every
    assert len(cases.triton_cases()) == 8
    assert max(c.n for c in cases.triton_cases()) == 128
    masks: dict[tuple[int, int, int, bool], set[str]] = {}
    for case in cases.cpu_timed():
        masks.setdefault((case.n, case.batch, case.dim, case.cauchy), set()).add(case.mask)
    assert len(masks) == 7
    assert all(found == {"ones", "float32"} for found in masks.values())


def triton_kernel() -> str:
    """The kernel.py that the offline author writes at first."""
    from sia.author.offline.kinds.kernel import KernelRecipe
    from tests.author.test_offline_kernel import kernel_of

    return kernel_of(KernelRecipe(triton=True))


def test_triton_kernel_is_interpreted_and_compiled(
    private: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    side, cases = private["triton_side"], private["cases"]
    monkeypatch.setattr(side, "triton_cases", lambda: cases.triton_cases()[:3])
    kernel = tmp_path / "kernel.py"
    text = triton_kernel()
    kernel.write_text(text)
    found = side.look(kernel, tmp_path)
    assert found["state"] == "passed", found
    assert len(found["interpreted"]) == 3
    assert all(error < 1e-2 for error in found["interpreted"].values())
    kernels = {entry["name"]: entry for entry in found["compiled"]["kernels"]}
    assert set(kernels) == {"project", "contract", "finish"}
    for entry in kernels.values():
        assert 0 < entry["registers"] <= 255
        assert 0 < entry["shared_bytes"] <= side.SHARED_BYTES
    assert "masked[:, None], mask=" in text
    kernel.write_text(text.replace("* masked[:, None], mask=", "+ 0 * masked[:, None], mask="))
    found = side.look(kernel, tmp_path)
    assert (found["state"], found["reason"][:8]) == ("failed", "wrong at")


def test_kernel_that_asks_for_too_much_is_told(private: dict[str, ModuleType]) -> None:
    kernel = {"name": "project", "registers": 255, "spilled_bytes": 0, "shared_bytes": 295_936}
    problem = private["triton_side"].compiler_problem({"kernels": [kernel]})
    assert problem == "project wants 295936 bytes of shared memory; a block has 232448"


def test_triton_side_without_triton_is_unchecked(
    private: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = private["triton_side"]
    monkeypatch.setattr(side.importlib.util, "find_spec", lambda name: None)
    assert side.look(tmp_path / "kernel.py", tmp_path)["state"] == "unchecked"


@pytest.mark.parametrize("told", [b"", b"[]", b"7", b'{"kernels": [{}]}', b'{"kernels": 3}', b"{" * 9000, b"\xff\n"])
def test_what_a_compiling_candidate_says_is_not_trusted(private: dict[str, ModuleType], told: bytes) -> None:
    assert "error" in private["triton_side"].read_report(told)


def test_metric_of_the_manifest_chooses_the_track(tmp_path: Path) -> None:
    import shutil

    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    task = tmp_path / "trimul-gpu"
    shutil.copytree(TASK.root, task)
    manifest = task / "task.toml"
    manifest.write_text(manifest.read_text().replace('name = "cpu_speedup"', 'name = "gpu_microseconds"'))
    (tmp_path / "kernel.py").write_text(HONEST)
    argv = [sys.executable, str(task / "data" / "private" / "evaluate.py"), "--gen-dir", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1
    assert "there is no GPU here" in done.stderr
