"""The trainer on a tiny random model: it learns, goes on after a kill, and ends in order whatever goes wrong."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sia.store.durable import digest_file
from sia.weights.checkpoints import CHECKPOINT
from sia.weights.health import PATIENCE, Health
from sia.weights.outcome import ADAPTER_WEIGHTS, METRICS_FILE, OUTCOME_FILE, StepMetrics, TrainingOutcome
from sia.weights.plan import REWARD_FILE
from sia.weights.trainer import REFUSED
from sia.weights.training import Job, batch_of
from tests.weights.toy import make_base, make_job, make_public, parsed, run_job, toy_plan


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_public(tmp_path_factory.mktemp("data") / "public")


def argv(job: Job) -> list[str]:
    """The trainer's command line."""
    told = {"plan": job.plan, "public": job.public, "author": job.author, "base": job.base, "out": job.out}
    return [sys.executable, "-m", "sia.weights.trainer", f"--work={job.work}", *(f"--{k}={v}" for k, v in told.items())]


@pytest.mark.parametrize("algorithm", ["cloning", "best-of-n", "reinforce", "grpo", "ppo", "entropic", "dpo"])
def test_every_algorithm_raises_the_reward_within_100_steps(
    algorithm: str, tmp_path: Path, base: Path, public: Path
) -> None:
    job = make_job(tmp_path, base, public, toy_plan(algorithm, data=toy_plan("x")["data"] | {"validation": 0.4}))  # type: ignore[operator]
    before = {file: digest_file(file) for file in base.iterdir()}
    outcome, _ = run_job(job)
    assert outcome.ended in ("finished", "solved")
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.before <= 0.7
    assert outcome.after >= 0.95
    assert {file: digest_file(file) for file in base.iterdir()} == before


@pytest.mark.parametrize("algorithm", ["grpo", "entropic"])
def test_learns_to_generate_the_answer(algorithm: str, tmp_path: Path, base: Path, public: Path) -> None:
    plan = toy_plan(algorithm, actions="text", steps=40)
    outcome, lines = run_job(make_job(tmp_path, base, public, plan))
    assert (outcome.before or 0.0) <= 0.3
    metrics = [
        StepMetrics.model_validate_json(x) for x in (tmp_path / "adapter" / METRICS_FILE).read_text().splitlines()
    ]
    assert [m.step for m in metrics] == list(range(1, len(metrics) + 1))
    assert metrics[-1].reward is not None
    assert metrics[-1].reward > 0.6
    assert all(word in lines[-2] + lines[-3] for word in ("loss", "reward", "KL", "entropy", "tok/s", "left"))


def test_learns_from_a_check_and_a_format_without_labels(tmp_path: Path, base: Path, public: Path) -> None:
    data = toy_plan("grpo")["data"] | {"answer": None}  # type: ignore[operator]
    reward = {"kind": "check", "function": f"{REWARD_FILE}:points", "format": "yes", "format_weight": 0.5}
    job = make_job(tmp_path, base, public, toy_plan("grpo", data=data, reward=reward))
    (job.author / REWARD_FILE).write_text("def points(answer, row):\n    return 0.5 * (answer == 'yes')\n")
    outcome, _ = run_job(job)
    assert outcome.after == pytest.approx(1.0)


def test_majority_vote_needs_no_labels(tmp_path: Path, base: Path, public: Path) -> None:
    data = toy_plan("grpo")["data"] | {"answer": None}  # type: ignore[operator]
    outcome, _ = run_job(make_job(tmp_path, base, public, toy_plan("grpo", data=data, reward={"kind": "majority"})))
    assert outcome.adapter
    assert outcome.before is None


def test_goes_on_from_the_parent_adapter(tmp_path: Path, base: Path, public: Path) -> None:
    first = make_job(tmp_path / "first", base, public, toy_plan("cloning", steps=10))
    run_job(first)
    second = make_job(tmp_path / "second", base, public, toy_plan("reinforce", steps=10), parent=first.out)
    outcome, lines = run_job(second)
    assert outcome.before == pytest.approx(1.0)
    assert any("KL 0 " in line for line in lines), "the parent is the reference, so the first step has no distance"


def test_a_child_of_another_form_is_refused(tmp_path: Path, base: Path, public: Path) -> None:
    first = make_job(tmp_path / "first", base, public, toy_plan("cloning", steps=4))
    run_job(first)
    plan = toy_plan("cloning", lora={"rank": 4, "alpha": 16})
    outcome, _ = run_job(make_job(tmp_path / "second", base, public, plan, parent=first.out))
    assert outcome.ended == "refused"
    assert "rank 8" in outcome.reason


