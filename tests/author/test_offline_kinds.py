"""The offline author on kinds of tasks other than tables, each on a task that it has never seen."""

import ast
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from sia.author.brief import Brief, TaskBrief
from sia.author.offline.__main__ import render_agent
from sia.author.offline.grammar import AnyKind, NotOfThisKind, Recipe
from sia.author.offline.kinds import KINDS, find_kind
from sia.store.catalog import generations_of
from sia.store.run_directory import read_run_record
from sia.task.catalog import find_bundled
from tests.author.test_offline_author import lint, sia

JSON_EVALUATOR = """
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = json.loads((pathlib.Path(__file__).parent / "answers.json").read_text())
try:
    given = json.loads((folder / "submission.json").read_text())
    given = given if isinstance(given, dict) else {}
except (OSError, ValueError, RecursionError) as error:
    sys.exit(f"unusable: {error}")
items = [{"id": k, "status": "CORRECT" if given.get(k) == v else "WRONG"} for k, v in truth.items()]
accuracy = sum(i["status"] == "CORRECT" for i in items) / len(items)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy, "items": items}))
"""
CSV_EVALUATOR = (
    JSON_EVALUATOR.replace("submission.json", "submission.csv")
    .replace("argparse, json", "argparse, csv, json")
    .replace("RecursionError", "KeyError, csv.Error")
    .replace(
        'json.loads((folder / "submission.csv").read_text())',
        '{r["id"]: r["topic"] for r in csv.DictReader((folder / "submission.csv").open())}',
    )
)
TOPICS = {
    "sea": "wave boat harbour sail tide anchor gull salt net captain",
    "wood": "oak leaf moss axe deer trail pine stump berry owl",
    "town": "street tram market square tower bakery lamp bridge bell cafe",
}


def make(root: Path, public: dict[str, str], answers: dict[str, Any], evaluator: str, packages: str = "") -> Path:
    (root / "data" / "public").mkdir(parents=True)
    (root / "data" / "private").mkdir()
    for name, text in {"task.md": "Answer.\n", **public}.items():
        (root / "data" / "public" / name).write_text(text)
    (root / "data" / "private" / "answers.json").write_text(json.dumps(answers))
    (root / "data" / "private" / "evaluate.py").write_text(evaluator)
    (root / "task.toml").write_text(
        f"[metric]\nname = 'accuracy'\ndirection = 'max'\n[agent]\npackages = [{packages}]\n"
    )
    return root


def text_task(root: Path, count: int = 100) -> Path:
    generator = random.Random(1)

    def text(topic: str) -> str:
        words = TOPICS[topic].split() * 2 + [f"word{generator.randrange(90)}" for _ in range(60)]
        return " ".join(generator.choices(words, k=14))

    rows = [(f"t{k}", topic := generator.choice(list(TOPICS)), text(topic)) for k in range(300 + count)]
    table = "".join(f"{key},{words},{topic}\n" for key, topic, words in rows[:300])
    public = {
        "train.csv": f"id,text,topic\n{table}",
        "test.csv": "id,text\n" + "".join(f"{key},{words}\n" for key, _, words in rows[300:]),
        "sample_submission.csv": "id,topic\n" + "".join(f"{key},sea\n" for key, _, _ in rows[300:]),
    }
    answers = {key: topic for key, topic, _ in rows[300:]}
    return make(root, public, answers, CSV_EVALUATOR, "'pandas>=2.2', 'scikit-learn>=1.5'")


def knight_moves(size: int, start: tuple[int, int]) -> dict[tuple[int, int], int]:
    """Distances by an independent breadth-first search."""
    found, edge = {start: 0}, [start]
    for place in edge:
        for a, b in ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1)):
            there = place[0] + a, place[1] + b
            if there not in found and all(0 <= c < size for c in there):
                found[there] = found[place] + 1
                edge.append(there)
    return found


def walk_task(root: Path, count: int = 24) -> Path:
    """So many walks over five squares, solved by trying every order; and three positions with one best move."""
    generator, problems, answers = random.Random(2), [], {}
    for number in range(count):
        size = generator.choice((7, 9, 12))
        squares = generator.sample([(a, b) for a in range(size) for b in range(size)], k=6)
        apart = {square: knight_moves(size, square) for square in squares}
        answers[f"w{number}"] = min(
            sum(apart[a][b] for a, b in itertools.pairwise((squares[0], *order)))
            for order in itertools.permutations(squares[1:])
        )
        text = f"On a {size}x{size} board, calculate the minimum number of moves that a knight needs from "
        problems.append({"id": f"w{number}", "problem": f"{text}{squares[0]} to touch all of {squares[1:]}."})
    mates = {
        "6k1/5ppp/8/8/8/8/8/R6K w - - 0 1": "Ra8#",
        "7k/8/6KQ/8/8/8/8/8 b - - 0 1": "Kg8",
        "k7/8/1K6/8/8/8/8/7Q w - - 0 1": "Qh8#",
    }
    for number, (position, move) in enumerate(mates.items()):
        problems.append({"id": f"m{number}", "problem": f"Give the 1 best moves in {position}."})
        answers[f"m{number}"] = [move]
    sample = {key: [] if isinstance(value, list) else 0 for key, value in answers.items()}
    public = {"problems.json": json.dumps(problems), "sample_submission.json": json.dumps(sample)}
    return make(root, public, answers, JSON_EVALUATOR, "'chess>=1.11', 'scipy>=1.12'")


