"""Files that the user has already: real tables become tasks, malformed ones a clear line."""

import csv
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sia.errors import SiaError
from sia.prepare.build import Wish, prepare_competition
from sia.task.catalog import find_bundled
from sia.task.check import check_task
from sia.task.fetch import prepare_task
from sia.task.package import load_task
from tests.prepare import competitions
from tests.prepare.competitions import one_line, prepare

SLUG = "some-competition"


def made(tmp_path: Path, *arguments: str) -> Path:
    """The task that comes out."""
    done = prepare(tmp_path, "-c", SLUG, *arguments)
    assert done.returncode == 0, done.stderr
    return tmp_path / "tasks" / SLUG


def private_labels(task: Path) -> pd.DataFrame:
    return pd.read_csv(task / "data" / "private" / "answers.csv", dtype=str, na_filter=False)


def scored(task: Path, folder: Path) -> dict[str, object]:
    """What the seed agent gets, by the task's own evaluator."""
    public, folder = task / "data" / "public", folder / "outputs"
    folder.mkdir()
    agent = [sys.executable, str(task / "reference" / "reference_target_agent.py")]
    subprocess.run([*agent, "--dataset_dir", str(public), "--working_dir", str(folder)], check=True)
    evaluator = [sys.executable, str(task / "data" / "private" / "evaluate.py")]
    subprocess.run([*evaluator, "--gen-dir", str(folder)], check=True)
    results = json.loads((folder / "results.json").read_text())
    assert isinstance(results, dict)
    return results


def assert_no_held_out_label_is_public(task: Path, raw: Path) -> None:
    """Looks for every held-out row, by its id, in every line of every public file."""
    rules = json.loads((task / "data" / "private" / "grading.json").read_text())
    identity, targets = rules["id"], rules["targets"]
    whole = pd.read_csv(raw / "train.csv", dtype=str, na_filter=False)
    place = list(whole.columns).index(identity)
    held = set(private_labels(task)[identity])
    # All that may be said of a held-out row: its cells without the labels, and one answer that is the same for all.
    known = {row[place]: row for row in whole.drop(columns=targets).itertuples(index=False, name=None)}
    assert place == 0
    seen: dict[str, list[tuple[str, tuple[str, ...]]]] = {key: [] for key in held}
    for file in (f for f in (task / "data" / "public").rglob("*") if f.is_file()):
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.reader(lines):
                for key in held.intersection(row):
                    seen[key].append((file.name, tuple(row)))
    usual = next(iter(seen.values()))
    answer = dict(usual)["sample_submission.csv"][1:]
    for key, places in seen.items():
        assert sorted(places) == [("sample_submission.csv", (key, *answer)), ("test.csv", known[key])]
    labels = private_labels(task).set_index(identity)[targets]
    assert labels.equals(whole.set_index(identity).loc[labels.index, targets])


def test_regression(tmp_path: Path) -> None:
    raw = competitions.diabetes(tmp_path / "raw")
    task = made(tmp_path, "--data-dir", str(raw), "--metric", "rmse")
    assert load_task(task).manifest.metric.direction == "min"
    assert len(private_labels(task)) == 40
    assert len(pd.read_csv(task / "data" / "public" / "train.csv")) == 360
    assert_no_held_out_label_is_public(task, raw)
    results = scored(task, tmp_path)
    # Whoever answers with the mean is off by the standard deviation, 77.
    assert 40 < float(str(results["rmse"])) < 70


def whole_and_held(task: Path, raw: Path) -> tuple[pd.DataFrame, pd.Series]:
    """The competition's training table, and which of its rows are held out."""
    whole = pd.read_csv(raw / "train.csv", dtype=str, na_filter=False)
    return whole, whole["Id"].isin(set(private_labels(task)["Id"]))


def test_rows_that_the_competition_keeps_together_stay_together(tmp_path: Path) -> None:
    raw = competitions.diabetes_by(tmp_path / "raw", "Clinic", [f"clinic {k}" for k in range(221)])
    task = made(tmp_path, "--data-dir", str(raw), "--metric", "rmse")
    assert_no_held_out_label_is_public(task, raw)
    whole, held = whole_and_held(task, raw)
    assert 30 <= held.sum() <= 50
    assert set(whole["Clinic"][held]).isdisjoint(whole["Clinic"][~held])
    assert whole["Clinic"][held].value_counts().max() == 2


def test_of_dates_the_last_ones_are_held_out(tmp_path: Path) -> None:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2019-11-20", periods=221)]
    raw = competitions.diabetes_by(tmp_path / "raw", "Visit", days)
    task = made(tmp_path, "--data-dir", str(raw), "--metric", "rmse")
    assert_no_held_out_label_is_public(task, raw)
    whole, held = whole_and_held(task, raw)
    assert 40 <= held.sum() <= 44
    assert whole["Visit"][held].min() > whole["Visit"][~held].max()


