"""The crash-test: broken graders are caught, sound ones pass, and a run starts with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sia.environment import agent_environment
from sia.jail.choose import choose_jail
from sia.score.model import Score
from sia.task.catalog import bundled_names, find_bundled
from sia.task.check import check_task
from sia.task.check.attacks import make_attacks
from sia.task.check.baseline import allowance
from sia.task.check.finding import Finding
from sia.task.check.form import find_form
from sia.task.check.gate import check_whole
from sia.task.check.grader import try_grader
from sia.task.fetch import prepare_task
from sia.task.package import load_task

pytestmark = pytest.mark.slow

SOUND = """
import argparse, csv, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir

def read(file):
    try:
        with file.open(newline="") as lines:
            return [row for row in csv.DictReader(lines)]
    except (OSError, ValueError, csv.Error) as error:
        sys.exit(f"{file.name} cannot be read: {error}")

truth = {row["id"]: row["label"] for row in read(pathlib.Path(__file__).with_name("labels.csv"))}
rows = read(folder / "submission.csv")
given = {}
for row in rows:
    given[row.get("id")] = "twice" if row.get("id") in given else row.get("label")
"""
BY_ALL = """
items = [{"id": k, "status": "CORRECT" if given.get(k) == v else "WRONG"} for k, v in truth.items()]
accuracy = sum(i["status"] == "CORRECT" for i in items) / len(items)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy, "items": items}))
"""
BY_ATTEMPTED = """
tried = {k: v for k, v in truth.items() if k in given}
accuracy = sum(given[k] == v for k, v in tried.items()) / max(len(tried), 1)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy}))
"""
TRUSTING = """
claimed = [float(row["score"]) for row in rows if row.get("score")]
accuracy = claimed[0] if claimed else sum(given.get(k) == v for k, v in truth.items()) / len(truth)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy}))
"""
TELLING = BY_ALL.replace('"status":', '"expected": v, "status":')
RANDOM = """
import random
(folder / "results.json").write_text(json.dumps({"accuracy": random.random() / 10}))
"""
LOADING = """
sys.path.insert(0, str(folder))
import helpers
"""
ENDLESS = """
while True:
    pass
"""
CRASHING = (
    """
given = {row["id"]: row["label"] for row in rows}
"""
    + BY_ALL
)
DYING = (
    """
import os
if not rows:
    os.abort()
"""
    + BY_ALL
)
SLOW_LIBRARY = (
    """
import slow_library
"""
    + BY_ALL
)
OBJECT = """
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text())
try:
    given = dict(json.loads((folder / "submission.json").read_text()))
except (OSError, ValueError, TypeError, RecursionError) as error:
    sys.exit(f"submission.json cannot be read: {error}")
tried = {k: v for k, v in truth.items() if k in given}
"""
RATIO = """
accuracy = sum(given[k] == v for k, v in tried.items()) / max(len(tried), 1)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy}))
"""
ITEMS = """
items = [{"id": k, "status": "CORRECT" if given[k] == v else "WRONG"} for k, v in tried.items()]
(folder / "results.json").write_text(json.dumps({"accuracy": 0.0 if not items else
    sum(i["status"] == "CORRECT" for i in items) / len(items), "items": items}))
"""
LABELS = ("red", "green", "blue", "black")


def table_task(root: Path, grading: str) -> Path:
    """120 things to give one of four labels, commonest first in half of all cases."""
    public, private = root / "data" / "public", root / "data" / "private"
    public.mkdir(parents=True)
    private.mkdir(parents=True)
    truth = {f"thing-{k}": LABELS[0 if k % 2 else (k // 2) % 4] for k in range(120)}
    (public / "task.md").write_text("Label every thing.\n")
    (public / "test.csv").write_text("id,size\n" + "".join(f"{k},{len(k)}\n" for k in truth))
    (public / "train.csv").write_text("id,size,label\n" + "".join(f"t{k},9,{LABELS[k % 4]}\n" for k in range(40)))
    (public / "sample_submission.csv").write_text("id,label\n" + "".join(f"{k},red\n" for k in truth))
    (private / "labels.csv").write_text("id,label\n" + "".join(f"{k},{v}\n" for k, v in truth.items()))
    (private / "evaluate.py").write_text(SOUND + grading)
    (root / "task.toml").write_text(
        "[metric]\nname = 'accuracy'\ndirection = 'max'\n[limits]\nevaluation_seconds = 10\n"
    )
    return root


def object_task(root: Path, grading: str, right: int) -> Path:
    """90 questions for numbers; the sample's 7 is right for so many of them, and nothing public names another."""
    public, private = root / "data" / "public", root / "data" / "private"
    public.mkdir(parents=True)
    private.mkdir(parents=True)
    truth = {f"q{k}": 7 if 20 <= k < 20 + right else 100 + k for k in range(90)}
    (public / "task.md").write_text("Answer every question.\n")
    (public / "sample_submission.json").write_text(json.dumps(dict.fromkeys(truth, 7)))
    (private / "answers.json").write_text(json.dumps(truth))
    (private / "evaluate.py").write_text(OBJECT + grading)
    (root / "task.toml").write_text("[metric]\nname = 'accuracy'\ndirection = 'max'\n")
    return root


