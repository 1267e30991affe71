"""MLE-bench, where it is installed: its split, its cache, its grader and its leaderboard.

The evaluator runs in the agents' environment, which does not have MLE-bench. So the modules that the grader needs are
copied from the user's installation into the task's private folder, and what they import is named in `task.toml`.
"""

import ast
import importlib
import importlib.util
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from sia.errors import HostError, SiaError, UsageError
from sia.prepare.archive import unpack
from sia.prepare.competition import Competition
from sia.prepare.metrics import Metric, recognise_metric
from sia.prepare.package import PACKAGES, Origin, shortened
from sia.prepare.rules import Rules, choose_rules, grading
from sia.prepare.tables import Tables, read_tables
from sia.score.model import Direction
from sia.store.durable import files_under

BenchCompetition = Any
"""A `mlebench.registry.Competition`: the package has no types."""
_ALWAYS = ("mlebench.grade_helpers", "mlebench.utils")


@dataclass(frozen=True)
class Prepared:
    """What the rest of the task is written from."""

    grading: dict[str, object]
    metric: str
    direction: Direction
    origin: Origin
    tables: Tables | None
    """None where the public files are not the usual three tables."""
    rules: Rules | None


def bench_competition(slug: str) -> BenchCompetition | None:
    """The competition in the installed MLE-bench; None when that is not installed or does not have it."""
    if importlib.util.find_spec("mlebench") is None:
        return None
    # It tells what it looks for as warnings; what matters of that is told here.
    logging.getLogger("mlebench").setLevel(logging.CRITICAL)
    try:
        registry = importlib.import_module("mlebench.registry").registry
        return registry.get_competition(slug) if slug in registry.list_competition_ids() else None
    except Exception as error:  # noqa: BLE001 (whatever an installation that is not whole may raise)
        raise HostError(
            f"the installed mlebench cannot be used: {type(error).__name__}: {error}", "repair it, or uninstall it"
        ) from None


def prepare_with_bench(
    bench: BenchCompetition, source: Callable[[], Path], root: Path, tell: Callable[[str], None]
) -> Prepared:
    """Copies MLE-bench's data into the task at `root`; `source` is asked when they are not in its cache."""
    data = importlib.import_module("mlebench.data")
    if data.is_dataset_prepared(bench):
        tell(f"{bench.id}: prepared by MLE-bench before, in {bench.public_dir.parent}")
    else:
        _run_prepare(bench, source(), tell)
    checksums = _compare_checksums(bench, data, tell)
    public, private = root / "data" / "public", root / "data" / "private"
    for folder, into in ((bench.public_dir, public), (bench.private_dir, private)):
        shutil.copytree(folder, into, dirs_exist_ok=True)
    packages = _copy_grader(bench, private)
    answers = bench.answers.relative_to(bench.private_dir).as_posix()
    leaderboard = data.get_leaderboard(bench)
    direction: Direction = "min" if bench.grader.is_lower_better(leaderboard) else "max"
    shutil.copyfile(bench.leaderboard, private / "leaderboard.csv")
    metric = recognise_metric(bench.grader.name.replace("-", " ").replace("_", " "))
    tables, rules = _rows(bench, metric, direction, private / answers)
    name = rules.metric.name if rules else re.sub(r"[^a-z0-9]+", "_", bench.grader.name.lower()).strip("_")
    (public / "description.md").unlink(missing_ok=True)
    (public / "task.md").write_text(_description(bench, direction), encoding="utf-8")
    ranks = bench.grader.rank_score(None, leaderboard)
    told = ", ".join(f"{m} {ranks[f'{m}_threshold']:g}" for m in ("gold", "silver", "bronze", "median"))
    tell(f"{bench.id}: MLE-bench's split and grader ({bench.grader.name}, {direction} is better); {told}")
    version = metadata.version("mlebench")
    return Prepared(
        grading={
            **(grading(rules, tables, answers) if rules and tables else {"form": None}),
            "metric": name,
            "mlebench": {
                "grader": bench.grader.name,
                "grade_fn": f"{bench.grader.grade_fn.__module__}:{bench.grader.grade_fn.__name__}",
                "answers": answers,
            },
        },
        metric=name,
        direction=direction,
        origin=Origin(
            Competition(bench.id, title=bench.name),
            f"https://www.kaggle.com/competitions/{bench.id}; split and grader of MLE-bench {version}, {checksums}",
            packages,
        ),
        tables=tables,
        rules=rules,
    )


