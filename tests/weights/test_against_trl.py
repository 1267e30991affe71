"""Losses and gradients of SFT, GRPO and DPO against trl's trainers, on the same model and the same batch.

trl is an independent reference here and no part of SIA.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, LlamaForCausalLM

from sia.weights.algorithms.cloning import token_loss
from sia.weights.algorithms.dpo import dpo_loss
from sia.weights.algorithms.grpo import group_advantages, grpo_loss
from sia.weights.model import Policy
from sia.weights.scoring import score_answers
from tests.weights.toy import make_base

pytestmark = pytest.mark.slow
PROMPTS = [[4, 10, 12], [4, 11, 13, 12], [5, 12], [6, 7, 8, 12]]
ANSWERS = [[10, 2], [11, 14, 2], [10], [15, 11, 2]]
OTHERS = [[11, 2], [10, 2], [11, 11, 2], [10]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "model")


def policy_of(base: Path, model: LlamaForCausalLM) -> Policy:
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    return Policy(model, tokenizer, torch.device("cpu"), False, nn.Linear(32, 1), 512)


def moved(base: Path) -> LlamaForCausalLM:
    """A model some way from the start, so that ratios and margins are not trivial."""
    model = LlamaForCausalLM.from_pretrained(base, local_files_only=True)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def agree(ours: nn.Module, our_loss: Tensor, theirs: nn.Module, their_loss: Tensor) -> None:
    assert float(our_loss.detach()) == pytest.approx(float(their_loss.detach()), rel=1e-4)
    a, b = gradients(ours, our_loss), gradients(theirs, their_loss)
    assert a.keys() == b.keys()
    assert max(float(g.abs().max()) for g in a.values()) > 1e-3
    for name in a:
        assert torch.allclose(a[name], b[name], atol=1e-5, rtol=1e-3), name


def padded(rows: Sequence[list[int]], left: bool) -> tuple[Tensor, Tensor]:
    """Token ids and their mask, [B, T]."""
    width = max(map(len, rows))
    gaps = [[0] * (width - len(row)) for row in rows]
    ids = [gap + row if left else row + gap for row, gap in zip(rows, gaps, strict=True)]
    mask = [
        [0] * len(gap) + [1] * len(row) if left else [1] * len(row) + [0] * len(gap)
        for row, gap in zip(rows, gaps, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(mask)


def settings(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }


def test_cloning_is_sft(tmp_path: Path, base: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    ours = moved(base)
    scored = score_answers(policy_of(base, ours), PROMPTS, ANSWERS)
    # trl takes the mean over tokens, SIA over sequences.
    loss = token_loss(scored.logp, scored.mask) * len(ANSWERS) / scored.mask.sum()
    trainer = SFTTrainer(
        model=copy.deepcopy(ours),
        args=SFTConfig(**settings(tmp_path)),
        train_dataset=Dataset.from_list([{"text": "sun"}]),
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True),
    )
    rows = [p + a for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    ids, mask = padded(rows, left=False)
    labels, _ = padded([[-100] * len(p) + a for p, a in zip(PROMPTS, ANSWERS, strict=True)], left=False)
    labels = labels.masked_fill(mask == 0, -100)
    trainer.model.eval()
    their = trainer.compute_loss(trainer.model, {"input_ids": ids, "attention_mask": mask, "labels": labels})
    agree(ours, loss, trainer.model, their)


def test_grpo_is_trls(tmp_path: Path, base: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    ours, start = moved(base), LlamaForCausalLM.from_pretrained(base, local_files_only=True)
    rewards = torch.tensor([[1.0, 0.0], [0.3, 0.9]])
    advantages = group_advantages(rewards).reshape(-1)
    policy = policy_of(base, ours)
    scored = score_answers(policy, PROMPTS, ANSWERS)
    with torch.no_grad():
        reference = score_answers(policy_of(base, start), PROMPTS, ANSWERS).logp
    old = reference + 0.3 * torch.randn_like(reference)
    loss = grpo_loss(scored.logp, old, scored.mask, advantages, 0.2, reference, 0.04)
    trainer = GRPOTrainer(
        model=copy.deepcopy(ours),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        # The KL term as in the paper, equation 4: trl would multiply it by the ratio.
        args=GRPOConfig(
            **settings(tmp_path),
            num_generations=2,
            beta=0.04,
            epsilon=0.2,
            loss_type="grpo",
            use_bias_correction_kl=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": "sun"}] * 4),
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True),
    )
    trainer.current_gradient_accumulation_steps = 1
    (prompts, prompt_mask), (answers, answer_mask) = padded(PROMPTS, left=True), padded(ANSWERS, left=False)
    inputs = {
        "prompt_ids": prompts,
        "prompt_mask": prompt_mask,
        "completion_ids": answers,
        "completion_mask": answer_mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }
    their = trainer._compute_loss(trainer.model, inputs)
    agree(ours, loss, trainer.model, their)


def test_dpo_is_trls(tmp_path: Path, base: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    ours, start = moved(base), LlamaForCausalLM.from_pretrained(base, local_files_only=True)

    def whole(model: LlamaForCausalLM, answers: list[list[int]]) -> Tensor:
        scored = score_answers(policy_of(base, model), PROMPTS, answers)
        return (scored.logp * scored.mask).sum(dim=1)

    with torch.no_grad():
        references = whole(start, ANSWERS), whole(start, OTHERS)
    loss = dpo_loss(whole(ours, ANSWERS), whole(ours, OTHERS), *references, 0.3)
    trainer = DPOTrainer(
        model=copy.deepcopy(ours),
        ref_model=start,
        args=DPOConfig(**settings(tmp_path), beta=0.3),
        train_dataset=Dataset.from_list([{"prompt": "sun", "chosen": " yes", "rejected": " no"}]),
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True),
    )
    pairs = [(p, a) for answers in (ANSWERS, OTHERS) for p, a in zip(PROMPTS, answers, strict=True)]
    ids, mask = padded([p + a for p, a in pairs], left=False)
    completion, _ = padded([[0] * len(p) + [1] * len(a) for p, a in pairs], left=False)
    inputs = {"input_ids": ids, "attention_mask": mask, "completion_mask": completion}
    trainer.model.eval()
    their = trainer._compute_loss(trainer.model, inputs, return_outputs=False)
    agree(ours, loss, trainer.model, their)