def choice_task(root: Path, count: int = 120) -> Path:
    """Questions whose right option is the longest one in three of four cases."""
    generator, questions, answers = random.Random(3), [], {}
    for number in range(count):
        options = {letter: "o" * generator.randint(3, 9) for letter in "ABCD"}
        right = generator.choice("ABCD")
        if number % 4:
            options[right] += "oooooooooo"
        questions.append({"id": number, "stem": f"Which of these, in case {number}?", "options": options})
        answers[str(number)] = right
    public = {
        "questions.json": json.dumps(questions),
        "sample_submission.json": json.dumps(dict.fromkeys(answers, "A")),
    }
    return make(root, public, answers, JSON_EVALUATOR)


def matrix_task(root: Path) -> Path:
    """What the bundled task of denoising shows, but for its data."""
    public = find_bundled("scrna-denoising") / "data" / "public"
    return make(root, {file.name: file.read_text() for file in public.glob("*.py")}, {}, JSON_EVALUATOR)


MAKERS = {
    "text-classification": text_task,
    "exact-answer": walk_task,
    "multiple-choice": choice_task,
    "matrix": matrix_task,
}


def brief_of(root: Path, **task: Any) -> Brief:  # noqa: ANN401 (fields of any type)
    about = TaskBrief(name="task", public_dir=root / "data" / "public", seconds=60, **task)
    return Brief(generation=1, max_generations=3, seed=0, task=about)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "generations", "bound"),
    [("text-classification", 3, 0.85), ("exact-answer", 4, 0.9), ("multiple-choice", 5, 0.7)],
)
def test_unseen_task_is_answered_better_and_again_the_same(
    tmp_path: Path, kind: str, generations: int, bound: float
) -> None:
    task = MAKERS[kind](tmp_path / "task")
    for _ in range(2):
        done = sia(tmp_path, "--task-dir", str(task), "--max-gen", str(generations))
        assert done.returncode == 0, done.stdout + done.stderr
    first, twin = (tmp_path / "runs" / f"run_{n}" for n in (1, 2))
    record = read_run_record(first)
    assert record.best_scores is not None
    assert record.first_scored is not None
    assert record.best_scores.all.value >= bound
    assert record.best_scores.all.value > record.first_scored.all.value
    assert all(g.failure is None for g in generations_of(first))
    agents = sorted(first.glob("gen_*/target_agent.py"))
    assert [a.read_text() for a in agents] == [a.read_text() for a in sorted(twin.glob("gen_*/target_agent.py"))]
    assert lint(agents) == "All checks passed!\n"
    assert "# Hypothesis" in (first / "gen_2" / "improvement.md").read_text()


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_kind_is_told_from_the_files(tmp_path: Path, kind: str) -> None:
    found, _ = find_kind(brief_of(MAKERS[kind](tmp_path / "task")))
    assert found.name == kind


def test_files_of_another_kind_are_named(tmp_path: Path) -> None:
    root = choice_task(tmp_path / "task")
    with pytest.raises(NotOfThisKind, match=r"no train\.csv"):
        find_kind(brief_of(root, kind="tabular"))


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_answers_of_the_model_are_not_faked_without_one(tmp_path: Path, kind: str) -> None:
    brief = brief_of(MAKERS[kind](tmp_path / "task"), answers="model")
    found, _ = find_kind(brief)
    with pytest.raises(NotOfThisKind, match="language model"):
        found.first(brief)


def recipes_within_reach(kind: AnyKind, first: Recipe, schema: object) -> Iterator[Recipe]:
    """Every recipe that moves lead to."""
    seen: list[Recipe] = []
    edge = [first]
    while edge:
        recipe = edge.pop()
        if recipe in seen:
            continue
        seen.append(recipe)
        yield recipe
        edge += [move.apply(recipe) for move in kind.moves if move.fits(schema, recipe)]


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_recipe_makes_a_clean_program(tmp_path: Path, kind: str) -> None:
    brief = brief_of(MAKERS[kind](tmp_path / "task"))
    found, schema = find_kind(brief)
    agents = []
    for number, recipe in enumerate(recipes_within_reach(found, found.first(brief), schema)):
        agent = tmp_path / f"agent_{number}.py"
        agent.write_text(render_agent(found, recipe, schema, 0))
        ast.parse(agent.read_text())
        agents.append(agent)
    assert len(agents) >= 4
    assert lint(agents) == "All checks passed!\n"


def test_every_move_changes_a_field_of_its_recipe() -> None:
    for kind in KINDS.values():
        for move in kind.moves:
            for name, value in {**move.change, **move.needs}.items():
                field = kind.recipe.model_fields[name]
                allowed = get_args(field.annotation)
                assert not allowed or value in allowed, (kind.name, move.name)
            assert move.hypothesis.endswith(".")
            assert move.risk.endswith(".")
