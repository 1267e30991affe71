"""Losses and advantages against values computed by hand, finite differences, and a toy whose optimum is known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, tensor

from sia.weights.algorithms.best_of_n import best_of_n_loss, best_weights
from sia.weights.algorithms.cloning import choice_loss, token_loss
from sia.weights.algorithms.dpo import dpo_loss
from sia.weights.algorithms.entropic import entropic_advantages
from sia.weights.algorithms.grpo import group_advantages, grpo_loss
from sia.weights.algorithms.ppo import gae, ppo_loss, token_rewards, whitened
from sia.weights.algorithms.reinforce import kl_estimate, leave_one_out, reinforce_loss

MASK = tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
LOGP = tensor([[-1.0, -2.0, -9.0], [-0.5, -9.0, -9.0]], dtype=torch.float64)


def test_cloning_is_the_mean_likelihood_of_whole_answers() -> None:
    assert float(token_loss(LOGP, MASK)) == pytest.approx((3.0 + 0.5) / 2)


def test_choice_loss_normalises_over_the_choices() -> None:
    scores = tensor([[math.log(0.02), math.log(0.06)]])
    assert float(choice_loss(scores, tensor([0]))) == pytest.approx(-math.log(0.25))


def test_best_of_n_takes_the_first_best_of_groups_that_differ() -> None:
    weights = best_weights(tensor([[0.0, 1.0, 1.0], [0.5, 0.5, 0.5]]))
    assert weights.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert float(best_of_n_loss(LOGP, MASK, tensor([1.0, 0.0]))) == pytest.approx(3.0)
    assert float(best_of_n_loss(LOGP, MASK, tensor([0.0, 0.0]))) == 0.0


def test_leave_one_out_compares_with_the_others() -> None:
    assert leave_one_out(tensor([[1.0, 0.0, 0.0]])).tolist() == [pytest.approx([1.0, -0.5, -0.5])]


def test_reinforce_weighs_whole_answers_and_pulls_to_the_reference() -> None:
    advantages = tensor([1.0, -2.0], dtype=torch.float64)
    assert float(reinforce_loss(LOGP, MASK, advantages)) == pytest.approx((3.0 - 2.0 * 0.5) / 2)
    reference = LOGP - math.log(2.0)
    kl = 0.5 + math.log(2.0) - 1.0
    pulled = reinforce_loss(LOGP, MASK, advantages, reference, kl_weight=0.1)
    assert float(pulled) == pytest.approx(1.0 + 0.1 * (2 * kl + kl) / 2)


def test_kl_estimate_is_unbiased() -> None:
    p, q = tensor([0.7, 0.2, 0.1]), tensor([0.3, 0.3, 0.4])
    expected = float((p * kl_estimate(p.log(), q.log())).sum())
    assert expected == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-6)


def test_group_advantages_have_mean_zero_and_deviation_one() -> None:
    found = group_advantages(tensor([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]))
    assert found[0].tolist() == pytest.approx([-1.0, 0.0, 1.0], abs=1e-3)
    assert found[1].tolist() == [0, 0, 0]


def test_grpo_clips_the_ratio_where_that_is_the_lower_bound() -> None:
    old, mask = tensor([[0.0], [0.0]]), torch.ones(2, 1)
    logp = tensor([[math.log(1.5)], [math.log(1.5)]])
    loss = grpo_loss(logp, old, mask, tensor([1.0, -1.0]), clip=0.2)
    assert float(loss) == pytest.approx(-(1.2 - 1.5) / 2)


def test_gae_by_hand() -> None:
    rewards, values = tensor([[0.0, 1.0, 5.0]]), tensor([[0.5, 0.25, 7.0]])
    advantages, returns = gae(rewards, values, tensor([[1.0, 1.0, 0.0]]), gae_lambda=0.5)
    last = 1.0 - 0.25
    first = (0.25 - 0.5) + 0.5 * last
    assert advantages.tolist() == [pytest.approx([first, last, 0.0])]
    assert returns.tolist() == [pytest.approx([first + 0.5, 1.0, 0.0])]


def test_ppo_rewards_come_with_the_last_token_minus_kl() -> None:
    found = token_rewards(tensor([1.0, 2.0]), LOGP.float(), LOGP.float() - 0.5, MASK.float(), kl_weight=0.1)
    assert found[0].tolist() == pytest.approx([-0.05, 0.95, 0.0])
    assert found[1].tolist() == pytest.approx([1.95, 0.0, 0.0])


def test_ppo_whitens_what_the_mask_keeps() -> None:
    found = whitened(tensor([[1.0, 3.0, 100.0]]), tensor([[1.0, 1.0, 0.0]]))
    assert found[0].tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=1e-4)


def test_entropic_weights_meet_the_budget_and_find_the_best() -> None:
    rewards = tensor([[0.0, 0.1, 0.2, 1.0], [0.3, 0.3, 0.3, 0.3], [-5.0, 10.0, 20.0, 0.0]], dtype=torch.float64)
    found = entropic_advantages(rewards, budget=0.5)
    assert found.sum(dim=1).tolist() == pytest.approx([0, 0, 0], abs=1e-9)
    assert found[1].tolist() == [0, 0, 0, 0]
    share = (found[0] + 1) / 4
    assert float((share * (4 * share).log()).sum()) == pytest.approx(0.5, abs=1e-6)
    assert int(found[2].argmax()) == 2


def test_entropic_advantages_do_not_depend_on_the_scale_of_the_reward() -> None:
    rewards = tensor([[0.0, 0.4, 1.0]], dtype=torch.float64)
    assert torch.allclose(entropic_advantages(rewards, 0.3), entropic_advantages(1000 * rewards - 7, 0.3))


def test_entropic_budget_above_what_ties_allow_shares_the_weight() -> None:
    found = entropic_advantages(tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64), budget=3.0)
    assert found[0].tolist() == pytest.approx([1.0, 1.0, -1.0, -1.0])


def test_dpo_starts_at_ln_2_and_falls_with_the_margin() -> None:
    a, b = tensor([-1.0]), tensor([-2.0])
    assert float(dpo_loss(a, b, a, b, beta=0.1)) == pytest.approx(math.log(2.0))
    assert float(dpo_loss(a + 3.0, b, a, b, beta=0.5)) == pytest.approx(math.log(1.0 + math.exp(-1.5)))


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: token_loss(x, MASK),
        lambda x: choice_loss(x, tensor([2, 0])),
        lambda x: best_of_n_loss(x, MASK, tensor([1.0, 0.0], dtype=torch.float64)),
        lambda x: reinforce_loss(x, MASK, tensor([0.7, -0.3], dtype=torch.float64), LOGP + 0.1, 0.2),
        lambda x: grpo_loss(x, LOGP + 0.05, MASK, tensor([0.7, -0.3], dtype=torch.float64), 0.2, LOGP + 0.1, 0.3),
        lambda x: ppo_loss(x, LOGP + 0.05, 2 * x, MASK * 0.4, MASK, LOGP * 0.1, 0.2),
        lambda x: dpo_loss(x[:, 0], x[:, 1], LOGP[:, 0], LOGP[:, 1], 0.3),
    ],
    ids=["tokens", "choices", "best-of-n", "reinforce", "grpo", "ppo", "dpo"],
)
def test_gradients_agree_with_finite_differences(loss: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(loss, (LOGP.clone().requires_grad_(),))


def test_reinforce_gradient_is_that_of_the_expected_reward() -> None:
    """Summed over all actions by their probability, the estimator is the exact gradient of E[r]."""
    logits = tensor([0.2, -0.4, 0.9], dtype=torch.float64, requires_grad=True)
    rewards = tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    expected = torch.softmax(logits, dim=0) @ rewards
    (exact,) = torch.autograd.grad(expected, logits)
    logp = torch.log_softmax(logits, dim=0)
    chance = logp.exp().detach()
    terms = [
        chance[a] * reinforce_loss(logp[a].view(1, 1), torch.ones(1, 1), (rewards[a] - 0.4).view(1)) for a in range(3)
    ]
    (estimated,) = torch.autograd.grad(-torch.stack(terms).sum(), logits)
    assert torch.allclose(exact, estimated)


def objective(name: str, logp: Tensor, old: Tensor, rewards: Tensor) -> Tensor:
    """The loss of one on-policy algorithm on [G, N] actions of one token."""
    flat, before, mask = logp.reshape(-1, 1), old.reshape(-1, 1), torch.ones(logp.numel(), 1)
    if name == "best-of-n":
        return best_of_n_loss(flat, mask, best_weights(rewards).reshape(-1))
    if name == "grpo":
        return grpo_loss(flat, before, mask, group_advantages(rewards).reshape(-1), 0.2)
    if name == "ppo":
        advantages, returns = gae(rewards.reshape(-1, 1), torch.zeros_like(mask), mask, 0.95)
        return ppo_loss(flat, before, torch.zeros_like(mask), returns, mask, whitened(advantages, mask), 0.2)
    advantages = entropic_advantages(rewards, 0.7) if name == "entropic" else leave_one_out(rewards)
    return reinforce_loss(flat, mask, advantages.reshape(-1))


@pytest.mark.parametrize("name", ["best-of-n", "reinforce", "grpo", "ppo", "entropic"])
def test_finds_the_best_arm_of_a_bandit_within_100_steps(name: str) -> None:
    """Ten arms with rewards 0.0, 0.1 ... 0.9: the optimum is the last, uniform play earns 0.45."""
    torch.manual_seed(0)
    logits, payoff = torch.zeros(10, requires_grad=True), torch.arange(10) / 10
    optimiser = torch.optim.Adam([logits], lr=0.2)
    for _ in range(100):
        logp = torch.log_softmax(logits, dim=0)
        actions = torch.multinomial(logp.exp().detach(), 32, replacement=True).view(4, 8)
        loss = objective(name, logp[actions], logp[actions].detach(), payoff[actions])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(torch.softmax(logits, dim=0) @ payoff) > 0.8
