"""The weights lever inside the loop: real trainer, real model server, real agents."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia.author.brief import AGENT_FILE, DECISION_FILE
from sia.cli.live import summary
from sia.gateway.journal import CALLS_FILE, read_calls
from sia.store.catalog import generations_of, read_generation
from sia.store.ledger import read_ledger
from sia.store.records import RunRecord
from sia.weights.adapter import adapter_digest
from sia.weights.plan import EXAMPLES_FILE, REWARD_FILE
from tests.weights.play import AGENT, SpyJail, decision, make_settings, make_toy_task, play_toy
from tests.weights.scripted_author import APART
from tests.weights.toy import make_base, toy_plan

CANARY = "canary-5f0e77b1c2"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "model")


@pytest.mark.slow
def test_a_run_trains_serves_inherits_and_stacks(tmp_path: Path, base: Path) -> None:
    plan = toy_plan("cloning", steps=60)
    further = toy_plan("reinforce", steps=10) | {"parent_adapter": "PARENT_ADAPTER"}
    scripts = {
        1: {AGENT_FILE: AGENT},
        2: {DECISION_FILE: decision("weights", plan)},
        3: {AGENT_FILE: AGENT + "\n# another harness\n", DECISION_FILE: decision("harness")},
        4: {AGENT_FILE: AGENT + "\n# a third harness\n", DECISION_FILE: decision("both", further)},
    }
    task = make_toy_task(tmp_path / "task", scripts, CANARY)
    final, events, jail = play_toy(task, make_settings(tmp_path, base, max_gen=4))
    run = tmp_path / "runs" / "run_1"
    first, second, third, fourth = generations_of(run)
    assert [g.lever for g in (first, second, third, fourth)] == ["harness", "weights", "harness", "both"]
    assert first.score is not None
    assert second.score is not None
    assert first.score.value < 0.9
    assert second.score.value == 1.0
    assert second.verdict.outcome == "improved"
    # The harness that follows builds on the adapter.
    assert third.adapter == second.adapter
    assert third.score is not None
    assert third.score.value == 1.0
    assert fourth.failure is None or "no checkpoint was better" in fourth.failure
    assert fourth.trained is not None
    assert fourth.trained.parent_adapter == second.adapter
    assert second.adapter == adapter_digest(run / "gen_2" / "adapter")
    assert {"training.json", "training.log", "metrics.jsonl"} <= {p.name for p in (run / "gen_2" / "adapter").iterdir()}
    lines, _, _ = read_ledger(run / "ledger.jsonl")
    stages = [line.record.stage for line in lines if line.generation == 2]
    assert stages == ["author", "train", "run", "score", "decide"]
    train = next(line for line in lines if line.record.stage == "train")
    assert "gen_2/adapter/adapter_model.safetensors" in train.wrote
    told = [e.line for e in events if e.event == "stage_output" and e.stage == "train"]
    assert any("reward" in line for line in told)
    prompt = (run / "gen_3" / "feedback_agent_prompt.txt").read_text()
    assert second.adapter in prompt
    _no_canary(jail, run)
    _two_by_two(final, second.adapter)
    calls = read_calls(run / CALLS_FILE)
    assert final.tokens == sum(call.input_tokens + call.output_tokens for call in calls)


def _two_by_two(final: RunRecord, adapter: str | None) -> None:
    """The levers' worth: here the weights are worth all, the harness nothing."""
    found = final.attribution
    assert found is not None
    assert found.adapter == adapter
    assert [cell.adapter for cell in found.cells] in ([None, adapter, None, adapter], [None, adapter])
    values = [cell.score.value for cell in found.cells if cell.score]
    assert values[1] == values[-1] == 1.0
    assert values[0] < 0.9
    assert found.weights_alone is not None
    assert found.weights_alone.outcome == "improved"
    assert any("weights alone" in line for line in summary(final))


def _no_canary(jail: SpyJail, run: Path) -> None:
    """Nothing that lay before a trainer's eyes, and nothing that it left, holds a private value."""
    left = {file: file.read_bytes() for file in run.glob("gen_*/adapter/*")}
    assert left
    assert {"training.json", "train.jsonl", "model.safetensors"} <= {file.name for file in jail.shown}
    for file, content in (jail.shown | left).items():
        assert CANARY.encode() not in content, file