def test_top_layers_alone_are_trained(tmp_path: Path, base: Path, public: Path) -> None:
    job = make_job(tmp_path, base, public, toy_plan("cloning", steps=4, lora={"top_layers": 1}))
    outcome, _ = run_job(job)
    assert outcome.adapter
    names = load_file(job.out / ADAPTER_WEIGHTS)
    assert names
    assert all(".layers.1." in name for name in names)


@pytest.mark.parametrize("damage", ["cut", "nan", "missing"])
def test_a_corrupt_parent_is_refused(damage: str, tmp_path: Path, base: Path, public: Path) -> None:
    first = make_job(tmp_path / "first", base, public, toy_plan("cloning", steps=4))
    run_job(first)
    file = first.out / ADAPTER_WEIGHTS
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "nan":
        save_file({name: torch.full_like(t, float("nan")) for name, t in load_file(file).items()}, file)
    else:
        file.unlink()
    outcome, _ = run_job(make_job(tmp_path / "second", base, public, toy_plan("cloning"), parent=first.out))
    assert outcome.ended == "refused"
    assert "damaged" in outcome.reason


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"lora": {"targets": ["flux_proj"]}}, "no linear layer 'flux_proj'; it has"),
        ({"lora": {"top_layers": 9}}, "2 blocks"),
        ({"prompt_tokens": 1000}, "512 positions"),
        ({"steps": 10**9}, "steps"),
        ({"lora": {"rank": 10**6}}, "rank"),
    ],
)
def test_impossible_plans_end_before_the_first_step(
    more: dict[str, object], words: str, tmp_path: Path, base: Path, public: Path
) -> None:
    job = make_job(tmp_path, base, public, toy_plan("cloning", **more))
    outcome, _ = run_job(job)
    assert (outcome.ended, outcome.steps, outcome.adapter) == ("refused", 0, False)
    assert words in outcome.reason


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"file": "nothing.csv"}, "there is no nothing.csv"),
        ({"prompt": "{colour}"}, "the columns are word, label"),
        ({"answer": "truth"}, "no column 'truth'"),
        ({"choices": ["yes", "maybe"]}, "lacks 'no'"),
        ({"where": {"word": ["cloud"]}}, "no row"),
        ({"chat": True}, "no chat template"),
    ],
)
def test_data_that_do_not_fit_the_plan_are_told(
    data: dict[str, object], words: str, tmp_path: Path, base: Path, public: Path
) -> None:
    plan = toy_plan("cloning")
    outcome, _ = run_job(make_job(tmp_path, base, public, plan | {"data": plan["data"] | data}))  # type: ignore[operator]
    assert outcome.ended == "refused"
    assert words in outcome.reason


def test_a_link_out_of_the_public_folder_is_refused(tmp_path: Path, base: Path) -> None:
    public = make_public(tmp_path / "public")
    (tmp_path / "secret.jsonl").write_text('{"word": "sun", "label": "yes"}\n')
    (public / "linked.jsonl").symlink_to(tmp_path / "secret.jsonl")
    plan = toy_plan("cloning")
    outcome, _ = run_job(make_job(tmp_path, base, public, plan | {"data": plan["data"] | {"file": "linked.jsonl"}}))  # type: ignore[operator]
    assert "outside" in outcome.reason


def test_weights_that_are_no_numbers_end_the_update_and_leave_nothing(tmp_path: Path, base: Path, public: Path) -> None:
    spoilt = make_base(tmp_path / "spoilt")
    file = spoilt / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    outcome, _ = run_job(make_job(tmp_path, spoilt, public, toy_plan("cloning")))
    assert outcome.ended == "not finite"
    assert not outcome.adapter


def test_memory_limit_keeps_the_adapter_so_far(tmp_path: Path, base: Path, public: Path) -> None:
    job = make_job(tmp_path, base, public, toy_plan("cloning", limits={"memory_bytes": 256 << 20}))
    outcome, _ = run_job(job)
    assert outcome.ended == "out of memory"
    assert "micro_batch" in outcome.reason


def test_a_training_is_shortened_to_its_time(tmp_path: Path, base: Path, public: Path) -> None:
    plan = toy_plan("cloning", steps=100_000, limits={"seconds": 4})
    outcome, lines = run_job(make_job(tmp_path, base, public, plan))
    assert outcome.ended in ("finished", "time limit")
    assert outcome.adapter
    assert outcome.steps < 100_000
    assert any("shortened" in line for line in lines)