def errors_of(root: Path) -> list[Finding]:
    task = load_task(root)
    found = check_whole(task, Path(sys.executable), choose_jail("auto"), print)
    return [finding for finding in found if finding.level == "error"]


def test_sound_grader_passes_more_than_twenty_attacks(tmp_path: Path) -> None:
    task = load_task(table_task(tmp_path / "task", BY_ALL))
    assert len(make_attacks(task, find_form(task.public_dir))) >= 30
    found = try_grader(task, Path(sys.executable), choose_jail("auto"), print)
    assert [finding for finding in found if finding.level != "ok"] == []
    assert "trivial baseline is 0.625" in found[0].told


@pytest.mark.parametrize(
    ("grading", "told"),
    [
        (BY_ATTEMPTED, "all but one not attempted"),
        (TRUSTING, "score that the submission gives itself"),
        (TELLING, "gives away 'label'"),
        (RANDOM, "differently the second time"),
        (LOADING, "ran code of the submission"),
        (ENDLESS, "wall-clock limit"),
        (CRASHING, "ends with a traceback on"),
    ],
    ids=["attempted only", "trusts the score", "tells answers", "random", "loads code", "endless", "crashes"],
)
def test_broken_grader_is_caught(tmp_path: Path, grading: str, told: str) -> None:
    root = table_task(tmp_path / "task", grading)
    (root / "data" / "private" / "helpers").mkdir()
    found = errors_of(root)
    assert any(told in finding.told for finding in found), found
    assert all(finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("grading", "right", "told"),
    [(RATIO, 9, "it pays to leave items out"), (ITEMS, 0, "scored over 1 items, the whole submission over 90")],
    ids=["from scores alone", "from the number of items"],
)
def test_division_by_attempted_questions_is_caught(tmp_path: Path, grading: str, right: int, told: str) -> None:
    (found,) = errors_of(object_task(tmp_path / "task", grading, right))
    assert told in found.told
    assert "divide by all items" in found.remedy


@pytest.mark.parametrize("grading", [BY_ATTEMPTED, CRASHING], ids=["attempted only", "crashes"])
def test_folder_of_the_original_form_is_only_warned(tmp_path: Path, grading: str) -> None:
    root = table_task(tmp_path / "task", grading)
    (root / "task.toml").unlink()
    found = try_grader(load_task(root), Path(sys.executable), choose_jail("auto"), print)
    assert {finding.level for finding in found} == {"ok", "warning"}


def test_a_form_without_a_sample_is_guessed_from_questions_with_options(tmp_path: Path) -> None:
    root = object_task(tmp_path / "task", RATIO, 0)
    public = root / "data" / "public"
    (public / "sample_submission.json").unlink()
    questions = [{"id": f"q{k}", "text": "Which?", "options": {"x": 1, "y": 2}} for k in range(90)]
    (public / "questions.json").write_text(json.dumps(questions))
    truth = {f"q{k}": "xy"[k % 3 == 1] for k in range(90)}
    (root / "data" / "private" / "answers.json").write_text(json.dumps(truth))
    assert any("pays to leave items out" in finding.told for finding in errors_of(root))


def test_all_submissions_are_tried_twice_though_a_library_takes_its_time(tmp_path: Path) -> None:
    root = table_task(tmp_path / "task", SLOW_LIBRARY)
    (root / "data" / "private" / "slow_library.py").write_text("import time\ntime.sleep(1)\n")
    task = load_task(root)
    count = len(make_attacks(task, find_form(task.public_dir)))
    found = try_grader(task, Path(sys.executable), choose_jail("auto"), print)
    assert [finding.level for finding in found] == ["ok"]
    assert f"{count} submissions that deserve nothing, {count} of them twice" in found[0].told


def test_an_evaluator_that_dies_of_a_signal_is_tried_on_the_rest(tmp_path: Path) -> None:
    task = load_task(table_task(tmp_path / "task", DYING))
    count = len(make_attacks(task, find_form(task.public_dir)))
    found = try_grader(task, Path(sys.executable), choose_jail("auto"), print)
    assert f"{count} submissions that deserve nothing, {count} of them twice" in found[0].told


@pytest.mark.parametrize("place", ["hints.csv", "hints.json", "order.txt", "test.csv"])
def test_private_label_in_a_public_file_is_caught(tmp_path: Path, place: str) -> None:
    root = table_task(tmp_path / "task", BY_ALL)
    public = root / "data" / "public"
    lines = (root / "data" / "private" / "labels.csv").read_text().splitlines()[1:]
    pairs = [line.split(",") for line in lines]
    if place == "hints.csv":
        (public / place).write_text("name,note\n" + "".join(f"{k},{v}\n" for k, v in reversed(pairs[:60])))
    elif place == "hints.json":
        (public / place).write_text(json.dumps({"deep": [{"thing": k, "more": {"x": v}} for k, v in pairs]}))
    elif place == "order.txt":
        (public / place).write_text("".join(f"{v}\n" for _, v in pairs))
    else:
        (public / place).write_text("id,size,kind\n" + "".join(f"{k},7,{v}\n" for k, v in pairs))
    assert [finding.subject for finding in errors_of(root)] == [f"data/public/{place}"]


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_task_passes(name: str) -> None:
    task = prepare_task(find_bundled(name), print)
    python = agent_environment(task.manifest.agent.packages, print)
    found = check_whole(task, python, choose_jail("auto"), print)
    assert {finding.level for finding in found} == {"ok"}, found