def test_classes_by_text(tmp_path: Path) -> None:
    raw = competitions.docstrings(tmp_path / "raw")
    (raw / "description.md").write_text("Tell the module. Submissions are scored by the macro-averaged F1 score.\n")
    task = made(tmp_path, "--data-dir", str(raw))
    assert load_task(task).manifest.metric.name == "macro_f1"
    assert_no_held_out_label_is_public(task, raw)
    # Some modules are rare, so the draw is stratified: a tenth of each is held out, but for rounding.
    whole = pd.read_csv(raw / "train.csv")["module"].value_counts()
    held = private_labels(task)["module"].value_counts().reindex(whole.index, fill_value=0)
    assert (abs(held - whole / 10) <= 1).all()
    results = scored(task, tmp_path)
    # Chance is 1 in 9.
    assert float(str(results["macro_f1"])) > 0.3


def test_a_probability_for_each_class(tmp_path: Path) -> None:
    raw = competitions.wine(tmp_path / "raw")
    (tmp_path / "raw.zip").write_bytes(competitions.zipped(raw))
    task = made(tmp_path, "--data-dir", "raw.zip")
    assert load_task(task).manifest.metric.name == "log_loss"
    assert_no_held_out_label_is_public(task, raw)
    assert float(str(scored(task, tmp_path)["log_loss"])) < 0.3


@pytest.fixture(scope="session")
def spaceship() -> Path:
    """The public folder of the bundled task: its training file is Kaggle's, less the rows that MLE-bench holds out."""
    return prepare_task(find_bundled("spaceship-titanic"), print).root


@pytest.mark.slow
def test_spaceship_titanic(tmp_path: Path, spaceship: Path) -> None:
    raw = spaceship / "data" / "public"
    done = prepare(tmp_path, "-c", "spaceship-titanic", "--data-dir", str(raw))
    assert done.returncode == 0, done.stderr
    task = tmp_path / "tasks" / "spaceship-titanic"
    assert load_task(task).manifest.metric.name == "accuracy"
    assert_no_held_out_label_is_public(task, raw)
    assert {finding.level for finding in check_task(load_task(task))} == {"ok"}
    checked = subprocess.run(
        [sys.executable, "-m", "sia", "tasks", "check", "--task-dir", str(task)], capture_output=True, check=False
    )
    assert checked.returncode == 0
    assert float(str(scored(task, tmp_path)["accuracy"])) > 0.75


@pytest.mark.slow
def test_the_plain_split_is_the_published_one(tmp_path: Path, spaceship: Path) -> None:
    """Kaggle's own training file, put together again, gives the very rows that MLE-bench holds out."""
    public, private = spaceship / "data" / "public", spaceship / "data" / "private"
    tables = [pd.read_csv(f, dtype=str, na_filter=False) for f in (public / "train.csv", private / "test.csv")]
    whole = pd.concat(tables).sort_values("PassengerId")
    raw = tmp_path / "raw"
    raw.mkdir()
    whole.to_csv(raw / "train.csv", index=False)
    for name in ("test", "sample_submission"):
        (raw / f"{name}.csv").write_bytes((public / f"{name}.csv").read_bytes())
    done = prepare(tmp_path, "-c", "spaceship-titanic", "--data-dir", str(raw))
    assert done.returncode == 0, done.stderr
    task = tmp_path / "tasks" / "spaceship-titanic"
    assert list(private_labels(task)["PassengerId"]) == list(tables[1]["PassengerId"])


