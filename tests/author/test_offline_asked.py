"""The offline author's agents that ask a model: clean programs for every recipe, and real answers of a real one."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from sia.author.brief import Brief, CalledModel
from sia.author.offline.__main__ import render_agent
from sia.author.offline.grammar import AnyKind, NotOfThisKind, Recipe
from sia.author.offline.kinds import find_kind
from sia.author.offline.kinds.text_classification import TextSchema
from sia.local.process import start_local_model
from tests.author.test_offline_author import lint
from tests.author.test_offline_kinds import MAKERS, brief_of, choice_task, recipes_within_reach, text_task, walk_task
from tests.scripted_model import Conversation, Failure, Reply, serve

LOCAL = CalledModel(name="local/smollm2-135m", dialect="openai", provider="local")
OTHERS = [CalledModel(name="gpt", dialect="openai"), CalledModel(name="claude", dialect="anthropic")]

RECIPES: dict[str, list[dict[str, object]]] = {
    "multiple-choice": [
        {"rule": "ask", "samples": 3, "reasoned": True},
        {"rule": "score", "scored": "letter", "calibrated": True, "permuted": True},
        {"rule": "score", "scored": "text", "calibrated": True},
    ],
    "text-classification": [
        {"model": "svm", "asked": "score", "shots": 2, "calibrated": True},
        {"model": "neighbours", "neighbours": 8, "asked": "score", "alone": True, "candidates": 3},
        {"model": "centroids", "asked": "words"},
    ],
    "exact-answer": [{"route": "none", "asked": True, "samples": 3}, {"route": "exact", "line": "none", "asked": True}],
}
ASKING = sorted(RECIPES)
"""The kinds whose agents may ask a model."""


def asking(root: Path, model: CalledModel, answers: Literal["any", "model"] = "any") -> Brief:
    brief = brief_of(root, answers=answers, packages=("openai>=1.60", "anthropic>=0.49"))
    return brief.model_copy(update={"task_model": model})


def write_agents(found: AnyKind, schema: object, recipes: list[Recipe], folder: Path) -> list[Path]:
    agents = [folder / f"agent_{number}.py" for number in range(len(recipes))]
    for agent, recipe in zip(agents, recipes, strict=True):
        agent.write_text(render_agent(found, recipe, schema, 0))
        ast.parse(agent.read_text())
    return agents


@pytest.mark.parametrize("kind", ASKING)
@pytest.mark.parametrize("model", [LOCAL, *OTHERS], ids=lambda model: model.name)
def test_every_recipe_with_a_model_makes_a_clean_program(tmp_path: Path, kind: str, model: CalledModel) -> None:
    brief = asking(MAKERS[kind](tmp_path / "task"), model)
    found, schema = find_kind(brief)
    recipes = list(recipes_within_reach(found, found.first(brief), schema))
    chosen = [recipe for k, recipe in enumerate(recipes) if k % max(1, len(recipes) // 150) == 0]
    agents = write_agents(found, schema, chosen, tmp_path)
    asked = [agent for agent in agents if "CLIENT" in agent.read_text()]
    assert len(asked) >= 4
    assert all(("/score" in agent.read_text()) <= (model == LOCAL) for agent in asked)
    assert lint(agents) == "All checks passed!\n"


@pytest.mark.parametrize("kind", ASKING)
@pytest.mark.parametrize("model", [LOCAL, *OTHERS], ids=lambda model: model.name)
def test_first_agent_of_a_task_for_models_asks_it(tmp_path: Path, kind: str, model: CalledModel) -> None:
    brief = asking(MAKERS[kind](tmp_path / "task"), model, "model")
    found, _ = find_kind(brief)
    assert found.first(brief).asks_model()


def test_missing_client_is_named(tmp_path: Path) -> None:
    root = MAKERS["multiple-choice"](tmp_path / "task")
    brief = brief_of(root, answers="model").model_copy(update={"task_model": LOCAL})
    found, _ = find_kind(brief)
    with pytest.raises(NotOfThisKind, match="add openai to"):
        found.first(brief)


FEW: dict[str, Callable[[Path], Path]] = {
    "multiple-choice": lambda root: choice_task(root, 8),
    "text-classification": lambda root: text_task(root, 20),
    "exact-answer": lambda root: walk_task(root, 2),
}
"""Each question is thought about in hundreds of tokens: with many of them it would take minutes."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ASKING)
def test_agents_answer_every_item_with_a_real_model(tmp_path: Path, kind: str) -> None:
    root = FEW[kind](tmp_path / "task")
    found, schema = find_kind(asking(root, LOCAL))
    recipes = [found.recipe.model_validate(recipe) for recipe in RECIPES[kind]]
    agents = write_agents(found, schema, recipes, tmp_path)
    truth = json.loads((root / "data" / "private" / "answers.json").read_text())
    with start_local_model(LOCAL.name, print) as model:
        for agent in agents:
            work = tmp_path / agent.stem
            work.mkdir()
            run_agent(agent, root, work, LOCAL.name, model.base_url)
            given = read_answers(work)
            if kind != "exact-answer":  # where the model may give nothing of the right form
                assert given.keys() == truth.keys()
            assert given.keys() <= truth.keys()
            assert list(work.glob("agent_execution*"))