def sia(cwd: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "sia", "--backend", "offline", "--max-gen", "1", *arguments]
    own = {**os.environ, "SIA_CACHE_DIR": str(cwd / "cache")}  # what an earlier run checked is not known here
    return subprocess.run(argv, cwd=cwd, env=own, capture_output=True, text=True, timeout=300, check=False)


def test_run_on_an_unfit_task_is_refused_unless_forced(tmp_path: Path) -> None:
    task = table_task(tmp_path / "task", BY_ATTEMPTED)
    refused = sia(tmp_path, "--task-dir", str(task))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "--force" in refused.stderr
    assert "not attempted" in refused.stderr
    assert not (tmp_path / "runs").exists()
    forced = sia(tmp_path, "--task-dir", str(task), "--force")
    assert forced.returncode in (0, 1)
    assert (tmp_path / "runs" / "run_1").is_dir()


def test_fit_task_is_checked_once(tmp_path: Path) -> None:
    task = table_task(tmp_path / "task", BY_ALL)
    assert "checking task" in sia(tmp_path, "--task-dir", str(task)).stdout
    assert "checking task" not in sia(tmp_path, "--task-dir", str(task)).stdout
    (task / "data" / "public" / "task.md").write_text("Label every single thing.\n")
    assert "checking task" in sia(tmp_path, "--task-dir", str(task)).stdout


@pytest.mark.parametrize(("value", "n", "least"), [(0.0, 50, 0.05), (0.5, 870, 0.04), (0.25, 198, 0.08)])
def test_luck_is_allowed_for(value: float, n: int, least: float) -> None:
    score = Score(metric="accuracy", value=value, direction="max", n=n, source="items")
    assert least <= allowance(score) <= 2.5 * least


def test_training_rows_in_the_private_table_are_no_leak(tmp_path: Path) -> None:
    root = table_task(tmp_path / "task", BY_ALL)
    public, private = root / "data" / "public", root / "data" / "private"
    train = "".join(f"t{k},9,{LABELS[k % 4]}\n" for k in range(40))
    pairs = [line.split(",") for line in (private / "labels.csv").read_text().splitlines()[1:]]
    asked = "".join(f"{key},9,{label}\n" for key, label in pairs)
    (private / "everything.csv").write_text("id,size,label\n" + train + asked)
    assert "t0,9,red" in (public / "train.csv").read_text()
    assert errors_of(root) == []


def test_unreadable_data_are_told(tmp_path: Path) -> None:
    root = table_task(tmp_path / "task", BY_ALL)
    (root / "data" / "private" / "more.json").write_text("{")
    (root / "data" / "public" / "notes.txt").write_bytes(b"caf\xe9")
    subjects = {finding.subject for finding in check_task(load_task(root)) if finding.level == "warning"}
    assert {"data/private/more.json", "data/public/notes.txt"} <= subjects


def test_cheats_of_the_task_itself_are_held_to_its_baseline(tmp_path: Path) -> None:
    root = tmp_path / "task"
    public, cheat = root / "data" / "public", root / "data" / "private" / "cheats" / "says-nine"
    public.mkdir(parents=True)
    cheat.mkdir(parents=True)
    (public / "task.md").write_text("Be fast.\n")
    (cheat / "speed.txt").write_text("9")
    (root / "reference").mkdir()
    (root / "reference" / "reference_target_agent.py").write_text("# --dataset_dir --working_dir\n")
    (root / "data" / "private" / "evaluate.py").write_text(
        "import argparse, pathlib, sys\n"
        "parser = argparse.ArgumentParser()\nparser.add_argument('--gen-dir', type=pathlib.Path)\n"
        "folder = parser.parse_args().gen_dir\nfile = folder / 'speed.txt'\n"
        "if not file.is_file():\n    sys.exit('speed.txt is missing')\n"
        "if file.stat().st_size > 9:\n    sys.exit('speed.txt is too large')\n"
        "(folder / 'results.json').write_text('{\"speedup\": ' + str(float(file.read_text())) + '}')\n"
    )
    too_good = "the task's own cheat says-nine: scores 9, better than the stated baseline 1"
    # An empty file is what only an evaluator sees that is tried under the name that the cheats have.
    crash = "ends with a traceback on 1 submissions: empty file"
    unstated = "nothing says what the task's 1 own cheats must not beat"
    for metric, told in (
        ("direction = 'max'\nbaseline = 1.0", {too_good, crash}),
        ("direction = 'max'\nbaseline = 9.0", {crash}),
        ("direction = 'min'", {unstated, crash}),
    ):
        (root / "task.toml").write_text(f"[metric]\nname = 'speedup'\n{metric}\n")
        assert {finding.told for finding in errors_of(root)} == told
