"""The remote trainer inside the loop: gateway, jail and store around it; the key stays where it belongs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sia.author.brief import AGENT_FILE, DECISION_FILE
from sia.errors import UsageError
from sia.settings import RunSettings
from sia.stages.remote_training import GRADER
from sia.store.catalog import generations_of
from sia.store.ledger import read_ledger
from sia.store.records import Trained
from sia.verify import verify_run
from sia.weights.adapter import adapter_digest
from sia.weights.base import check_trainable
from sia.weights.plan import REWARD_FILE
from sia.weights.tinker.reference import read_reference
from tests.weights.play import decision, make_settings, make_toy_task, play_toy
from tests.weights.test_replay import replay_toy
from tests.weights.test_tinker import chat_plan, one_thread  # noqa: F401 - a fixture
from tests.weights.tinker_service import KEY, MODEL, TinkerDouble, make_chat_base, tinker_double

CHAT_AGENT = '''
"""Asks the model by chat, word by word."""
import argparse, json, os, pathlib, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("--dataset_dir", type=pathlib.Path)
parser.add_argument("--working_dir", type=pathlib.Path)
arguments = parser.parse_args()
items = json.loads((arguments.dataset_dir / "items.json").read_text())
known, answers = {}, {}
for item, word in items.items():
    if word not in known:
        messages = [{"role": "user", "content": f"{word} is it :"}]
        body = {"model": os.environ["SIA_TASK_MODEL"], "messages": messages, "max_tokens": 2, "temperature": 0}
        request = urllib.request.Request(
            os.environ["OPENAI_BASE_URL"] + "/chat/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
        )
        answer = json.load(urllib.request.urlopen(request, timeout=60))
        known[word] = answer["choices"][0]["message"]["content"]
    answers[item] = known[word]
(arguments.working_dir / "answers.json").write_text(json.dumps(answers))
(arguments.working_dir / "agent_execution.json").write_text(json.dumps(known))
'''


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinkerDouble]:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TINKER_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sia.toml").write_text(
        f'[providers.tinker.prices."{MODEL}"]\ninput = 10.0\noutput = 30.0\ntrain = 20.0\n'
    )
    with tinker_double(make_chat_base(tmp_path / "base")) as service:
        monkeypatch.setenv("TINKER_BASE_URL", service.url)
        yield service


def tinker_settings(tmp_path: Path, **more: object) -> RunSettings:
    return make_settings(tmp_path, tmp_path / "base", trainer="tinker", task_model=f"tinker/{MODEL}", **more)


@pytest.mark.slow
def test_a_run_trains_at_tinker_and_its_agents_get_the_adapter(tmp_path: Path, double: TinkerDouble) -> None:
    reward = "def points(answer, row):\n    return float(answer == row['label'])\n"
    check = {"kind": "check", "function": f"{REWARD_FILE}:points"}
    further = chat_plan("best-of-n", steps=2, reward=check, parent_adapter="PARENT_ADAPTER")
    scripts = {
        1: {AGENT_FILE: CHAT_AGENT},
        2: {DECISION_FILE: decision("weights", chat_plan("cloning", steps=8))},
        3: {DECISION_FILE: decision("weights", chat_plan("ppo"))},
        4: {DECISION_FILE: decision("weights", further), REWARD_FILE: reward},
    }
    task = make_toy_task(tmp_path / "task", scripts)
    settings = tinker_settings(tmp_path, max_gen=4, max_cost=5.0)
    final, _, jail = play_toy(task, settings)
    run = tmp_path / "runs" / "run_1"
    first, second, third, fourth = generations_of(run)
    assert first.score is not None
    assert second.score is not None
    assert first.score.value < 0.9
    assert second.score.value == 1.0
    assert second.adapter == adapter_digest(run / "gen_2" / "adapter")
    sampler = read_reference(run / "gen_2" / "adapter").sampler
    asked = [body["model"] for path, body in double.calls if path == "chat"]
    assert asked[0] == MODEL
    assert sampler in asked
    assert second.trained is not None
    assert 0 < second.trained.spending.cost < second.cost < final.cost
    assert "ppo learns a value function" in (third.failure or "")
    # Every answer of the parent is right by now: nothing is left to learn.
    assert fourth.trained is not None
    assert fourth.trained.parent_adapter == second.adapter
    gradings = [command for command in jail.commands if GRADER in command.argv]
    assert len(gradings) > 5
    for command in jail.commands:
        assert KEY not in " ".join(command.argv) + str(dict(command.environment))
        assert not any((tmp_path / "base").is_relative_to(mount.path) for mount in command.mounts)
    assert not any(KEY.encode() in file.read_bytes() for file in run.rglob("*") if file.is_file())
    assert not double.refused
    assert final.attribution is not None
    assert final.attribution.adapter == second.adapter
    assert not verify_run(run).problems
    done = replay_toy(task, settings)
    assert done.difference is None
    assert done.taken_over == ("gen_2/adapter", "gen_3/adapter", "gen_4/adapter")


def test_a_cap_of_the_run_binds_training(tmp_path: Path, double: TinkerDouble) -> None:
    scripts = {1: {AGENT_FILE: CHAT_AGENT}, 2: {DECISION_FILE: decision("weights", chat_plan("cloning", steps=200))}}
    task = make_toy_task(tmp_path / "task", scripts)
    final, _, _ = play_toy(task, tinker_settings(tmp_path, max_gen=2, max_cost=0.03))
    lines, _, _ = read_ledger(tmp_path / "runs" / "run_1" / "ledger.jsonl")
    trained = next(line.record for line in lines if isinstance(line.record, Trained))
    assert trained.adapter is not None
    assert 0 < trained.steps < 200
    assert sum(line.cost for line in lines) <= 0.03
    # What is left is too little for the agent's calls: they are refused, and the run waits for a larger cap.
    assert "cost cap of $0.03 reached" in (final.stopped_because or "")


def test_models_and_extras_are_checked_before_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="trains models of Tinker"):
        check_trainable(RunSettings(focus="auto", trainer="tinker", task_model="local/smollm2-135m"))
    with pytest.raises(UsageError, match="--trainer tinker"):
        check_trainable(RunSettings(focus="auto", task_model="tinker/Qwen/Qwen3-8B"))
    check_trainable(RunSettings(focus="auto", trainer="tinker", task_model="tinker/Qwen/Qwen3-8B"))