def run_agent(agent: Path, root: Path, work: Path, model: str, address: str) -> None:
    variables = {"SIA_TASK_MODEL": model, "OPENAI_BASE_URL": address, "OPENAI_API_KEY": "none"}
    variables |= {"ANTHROPIC_BASE_URL": address.removesuffix("/v1"), "ANTHROPIC_API_KEY": "none"}
    argv = [sys.executable, str(agent), "--dataset_dir", str(root / "data" / "public"), "--working_dir", str(work)]
    subprocess.run(argv, env={**os.environ, **variables}, check=True, timeout=300)


TOLD: dict[str, tuple[dict[str, object], str]] = {
    "multiple-choice": ({"rule": "ask", "samples": 3, "reasoned": True}, "Let me see. Answer: {}) that is it"),
    "text-classification": ({"asked": "words", "alone": True}, "It is {}."),
    "exact-answer": ({"route": "none", "line": "none", "asked": True}, "There are 3 ways.\nAnswer: {}"),
}
"""For each kind a recipe, and the words in which the model tells an answer."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ASKING)
@pytest.mark.parametrize("model", OTHERS, ids=lambda model: model.dialect)
def test_agents_hand_in_what_a_model_of_either_dialect_says(tmp_path: Path, kind: str, model: CalledModel) -> None:
    root = MAKERS[kind](tmp_path / "task")
    fields, words = TOLD[kind]
    found, schema = find_kind(asking(root, model))
    (agent,) = write_agents(found, schema, [found.recipe.model_validate(fields)], tmp_path)
    truth = json.loads((root / "data" / "private" / "answers.json").read_text())
    texts = questions_of(root)

    def tell(conversation: Conversation) -> Reply | Failure:
        asked = conversation.turns[-1].text
        key = next((key for key, text in texts.items() if text in asked), None)
        told = Reply(words.format(truth[key]) if key in truth else "I do not know.")
        # OpenAI's models that reason refuse a temperature and the old name of the bound: the agent asks without.
        return Failure("status", 400, times=1, then=told) if model.dialect == "openai" else told

    with serve(tell) as scripted:
        run_agent(agent, root, tmp_path, model.name, f"{scripted.url}/v1")
        assert {conversation.model for conversation in scripted.asked} == {model.name}
    # The sample's lists are empty: no form says how many moves are asked for.
    assert read_answers(tmp_path) == {key: right for key, right in truth.items() if not isinstance(right, list)}


@pytest.mark.slow
@pytest.mark.parametrize("alone", [True, False])
def test_texts_that_there_is_no_time_for_are_not_asked_about(tmp_path: Path, alone: bool) -> None:
    root = MAKERS["text-classification"](tmp_path / "task")
    found, schema = find_kind(asking(root, OTHERS[0]))
    assert isinstance(schema, TextSchema)
    recipe = found.recipe.model_validate({"asked": "words", "alone": alone})
    (agent,) = write_agents(found, replace(schema, seconds=0.0), [recipe], tmp_path)
    with serve(lambda conversation: Reply("sea")) as scripted:
        run_agent(agent, root, tmp_path, "gpt", f"{scripted.url}/v1")
        assert not scripted.asked
    record = json.loads((tmp_path / "agent_execution.json").read_text())
    assert record["asked"] == [0, 0]
    assert record["answered"] == len(read_answers(tmp_path)) == (0 if alone else 100)


def questions_of(root: Path) -> dict[str, str]:
    """The test items' texts by id."""
    public = root / "data" / "public"
    if (public / "test.csv").is_file():
        lines = (public / "test.csv").read_text().splitlines()[1:]
        return {key: text for key, _, text in (line.partition(",") for line in lines)}
    file = next(public / name for name in ("questions.json", "problems.json") if (public / name).is_file())
    records = json.loads(file.read_text())
    return {str(record["id"]): record.get("stem") or record["problem"] for record in records}


def read_answers(work: Path) -> dict[str, object]:
    if (work / "submission.json").is_file():
        answers: dict[str, object] = json.loads((work / "submission.json").read_text())
        return answers
    lines = (work / "submission.csv").read_text().splitlines()[1:]
    return dict(line.split(",") for line in lines)
