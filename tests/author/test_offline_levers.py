"""The kinds whose model can be trained: codes for many labels, the same words in training and in asking."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from sia.author import brief as contract
from sia.author.brief import Brief, Budget, CalledModel, PastGeneration
from sia.author.offline.__main__ import render_agent
from sia.author.offline.bandit import State, choose_move
from sia.author.offline.kinds import find_kind
from sia.author.offline.kinds.table_text import TABLE_TEXT, TableTextRecipe
from sia.author.offline.kinds.taught import MIN_TRAINING_SECONDS, time_for_training
from sia.author.offline.kinds.text_codes import TEXT_CODES, codes_of, write_examples
from sia.score.model import Verdict
from tests.author.test_offline_author import lint, table_task
from tests.author.test_offline_kinds import CSV_EVALUATOR, brief_of, make, recipes_within_reach

LOCAL = CalledModel(name="local/smollm2-135m", dialect="openai", provider="local")
CASES = {"红花园": "红花开在园里", "黑木林": "黑木立在林中", "红木船": "船由红木制成", "黑水河": "黑水流过河谷"}


def coded_task(root: Path) -> Path:
    """Texts without blanks, of labels that share characters."""
    generator = random.Random(2)
    rows = [(f"t{k}", label, CASES[label] * generator.randint(8, 12)) for k in range(60) for label in CASES]
    table = "".join(f"{key},{text},{label}\n" for key, label, text in rows[:200])
    public = {
        "train.csv": f"id,text,label\n{table}",
        "test.csv": "id,text\n" + "".join(f"{key},{text}\n" for key, _, text in rows[200:]),
        "sample_submission.csv": "id,label\n" + "".join(f"{key},红花园\n" for key, _, _ in rows[200:]),
    }
    answers = {key: label for key, label, _ in rows[200:]}
    return make(root, public, answers, CSV_EVALUATOR, "'pandas>=2.2', 'scikit-learn>=1.5'")


def coded_brief(root: Path, model: CalledModel = LOCAL) -> Brief:
    brief = brief_of(coded_task(root), kind="text-classification", answers="model", packages=("openai>=1.60",))
    return brief.model_copy(update={"task_model": model, "trainable": True})


@given(st.lists(st.text(alphabet="abcdefgh[]", min_size=1, max_size=5), min_size=1, max_size=8, unique=True))
def test_a_code_is_a_character_of_its_label_and_of_no_other(labels: list[str]) -> None:
    codes = codes_of(labels, Counter("aabbc"))
    has = csr_matrix([[letter in label for letter in "abcdefgh"] for label in labels])
    matched = maximum_bipartite_matching(has, perm_type="column")
    assert (codes is None) == bool((matched < 0).any())
    if codes is None:
        return
    assert set(codes) == set(labels)
    assert len(set(codes.values())) == len(labels)
    assert all(code in label and code.isalpha() for label, code in codes.items())


def test_codes_give_way_to_one_another() -> None:
    assert codes_of(["ab", "a"], Counter("aaab")) == {"a": "a", "ab": "b"}
    assert codes_of(["a", "aa"], Counter("a")) is None


def test_labels_of_an_unspaced_script_are_told_by_codes(tmp_path: Path) -> None:
    brief = coded_brief(tmp_path / "task")
    kind, schema = find_kind(brief)
    assert kind is TEXT_CODES
    agents = []
    for number, recipe in enumerate(recipes_within_reach(kind, kind.first(brief), schema)):
        agents.append(tmp_path / f"agent_{number}.py")
        agents[-1].write_text(render_agent(kind, recipe, schema, 0))
    assert lint(agents) == "All checks passed!\n"
    rows = tmp_path / "rows.jsonl"
    write_examples(agents[0], schema, brief.task.public_dir, rows)  # type: ignore[arg-type]
    first = json.loads(rows.read_text().splitlines()[0])
    assert first["prompt"].endswith("\nlabel:")
    assert first["answer"] in "红花园"
    assert kind.plan is not None
    plan = kind.plan(kind.first(brief), schema, brief, None)
    assert set(plan.data.choices or ()) == {json.loads(line)["answer"] for line in rows.read_text().splitlines()}


def test_a_model_that_scores_nothing_chooses_among_few(tmp_path: Path) -> None:
    kind, _ = find_kind(coded_brief(tmp_path / "task", CalledModel(name="gpt", dialect="openai")))
    assert kind.name == "text-classification"


def test_focus_weights_leaves_the_harness_alone(tmp_path: Path) -> None:
    brief = coded_brief(tmp_path / "task").model_copy(update={"focus": "weights"})
    kind, schema = find_kind(brief)
    move = choose_move(kind, kind.first(brief), State(kind=kind.name, recipe={}), schema, brief)
    assert move is not None
    assert move.lever == "weights"
    assert {move.lever for move in TABLE_TEXT.moves} == {"harness", "weights", "both"}


def test_bare_rows_keep_the_order_of_their_values(tmp_path: Path) -> None:
    task = table_task(tmp_path / "task", "classification")
    brief = brief_of(task, kind="tabular", answers="model").model_copy(update={"task_model": LOCAL})
    kind, schema = find_kind(brief)
    assert kind is TABLE_TEXT
    agent = tmp_path / "agent.py"
    agent.write_text(render_agent(kind, TableTextRecipe(split=True, summed=True, bare=True, cut=True), schema, 0))
    assert lint([agent]) == "All checks passed!\n"
    rows = tmp_path / "rows.jsonl"
    assert kind.examples is not None
    kind.examples(agent, schema, brief.task.public_dir, rows)
    counts = {json.loads(line)["prompt"].partition("\n")[0].count(",") for line in rows.read_text().splitlines()}
    assert len(counts) == 1


@pytest.mark.parametrize(("left", "expected"), [(None, 400.0), (600.0, 400.0), (300.0, 210.0), (10.0, 60.0)])
def test_an_update_fits_into_what_is_left_of_the_run(left: float | None, expected: float, tmp_path: Path) -> None:
    past = PastGeneration(generation=1, parent=None, verdict=Verdict(outcome="first"), seconds=50.0)
    brief = coded_brief(tmp_path / "task").model_copy(
        update={"history": (past,), "budget": Budget(generations=2, seconds=left)}
    )
    assert time_for_training(brief, 400.0) == expected
    assert MIN_TRAINING_SECONDS == 60.0


@pytest.mark.parametrize("make_task", [coded_task, lambda root: table_task(root, "classification")])
def test_the_classical_agent_asks_no_model(make_task: object, tmp_path: Path) -> None:
    assert callable(make_task)
    task = make_task(tmp_path / "task")
    brief = brief_of(task, answers="model").model_copy(update={"task_model": LOCAL})
    (tmp_path / contract.BRIEF_FILE).write_text(brief.model_dump_json())
    argv = [sys.executable, "-m", "sia.author.offline.classical", str(tmp_path)]
    subprocess.run(argv, check=True, timeout=120)
    agent = tmp_path / contract.AGENT_FILE
    assert "SIA_TASK_MODEL" not in agent.read_text()
    argv = [sys.executable, str(agent), "--dataset_dir", str(brief.task.public_dir), "--working_dir", str(tmp_path)]
    subprocess.run(argv, check=True, timeout=240, capture_output=True)
    assert (tmp_path / "submission.csv").is_file()


def test_a_task_without_tables_has_no_classical_agent(tmp_path: Path) -> None:
    (tmp_path / "data" / "public").mkdir(parents=True)
    (tmp_path / contract.BRIEF_FILE).write_text(brief_of(tmp_path, answers="model").model_dump_json())
    argv = [sys.executable, "-m", "sia.author.offline.classical", str(tmp_path)]
    done = subprocess.run(argv, check=False, timeout=120, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no classical agent" in done.stderr
