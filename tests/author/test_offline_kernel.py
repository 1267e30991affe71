"""The offline author on kernels: every program it may write is clean and right, and a run gets faster ones measured."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sia.author.brief import Brief, TaskBrief
from sia.author.offline.__main__ import render_agent
from sia.author.offline.grammar import NotOfThisKind
from sia.author.offline.kinds import find_kind
from sia.author.offline.kinds.kernel import KernelRecipe
from sia.store.catalog import generations_of
from sia.task.catalog import find_bundled
from tests.author.test_offline_author import lint, sia
from tests.author.test_offline_kinds import recipes_within_reach

TASK = find_bundled("trimul")
PUBLIC = TASK / "data" / "public"
QUOTED = "KERNEL = r'''", "'''\nLOOKED_AT"


def brief_of(public: Path = PUBLIC, installed: tuple[str, ...] = ("triton==3.9.0",)) -> Brief:
    about = TaskBrief(name="task", kind="kernel", public_dir=public, seconds=60, installed=installed)
    return Brief(generation=1, max_generations=3, seed=0, task=about)


def kernel_of(recipe: KernelRecipe) -> str:
    """The kernel.py that an agent of this recipe writes at first."""
    kind, schema = find_kind(brief_of())
    agent = render_agent(kind, recipe, schema, 0)
    return agent.partition(QUOTED[0])[2].partition(QUOTED[1])[0]


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def precision() -> Iterator[None]:
    """What a kernel sets for products in float32 is taken back."""
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_kind_is_told_from_the_reference(tmp_path: Path) -> None:
    kind, _ = find_kind(brief_of().model_copy(update={"task": brief_of().task.model_copy(update={"kind": ""})}))
    assert kind.name == "kernel"
    with pytest.raises(NotOfThisKind, match=r"no reference\.py"):
        find_kind(brief_of(tmp_path))
    (tmp_path / "reference.py").write_text("def eager(data): ...\n")
    with pytest.raises(NotOfThisKind, match="no reference of"):
        find_kind(brief_of(tmp_path))


def test_triton_kernel_is_left_where_triton_is() -> None:
    for installed in ((), ("triton==3.9.0",)):
        brief = brief_of(installed=installed)
        kind, _ = find_kind(brief)
        assert kind.first(brief) == KernelRecipe(triton=bool(installed))


def test_every_recipe_makes_clean_programs(tmp_path: Path) -> None:
    brief = brief_of()
    kind, schema = find_kind(brief)
    files, kernels = [], set()
    for number, recipe in enumerate(recipes_within_reach(kind, kind.first(brief), schema)):
        agent, kernel = tmp_path / f"agent_{number}.py", tmp_path / f"kernel_{number}.py"
        assert isinstance(recipe, KernelRecipe)
        agent.write_text(render_agent(kind, recipe, schema, 0))
        kernel.write_text(kernel_of(recipe))
        kernels.add(kernel.read_text())
        files += [agent, kernel]
    assert len(kernels) >= 20
    assert lint(files) == "All checks passed!\n"


@pytest.mark.slow
# In units of the tolerance. bfloat16 may leave it, which the evaluator then refuses; a mistake leaves it by far.
@pytest.mark.parametrize(("precise", "bound"), [("float32", 0.01), ("mixed", 1.0), ("bfloat16", 2.0)])
@pytest.mark.usefixtures("precision")
def test_kernels_are_right_whatever_the_blocks(precise: str, bound: float, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    reference = load(PUBLIC / "reference.py")
    inputs = [
        reference.make_data(33, 2, 128, cauchy=True, mask="int64"),
        reference.make_data(40, 1, 384, mask="float32"),
    ]
    flags = [(False, False), (True, False), (False, True), (True, True)]
    with torch.inference_mode():
        wanted = [reference.eager(data) for data in inputs]
        for stacked, folded in flags:
            recipe = KernelRecipe(
                blocked=True, rows=256, stacked=stacked, folded=folded, precision=precise, relaxed=stacked
            )
            file = tmp_path / f"kernel_{stacked}_{folded}.py"
            file.write_text(kernel_of(recipe))
            kernel = load(file)
            for data, right in zip(inputs, wanted, strict=True):
                assert reference.excess(kernel.custom_cpu(data), right) < bound


def small_task(root: Path) -> Path:
    """trimul with two small timed inputs and one for Triton, on a machine that other tests keep busy."""
    shutil.copytree(TASK, root, ignore=shutil.ignore_patterns("__pycache__", "cheats"))
    changes = {
        "cpu_track.py": ("STEADY = 1.15", "STEADY = 1e9"),
        "cases.py": ("in SHAPES for mask", "in SHAPES[:1] for mask"),
        "triton_side.py": ("in enumerate(triton_cases())", "in enumerate(triton_cases()[:1])"),
    }
    for name, (old, new) in changes.items():
        file = root / "data" / "private" / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    return root


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_run_measures_what_it_writes(tmp_path: Path) -> None:
    task = small_task(tmp_path / "trimul")
    done = sia(tmp_path, "--task-dir", str(task), "--max-gen", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = generations_of(tmp_path / "runs" / "run_1")
    for generation in (first, second):
        assert generation.failure is None
        assert generation.score is not None
        assert generation.score.metric == "cpu_speedup"
        assert generation.score.n == 2
    run = tmp_path / "runs" / "run_1"
    assert '"state": "passed"' in (run / "gen_1" / "results.json").read_text()
    assert (run / "gen_1" / "kernel.py").read_text() != (run / "gen_2" / "kernel.py").read_text()
    assert "# Hypothesis" in (run / "gen_2" / "improvement.md").read_text()
