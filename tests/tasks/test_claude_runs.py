"""The tasks that ask a model, as users run them: the real Claude Agent SDK writes, the agents ask, all in the jail.

Author and target agent reach one scripted model through the gateway; SDK, clients and tasks are real.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sia.store.catalog import generations_of
from sia.store.run_directory import read_run_record
from sia.task.catalog import find_bundled
from sia.task.fetch import prepare_task
from tests.author.runs import KEY, agents, finish, start
from tests.scripted_model import serve
from tests.scripted_model.benchmarks import HINT, authors_and_answers, knowledge

pytestmark = [pytest.mark.slow, pytest.mark.claude]
ANTHROPIC, OPENAI = "haiku", "openai/gpt-4o-mini"
PATHS = {ANTHROPIC: "/v1/messages", OPENAI: "/v1/chat/completions"}
GUESSES: dict[str, dict[str, Any]] = {
    "gpqa": {"answer": "A"},
    "lawbench": {"charge": "盗窃"},
    "longcot-chess": {"moves": [], "number": 218},
}


@pytest.mark.parametrize(
    ("name", "model", "guessed", "known"),
    [
        ("gpqa", ANTHROPIC, 57, 178),
        ("lawbench", OPENAI, 5, 821),
        ("longcot-chess", ANTHROPIC, 3, 45),
    ],
)
def test_reference_agent_is_improved(name: str, model: str, guessed: int, known: int, tmp_path: Path) -> None:
    task = prepare_task(find_bundled(name), print)
    run = tmp_path / "runs" / "run_1"
    more = ("--task-model", model, "--max-gen", "2", "--run-id", "1", "--calls-per-minute", "100000")
    with serve(authors_and_answers(knowledge(task), GUESSES[name])) as scripted:
        finish(start(tmp_path, scripted, "claude", "--task", name, *more))
        assert scripted.keys == {KEY}
        assert PATHS[model] in scripted.paths
    first, second = generations_of(run)
    assert [first.verdict.outcome, second.verdict.outcome] == ["first", "improved"]
    assert read_run_record(run).best == 2
    assert right_answers(run / "gen_1") == guessed
    assert right_answers(run / "gen_2") >= known
    seed, improved = agents(run)
    assert task.reference_dir is not None
    assert seed.strip() == (task.reference_dir / "reference_target_agent.py").read_text().strip()
    assert HINT in improved
    told = re.search(r"The parent scored ([\d.]+),", (run / "gen_2" / "improvement.md").read_text())
    assert told
    assert first.score is not None
    assert float(told[1]) == pytest.approx(first.score.value, abs=1e-4)
    for folder in (run / "gen_1", run / "gen_2"):
        record = json.loads((folder / "agent_execution.json").read_text())
        assert record["answered"] == record["questions"]


def right_answers(generation: Path) -> int:
    """On all items, dev and sealed."""
    items = json.loads((generation / "results.json").read_text())["items"]
    return sum(item["status"] == "CORRECT" for item in items)