def test_the_time_of_this_machine_has_a_price(tmp_path: Path, base: Path, public: Path) -> None:
    plan = toy_plan("cloning", steps=100_000)
    job = Job(**{**vars(make_job(tmp_path, base, public, plan)), "hour_cost": 3600.0, "most_cost": 0.02})
    outcome, _ = run_job(job)
    assert outcome.ended == "cost limit"
    assert "$0.02 reached at step" in outcome.reason


def test_a_failing_reward_is_told(tmp_path: Path, base: Path, public: Path) -> None:
    plan = toy_plan("grpo", reward={"kind": "check", "function": f"{REWARD_FILE}:points"})
    job = make_job(tmp_path, base, public, plan)
    (job.author / REWARD_FILE).write_text("def points(answer, row):\n    return row['nothing']\n")
    outcome, _ = run_job(job)
    assert outcome.ended == "refused"
    assert "KeyError" in outcome.reason


def test_answers_that_are_all_alike_are_collapse_unless_they_are_right() -> None:
    wrong, right = Health(), Health()
    for step in range(PATIENCE):
        fault = wrong.look(step, 0.0, 0.0, 0.0, 0.1, 0.0)
        solved = right.look(step, 0.0, 0.0, 1.0, 0.1, 0.0)
    assert fault is not None
    assert fault.ended == "collapsed"
    assert solved is not None
    assert solved.ended == "solved"


def test_a_rising_loss_and_a_far_model_are_divergence() -> None:
    rising, far = Health(), Health()
    faults = [rising.look(step, 1.0 + step, 1.0, None, None, None) for step in range(4 * PATIENCE)]
    assert {f.ended for f in faults if f} == {"diverged"}
    assert all(f is None for f in faults[:PATIENCE])
    distant = [far.look(step, 0.0, 1.0, 0.5, 50.0, 0.5) for step in range(PATIENCE)]
    assert {f.ended for f in distant if f} == {"diverged"}


def test_every_row_is_seen_once_an_epoch() -> None:
    from sia.weights.examples import Example

    examples = [Example("x" * (i % 9), None, {"n": str(i)}) for i in range(100)]
    plan = parsed(toy_plan("cloning", batch=10))
    for epoch in range(2):
        seen = [e.row["n"] for step in range(10) for e in batch_of(examples, plan, 10 * epoch + step)]
        assert sorted(map(int, seen)) == list(range(100))


@pytest.mark.slow
def test_a_killed_training_goes_on_and_comes_to_the_same_adapter(tmp_path: Path, base: Path, public: Path) -> None:
    plan = toy_plan("ppo", steps=80, checkpoint_seconds=0.2, limits={"seconds": 3600})
    whole = make_job(tmp_path / "whole", base, public, plan)
    undisturbed, _ = run_job(whole)
    job = make_job(tmp_path / "killed", base, public, plan)
    with subprocess.Popen(argv(job), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step ") and (job.work / CHECKPOINT).exists():
                process.kill()
                break
    assert process.wait() == -signal.SIGKILL
    done = subprocess.run(argv(job), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stdout
    outcome = TrainingOutcome.model_validate_json((job.out / OUTCOME_FILE).read_bytes())
    assert (outcome.ended, outcome.steps) == (undisturbed.ended, undisturbed.steps)
    a, b = load_file(whole.out / ADAPTER_WEIGHTS), load_file(job.out / ADAPTER_WEIGHTS)
    assert a.keys() == b.keys()
    assert all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)
    steps = [json.loads(line)["step"] for line in (job.out / METRICS_FILE).read_text().splitlines()]
    assert steps == list(range(1, undisturbed.steps + 1))


def test_a_full_disk_ends_the_update_and_keeps_what_was_saved(tmp_path: Path, base: Path, public: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        job = make_job(tmp_path, base, public, toy_plan("cloning", checkpoint_seconds=1, steps=2000))
        job = Job(**{**vars(job), "work": disk / "checkpoints"})
        (disk / "ballast").write_bytes(b"x" * 250_000)
        outcome, _ = run_job(job)
        assert outcome.ended == "disk full"
        assert outcome.adapter == (job.out / ADAPTER_WEIGHTS).exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_refusal_has_an_exit_status_of_its_own(tmp_path: Path, base: Path, public: Path) -> None:
    job = make_job(tmp_path, base, public, toy_plan("cloning", steps=10**9))
    done = subprocess.run(argv(job), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == REFUSED
    assert done.stdout.strip().startswith("refused: steps")
    assert not done.stderr.strip()
