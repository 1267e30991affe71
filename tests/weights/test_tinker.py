"""Training at Tinker: its own client, against a double of the service that trains the toy model."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sia.gateway.providers import TokenPrices
from sia.weights.algorithms.reinforce import kl_estimate
from sia.weights.outcome import METRICS_FILE, StepMetrics, TrainingOutcome
from sia.weights.plan import PlanError
from sia.weights.rewards import reward_of
from sia.weights.tinker.engine import CHECKPOINT_FILE, RemoteJob
from sia.weights.tinker.mapping import check_plan, kl_advantages
from sia.weights.tinker.reference import read_reference
from sia.weights.tinker.training import train_remotely
from tests.weights.tinker_service import KEY, MODEL, TinkerDouble, loss_of, make_chat_base, tinker_double
from tests.weights.toy import make_public, parsed, toy_plan

PRICES = TokenPrices(input=1000.0, output=3000.0, train=2000.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The double's threads would wait for each other's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_chat_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_public(tmp_path_factory.mktemp("data") / "public")


@pytest.fixture
def double(base: Path) -> Iterator[TinkerDouble]:
    with tinker_double(base) as service:
        yield service


def chat_plan(algorithm: str, **more: object) -> dict[str, object]:
    """A plan that Tinker can carry out."""
    data = toy_plan(algorithm)["data"] | {"chat": True, "validation": 0.25}  # type: ignore[operator]
    wanted = {"loss": "tokens", "actions": "text", "lora": {"rank": 8}, "batch": 6, "steps": 12, "group_size": 6}
    return toy_plan(algorithm, data=data, optimiser={"learning_rate": 0.01}) | wanted | more


def make_remote_job(
    folder: Path, double: TinkerDouble, public: Path, plan: dict[str, object], **more: object
) -> RemoteJob:
    """A job at the double; rewards are computed in this process."""
    parsed_plan = parsed(plan)
    reward = reward_of(parsed_plan, public, folder)
    given: dict[str, object] = {
        "plan": parsed_plan,
        "base_model": MODEL,
        "public": public,
        "author": folder,
        "parent": None,
        "out": folder / "out",
        "work": folder / "work",
        "grade": lambda groups: [reward(answers, example) for answers, example in groups],
        "key": KEY,
        "url": double.url,
        "prices": None,
        "most_cost": None,
    }
    return RemoteJob(**given | more)  # type: ignore[arg-type]


def run_remote(job: RemoteJob) -> tuple[TrainingOutcome, list[str]]:
    lines: list[str] = []
    return train_remotely(job, lines.append), lines


LOSSES = {
    "cloning": {"cross_entropy"},
    "best-of-n": {"cross_entropy"},
    "reinforce": {"importance_sampling"},
    "entropic": {"importance_sampling"},
    "grpo": {"ppo"},
}


@pytest.mark.parametrize("algorithm", LOSSES)
def test_algorithms_raise_the_reward_by_losses_of_tinker(
    algorithm: str, tmp_path: Path, double: TinkerDouble, public: Path
) -> None:
    more: dict[str, dict[str, object]] = {"grpo": {"epochs": 2}, "reinforce": {"kl_weight": 0.01}}
    steps = 8 if algorithm == "cloning" else 16
    job = make_remote_job(tmp_path, double, public, chat_plan(algorithm, steps=steps, **more.get(algorithm, {})))
    outcome, lines = run_remote(job)
    assert outcome.ended in ("finished", "solved"), lines
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after >= outcome.before + 0.3
    assert {loss for model in double.models.values() for loss in model.loss_fns} == LOSSES[algorithm]
    adapter = read_reference(job.out)
    assert adapter.sampler in double.saved
    assert adapter.state in double.saved
    metrics = [StepMetrics.model_validate_json(x) for x in (job.out / METRICS_FILE).read_text().splitlines()]
    assert [line.step for line in metrics] == list(range(1, outcome.steps + 1))
    assert all((line.kl is not None) == (algorithm == "reinforce") for line in metrics)
    assert not double.refused


def test_dpo_prefers_the_right_answer(tmp_path: Path, double: TinkerDouble, public: Path) -> None:
    job = make_remote_job(tmp_path, double, public, chat_plan("dpo", steps=14, dpo_beta=1.0))
    run_remote(job)
    metrics = [StepMetrics.model_validate_json(x) for x in (job.work / METRICS_FILE).read_text().splitlines()]
    assert (metrics[0].reward or 0.0) < 0.9
    assert metrics[0].loss == pytest.approx(0.6931, abs=1e-3)
    assert metrics[-1].loss < 0.5
    assert sum(line.reward or 0.0 for line in metrics[-3:]) / 3 > 0.8


def test_goes_on_from_the_parent_and_after_a_kill(tmp_path: Path, double: TinkerDouble, public: Path) -> None:
    first = make_remote_job(tmp_path / "first", double, public, chat_plan("cloning", steps=8))
    run_remote(first)
    parent = read_reference(first.out)
    child = make_remote_job(tmp_path / "child", double, public, chat_plan("cloning", steps=2), parent=parent)
    outcome, _ = run_remote(child)
    assert outcome.before == 1.0
    assert double.paths("load_weights") == ["load_weights"]
    other = make_remote_job(tmp_path / "other", double, public, chat_plan("cloning", lora={"rank": 4}), parent=parent)
    assert "keeps its form" in run_remote(other)[0].reason

    killed = make_remote_job(tmp_path / "killed", double, public, chat_plan("cloning", steps=6, checkpoint_seconds=0.1))
    steps = 0

    def fail(path: str) -> str | None:
        nonlocal steps
        steps += path == "optim_step"
        return "out of order" if steps > 3 else None

    double.fail = fail
    outcome, _ = run_remote(killed)
    assert outcome.ended == "service failed"
    assert "step 4" in outcome.reason
    assert "out of order" in outcome.reason
    assert (killed.work / CHECKPOINT_FILE).exists()
    double.fail = lambda path: None
    outcome, lines = run_remote(killed)
    assert outcome.ended == "finished"
    assert outcome.steps == 6
    assert any(line.startswith("going on from step ") for line in lines)
    marks = json.loads((killed.work / CHECKPOINT_FILE).read_text())
    del double.saved[marks["state"]]
    outcome, lines = run_remote(killed)
    assert any("cannot be loaded, the training begins anew" in line for line in lines)
    assert outcome.steps == 6


def test_costs_are_metered_and_bind(tmp_path: Path, double: TinkerDouble, public: Path) -> None:
    plan = chat_plan("cloning", steps=8)
    free, _ = run_remote(make_remote_job(tmp_path / "a", double, public, plan, prices=PRICES))
    assert free.ended == "finished"
    trained = sum(
        len(datum.model_input[0].encoded_text.tokens) // 4
        for path, body in double.calls
        if path == "forward_backward"
        for datum in body.data
    )
    assert trained * 2000.0 / 1e6 < free.cost < free.tokens * 3000.0 / 1e6
    capped, lines = run_remote(
        make_remote_job(tmp_path / "b", double, public, plan, prices=PRICES, most_cost=free.cost / 2)
    )
    assert capped.ended == "cost limit" or any("shortened" in line for line in lines)
    assert 0 < capped.steps < 8
    assert capped.cost <= free.cost
    unknown, _ = run_remote(make_remote_job(tmp_path / "c", double, public, plan, most_cost=1.0))
    assert unknown.ended == "refused"
    assert "providers.tinker.prices" in unknown.reason


@pytest.mark.parametrize(
    ("algorithm", "more", "words"),
    [
        ("ppo", {}, "value function"),
        ("grpo", {"actions": "choices"}, "actions = choices"),
        ("cloning", {"loss": "choices"}, "loss = choices"),
        ("grpo", {"temperature": 0.7}, "temperature"),
        ("grpo", {"kl_weight": 0.1, "epochs": 2}, "kl_weight with epochs"),
        ("best-of-n", {"kl_weight": 0.1}, "best-of-n"),
        ("cloning", {"lora": {"dropout": 0.1}}, "dropout"),
        ("cloning", {"lora": {"top_layers": 2}}, "top_layers"),
        ("cloning", {"lora": {"alpha": 8}}, "alpha"),
        ("cloning", {"lora": {"targets": ["q_proj"]}}, "all attention layers"),
        ("cloning", {"data": toy_plan("cloning")["data"]}, "data.chat"),
    ],
)
def test_what_tinker_cannot_do_is_refused_before_training(algorithm: str, more: dict[str, object], words: str) -> None:
    check_plan(parsed(chat_plan("cloning")))
    with pytest.raises(PlanError, match=words):
        check_plan(parsed(chat_plan(algorithm, **more)))


def test_the_kl_advantage_has_the_gradient_of_the_penalty() -> None:
    old, reference = torch.randn(5), torch.randn(5)
    logp = old.clone().requires_grad_()
    (0.3 * kl_estimate(logp, reference).sum()).backward()
    assert logp.grad is not None
    ours = old.clone().requires_grad_()
    loss_of(
        "importance_sampling", ours, {"logprobs": old, "advantages": kl_advantages(old, reference, 0.3)}, {}
    ).backward()
    assert torch.allclose(logp.grad, ours.grad, atol=1e-6)


def test_a_key_that_tinker_refuses_is_told(tmp_path: Path, double: TinkerDouble, public: Path) -> None:
    outcome, _ = run_remote(make_remote_job(tmp_path, double, public, chat_plan("cloning"), key="tml-wrong"))
    assert outcome.ended == "service failed"
    assert "401" in outcome.reason or "no such key" in outcome.reason
    assert "tml-wrong" not in outcome.reason