def _run_prepare(bench: BenchCompetition, source: Path, tell: Callable[[str], None]) -> None:
    """MLE-bench's own `prepare` of the competition, into its cache, whole or not at all."""
    place = bench.public_dir.parent
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as beside:
        raw, new = Path(beside) / "raw", Path(beside) / "prepared"
        for folder in (raw, new / bench.public_dir.name, new / bench.private_dir.name):
            folder.mkdir(parents=True)
        if source.is_file():
            unpack(source, raw)
        else:
            raw = source
        tell(f"{bench.id}: splitting with MLE-bench's own prepare")
        try:
            bench.prepare_fn(raw=raw, public=new / bench.public_dir.name, private=new / bench.private_dir.name)
        except SiaError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever the code of one of its 75 competitions may raise)
            first = str(error).splitlines()[0] if str(error) else ""
            raise UsageError(
                f"MLE-bench's prepare of {bench.id} fails on these files: {type(error).__name__}: {first}",
                "give the competition's files as Kaggle has them, or leave `--data-dir` out",
            ) from None
        shutil.rmtree(place, ignore_errors=True)
        new.rename(place)


def _compare_checksums(bench: BenchCompetition, data: Any, tell: Callable[[str], None]) -> str:  # noqa: ANN401 (untyped)
    """Whether the split is the published one, in words."""
    if not bench.checksums.is_file():
        return "which has no checksums of it"
    expected = importlib.import_module("mlebench.utils").load_yaml(bench.checksums)
    same = all(
        data.generate_checksums(folder) == {k: v for k, v in expected.get(side, {}).items() if k != "description.md"}
        for side, folder in (("public", bench.public_dir), ("private", bench.private_dir))
    )
    if same:
        return "checksums as published"
    tell(f"{bench.id}: the split differs from the published checksums; scores may not compare with published ones")
    return "checksums other than the published ones"


def _rows(
    bench: BenchCompetition, metric: Metric | None, direction: Direction, answers: Path
) -> tuple[Tables | None, Rules | None]:
    """What is needed for items beside the score; None where tables or metric are of another kind."""
    try:
        tables = read_tables(files_under(bench.public_dir), bench.public_dir)
        if metric is None or metric.direction != direction or answers.suffix != ".csv":
            return None, None
        rules = choose_rules(tables, Competition(bench.id), metric.name)
    except SiaError:
        return None, None
    return tables, rules


def _description(bench: BenchCompetition, direction: Direction) -> str:
    better = "greater" if direction == "max" else "smaller"
    return (
        f"{shortened(bench.description)}\n\n# What to leave\n\n"
        "In the working folder: `submission.csv`, in the form of the sample submission "
        f"here, with every row of it; and `agent_execution.json`, a record of what the agent did. The score is "
        f"{bench.grader.name}; {better} is better. The test set here is MLE-bench's, not Kaggle's.\n"
    )


def _copy_grader(bench: BenchCompetition, private: Path) -> tuple[str, ...]:
    """Copies the modules of MLE-bench that the grader needs; returns the packages that these import."""
    origin = importlib.util.find_spec("mlebench")
    assert origin is not None
    assert origin.submodule_search_locations is not None
    home = Path(next(iter(origin.submodule_search_locations)))
    queue, seen, outside = [*_ALWAYS, bench.grader.grade_fn.__module__], set[str](), set[str]()
    while queue:
        name = queue.pop()
        file = _module_file(home, name)
        if name in seen or file is None:
            continue
        seen.add(name)
        queue += [name.rsplit(".", 1)[0]] if "." in name else []
        target = private / "mlebench" / file.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        queue += [module for module in _imports(ast.walk(tree), name) if module.split(".")[0] == "mlebench"]
        outside |= {module.split(".")[0] for module in _imports(tree.body, name)}
    known = metadata.packages_distributions()
    wanted = {
        f"{distribution}>={metadata.version(distribution)}"
        for module in outside - set(sys.stdlib_module_names) - {"mlebench"}
        for distribution in known.get(module, ())[:1]
    }
    named = {re.split("[>=]", p)[0] for p in wanted}
    return tuple(sorted(wanted | {p for p in PACKAGES if re.split("[>=]", p)[0] not in named}))


def _module_file(home: Path, name: str) -> Path | None:
    path = home.joinpath(*name.split(".")[1:])
    return next((f for f in (path.with_name(f"{path.name}.py"), path / "__init__.py") if f.is_file()), None)


def _imports(nodes: Any, module: str) -> list[str]:  # noqa: ANN401 (an iterable of syntax nodes of all kinds)
    """Modules that may be meant by the import statements among `nodes`, in absolute names."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            whole = ".".join(part for part in (base, node.module) if part)
            found += [whole, *(f"{whole}.{alias.name}" for alias in node.names)]
    return found