@pytest.mark.slow
def test_a_training_that_fails_costs_its_generation_only(tmp_path: Path, base: Path) -> None:
    scripts = {
        1: {AGENT_FILE: AGENT},
        2: {DECISION_FILE: decision("weights", toy_plan("cloning", lora={"targets": ["flux_proj"]}))},
        3: {DECISION_FILE: decision("weights", toy_plan("cloning", steps=10**9))},
        4: {DECISION_FILE: decision("weights", toy_plan("cloning", parent_adapter="0" * 64))},
        5: {DECISION_FILE: decision("weights", toy_plan("cloning", base_model="local/other"))},
        6: {DECISION_FILE: decision("weights", toy_plan("cloning", limits={"cost": 1.0}))},
        7: {DECISION_FILE: decision("harness")},
    }
    task = make_toy_task(tmp_path / "task", scripts)
    final, _, _ = play_toy(task, make_settings(tmp_path, base, max_gen=7))
    failures = [g.failure or "" for g in generations_of(tmp_path / "runs" / "run_1")]
    assert "no linear layer 'flux_proj'" in failures[1]
    assert "training.steps" in failures[2]
    assert "no adapter 000000000000" in failures[3]
    assert "base_model is 'local/other'" in failures[4]
    assert "an hour of this machine has no price" in failures[5]
    assert failures[0] == failures[6] == ""
    assert final.best == 1
    prompt = (tmp_path / "runs" / "run_1" / "gen_3" / "feedback_agent_prompt.txt").read_text()
    assert "flux_proj" in prompt


@pytest.mark.slow
def test_a_run_killed_in_training_goes_on_from_the_checkpoint(tmp_path: Path, base: Path) -> None:
    plan = toy_plan("ppo", steps=150, seed=1, checkpoint_seconds=0.2)
    scripts = {1: {AGENT_FILE: AGENT}, 2: {DECISION_FILE: decision("weights", plan)}}
    task = make_toy_task(tmp_path / "task", scripts)
    argv = [sys.executable, "-m", "tests.weights.play", str(task), str(tmp_path / "runs"), str(base), "2"]
    checkpoint = tmp_path / "runs" / "run_1" / ".training" / "gen_2" / "checkpoint"
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "stage_output" and event["stage"] == "train" and checkpoint.exists():
                process.kill()
                break
    done = subprocess.run([*argv, "resume"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in (tmp_path / "runs" / "run_1" / "gen_2" / "adapter" / "training.log").read_text()
    second = read_generation(tmp_path / "runs" / "run_1", 2)
    assert second.trained is not None
    assert second.trained.ended in ("finished", "solved")
    assert second.failure is None
    assert not checkpoint.exists()


@pytest.mark.slow
def test_an_author_may_bring_rows_and_reward_but_no_private_value(tmp_path: Path, base: Path) -> None:
    data = {"origin": "author", "file": EXAMPLES_FILE, "prompt": "{q}", "prefix": "", "choices": ["yes", "no"]}
    plan = toy_plan("grpo", steps=30) | {
        "data": data,
        "reward": {"kind": "check", "function": f"{REWARD_FILE}:points"},
    }
    rows = "".join(json.dumps({"q": f"{w} is it :", "a": a}) + "\n" for w, a in [("sun", "yes"), ("leaf", "no")] * 20)
    reward = "def points(answer, row):\n    return float(answer == row['a'])\n"
    good = {DECISION_FILE: decision("weights", plan), EXAMPLES_FILE: rows, REWARD_FILE: reward}
    leaky = {**good, EXAMPLES_FILE: rows + json.dumps({"q": CANARY[:9] + APART + CANARY[9:], "a": "no"}) + "\n"}
    missing = {DECISION_FILE: decision("weights", plan), REWARD_FILE: reward}
    task = make_toy_task(tmp_path / "task", {1: {AGENT_FILE: AGENT}, 2: leaky, 3: missing, 4: good}, CANARY)
    _, _, jail = play_toy(task, make_settings(tmp_path, base, max_gen=4))
    assert EXAMPLES_FILE in {file.name for file in jail.shown}
    _no_canary(jail, tmp_path / "runs" / "run_1")
    _, second, third, fourth = generations_of(tmp_path / "runs" / "run_1")
    assert "private values" in (second.failure or "")
    assert f"{EXAMPLES_FILE} is missing" in (third.failure or "")
    assert fourth.trained is not None
    assert fourth.trained.ended in ("finished", "solved")


def test_focus_weights_asks_for_a_plan(tmp_path: Path, base: Path) -> None:
    task = make_toy_task(tmp_path / "task", {1: {AGENT_FILE: AGENT}, 2: {DECISION_FILE: decision("harness")}})
    play_toy(task, make_settings(tmp_path, base, max_gen=2, focus="weights"))
    _, second = generations_of(tmp_path / "runs" / "run_1")
    assert "leave a training plan" in (second.failure or "")