@pytest.mark.slow
def test_three_generations_run_on_a_prepared_task(tmp_path: Path) -> None:
    raw = competitions.diabetes(tmp_path / "raw")
    task = made(tmp_path, "--data-dir", str(raw), "--metric", "mae")
    done = subprocess.run(
        [sys.executable, "-m", "sia", "--task-dir", str(task), "--backend", "offline", "--max-gen", "3", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout.splitlines()[-1])["record"]
    assert record["status"] == "finished"
    for number in (1, 2, 3):
        generation = json.loads((tmp_path / "runs" / "run_1" / f"gen_{number}" / "generation.json").read_text())
        assert generation["score"]["metric"] == "mae", generation


def refused(tmp_path: Path, source: Path, metric: str | None = None) -> str:
    """The line that is told of files that cannot be made a task; and no task is there."""
    with pytest.raises(SiaError) as caught:
        prepare_competition(Wish(SLUG, tmp_path / "tasks", source, metric=metric), print)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert not list((tmp_path / "tasks").iterdir())
    return str(caught.value)


def change(name: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    """A change of one table."""

    def apply(folder: Path) -> None:
        file = folder / f"{name}.csv"
        edit(pd.read_csv(file)).to_csv(file, index=False)

    return apply


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    return apply


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change("train", lambda t: t.drop(columns="Id")), ["train.csv", "no id column 'Id'"]),
        (change("train", lambda t: pd.concat([t, t[:3]])), ["train.csv", "row 401", "2 more"]),
        (change("train", lambda t: t.drop(columns="Progression")), ["train.csv", "no label column 'Progression'"]),
        (change("train", lambda t: t.assign(Progression="")), ["0 rows have labels"]),
        (change("train", lambda t: t[:10]), ["10 rows have labels", "--holdout"]),
        (change("test", lambda t: t.assign(Progression=1)), ["label columns are in the test table"]),
        (change("train", lambda t: t[["Id", "Progression"]]), ["no columns to learn from"]),
        (write("train.csv", b""), ["train.csv", "is empty"]),
        (write("train.csv", b"Id,age,Progression\n"), ["train.csv", "has no rows"]),
        (write("train.csv", b"Id,age,Progression\n1,\xff\xfe,3\n"), ["train.csv", "not UTF-8"]),
        (write("train.csv", b"Id,age,Progression\n1,2,3\n1,2,3,4,5\n"), ["train.csv", "not a table"]),
        (write("images/cat.jpg", b"\xff\xd8"), ["cat.jpg", "MLE-bench"]),
        (remove("train.csv"), ["train.csv", "MLE-bench"]),
        (remove("sample_submission.csv"), ["sample_submission.csv"]),
    ],
    ids=lambda value: "-".join(value[-1:]) if isinstance(value, list) else "",
)
def test_malformed_tables(tmp_path: Path, damage: Callable[[Path], None], words: list[str]) -> None:
    raw = competitions.diabetes(tmp_path / "raw")
    damage(raw)
    error = refused(tmp_path, raw, "rmse")
    for word in words:
        assert word in error


def bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("train.csv", "w") as member:
        for _ in range(300):
            member.write(bytes(1 << 20))


def bomb_in_a_zip(file: Path) -> None:
    bomb(file.with_name("inner.zip"))
    with zipfile.ZipFile(file, "w") as archive:
        archive.write(file.with_name("inner.zip"), "train.csv.zip")


def climbing(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../climbed.csv", "Id,a\n1,2\n")


def absolute(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("/tmp/climbed.csv", "Id,a\n1,2\n")


def cut(file: Path) -> None:
    file.write_bytes(competitions.zipped(competitions.diabetes(file.parent / "raw"))[:-200])


def flipped(file: Path) -> None:
    """One bit of the training table is another."""
    data = bytearray(competitions.zipped(competitions.diabetes(file.parent / "raw")))
    data[data.index(b"train.csv") + 2000] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (bomb, "zip bomb"),
        (bomb_in_a_zip, "zip bomb"),
        (climbing, "climbs out"),
        (absolute, "climbs out"),
        (cut, "not a whole zip"),
        (flipped, "not a whole zip"),
    ],
)
def test_malformed_archives(tmp_path: Path, make: Callable[[Path], None], word: str) -> None:
    (tmp_path / "files").mkdir()
    archive = tmp_path / "files" / "data.zip"
    make(archive)
    assert word in refused(tmp_path, archive)
    assert not list(tmp_path.rglob("climbed.csv"))


def test_malformed_files_are_told_in_one_line(tmp_path: Path) -> None:
    raw = competitions.diabetes(tmp_path / "raw")
    (raw / "train.csv").write_bytes(b"")
    error = one_line(prepare(tmp_path, "-c", SLUG, "--data-dir", str(raw)))
    assert "train.csv: is empty; fetch it again" in error


def test_data_dir_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere is not there" in one_line(prepare(tmp_path, "-c", SLUG, "--data-dir", "nowhere"))


def test_unknown_metric_names_the_nearest(tmp_path: Path) -> None:
    assert "did you mean 'mcc'" in refused(tmp_path, competitions.diabetes(tmp_path / "raw"), "mccc")


def test_metric_that_does_not_fit(tmp_path: Path) -> None:
    raw = competitions.docstrings(tmp_path / "raw")
    assert "not numbers" in refused(tmp_path, raw, "rmse")


def test_a_task_that_is_there_stays_until_it_is_forced(tmp_path: Path) -> None:
    raw = competitions.diabetes(tmp_path / "raw")
    task = made(tmp_path, "--data-dir", str(raw))
    first = private_labels(task)
    assert "--force" in one_line(prepare(tmp_path, "-c", SLUG, "--data-dir", str(raw), "--seed", "1"))
    assert private_labels(task).equals(first)
    made(tmp_path, "--data-dir", str(raw), "--seed", "1", "--force")
    assert not private_labels(task).equals(first)
    (raw / "train.csv").write_bytes(b"")
    one_line(prepare(tmp_path, "-c", SLUG, "--data-dir", str(raw), "--force"))
    assert len(private_labels(task)) == len(first)
    assert [p.name for p in (tmp_path / "tasks").iterdir()] == [SLUG]


def test_one_competition_for_one_folder(tmp_path: Path) -> None:
    assert "one competition" in one_line(prepare(tmp_path, "-c", "a", "-c", "b", "--data-dir", "x"))
