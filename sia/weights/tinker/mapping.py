"""What of a plan Tinker can carry out, and by which of its losses. What it cannot is refused before training.

| algorithm            | loss                | what each token gets                                              |
|----------------------|---------------------|-------------------------------------------------------------------|
| cloning (tokens)     | cross_entropy       | weight 1 / B                                                      |
| best-of-n            | cross_entropy       | weight 1 / winners on the best answer of each group               |
| reinforce, entropic  | importance_sampling | advantage A_n / M                                                 |
| grpo                 | ppo                 | advantage A_n / (T_n M), thresholds 1 - clip and 1 + clip         |
| dpo                  | custom              | its loss is computed here; Tinker gets d loss / d log p(y_t)      |

B examples, M answers, T_n tokens of answer n. Tinker adds up over tokens, so that the divisors make the means of the
formulas in `sia.weights.algorithms`. A KL penalty enters through the advantage: at the model that drew the answers, the
gradient of k KL_t is k (1 - q/p) d log p(y_t), so A_t = A_n - k (1 - exp(log q - log p)). That is exact for the one
pass over each batch, and is refused with more.
"""

import torch
from torch import Tensor

from sia.weights.algorithms.best_of_n import best_weights
from sia.weights.algorithms.entropic import entropic_advantages
from sia.weights.algorithms.grpo import group_advantages
from sia.weights.algorithms.reinforce import leave_one_out
from sia.weights.plan import Lora, PlanError, TrainingPlan

ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "o_proj"})
MLP = frozenset({"gate_proj", "up_proj", "down_proj"})


def check_plan(plan: TrainingPlan) -> None:
    """Raises PlanError for the first thing that Tinker cannot do, and says what to write instead."""
    if problem := _impossible(plan) or _impossible_lora(plan.lora):
        raise PlanError(problem)


def adapted_layers(lora: Lora) -> tuple[bool, bool]:
    """Whether attention layers are adapted, and whether MLP layers are."""
    targets = frozenset(lora.targets)
    return not targets or targets >= ATTENTION, not targets or targets >= MLP


def group_weights(plan: TrainingPlan, rewards: Tensor) -> Tensor:
    """`rewards` [G, N] to the weight or advantage of each answer [G, N], divided as the table says but for T_n."""
    if plan.algorithm == "best-of-n":
        weights = best_weights(rewards)
        return weights / weights.sum().clamp(min=1.0)
    if plan.algorithm == "entropic":
        return entropic_advantages(rewards, plan.entropy_budget) / rewards.numel()
    if plan.algorithm == "grpo":
        return group_advantages(rewards) / rewards.numel()
    return leave_one_out(rewards) / rewards.numel()


def kl_advantages(logp: Tensor, reference: Tensor, kl_weight: float) -> Tensor:
    """What the KL penalty adds to the advantage of each token, [T] from log-likelihoods [T]."""
    return -kl_weight * (1.0 - torch.exp(reference - logp))


def _impossible(plan: TrainingPlan) -> str | None:
    if not plan.data.chat:
        return "data.chat: a model at Tinker is asked by chat messages only; set it to true"
    if plan.algorithm == "ppo":
        return "ppo learns a value function, and Tinker trains adapters only; take grpo or reinforce"
    wanted = "actions" if plan.on_policy else "loss" if plan.algorithm == "cloning" else None
    if wanted and getattr(plan, wanted) == "choices":
        other = "text" if wanted == "actions" else "tokens"
        return f"{wanted} = choices needs the likelihood of every choice, and a model at Tinker writes; take {other!r}"
    if plan.on_policy and plan.temperature != 1.0:
        return "temperature: Tinker's losses take answers that were drawn at temperature 1"
    if plan.on_policy and plan.kl_weight and plan.epochs > 1:
        return "kl_weight with epochs above 1: Tinker's losses have no KL term, see docs/weights.md; take one of them"
    if plan.kl_weight and plan.algorithm == "best-of-n":
        return "kl_weight has no meaning for best-of-n"
    return None


def _impossible_lora(lora: Lora) -> str | None:
    if lora.dropout:
        return "lora.dropout: Tinker trains without dropout"
    if lora.top_layers is not None:
        return "lora.top_layers: Tinker adapts all blocks"
    if lora.alpha != Lora().alpha:
        return "lora.alpha: Tinker scales its adapters itself; leave it out"
    if frozenset(lora.targets) not in (frozenset(), ATTENTION, MLP, ATTENTION | MLP):
        names = ", ".join(sorted(ATTENTION)), ", ".join(sorted(MLP))
        return f"lora.targets: Tinker adapts all attention layers ({names[0]}), all MLP layers ({names[1]}), or both"
    return None
