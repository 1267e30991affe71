"""The model being trained: a frozen base with a LoRA adapter, on one GPU or on the CPU by the same code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from sia.weights.outcome import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from sia.weights.plan import Lora, PlanError, TrainingPlan

REFERENCE = "reference"
SHORT_PROMPT = 256
"""Tokens, of the plan's longest prompt."""


@dataclass(frozen=True)
class Policy:
    """What is trained, with its tokenizer."""

    model: Any
    """A peft model whose active adapter is trained."""
    tokenizer: Any
    device: torch.device
    stacked: bool
    """Whether training began from an adapter, which is then the reference; else the bare base is."""
    value_head: nn.Linear
    """PPO's estimate of what is still to come, from the last hidden state; part of no adapter."""
    context: int
    """Positions that the base can attend to."""

    def parameters(self) -> list[nn.Parameter]:
        """Everything that the optimiser may change."""
        return [p for p in self.model.parameters() if p.requires_grad] + list(self.value_head.parameters())

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        """The model as it was at the start, without gradients."""
        with torch.no_grad():
            if not self.stacked:
                with self.model.disable_adapter():
                    yield
                return
            self.model.set_adapter(REFERENCE)
            try:
                yield
            finally:
                self.model.set_adapter("default")


def load_policy(base: Path, plan: TrainingPlan, parent: Path | None) -> Policy:
    """Base, tokenizer and a fresh adapter, or a copy of the parent's. Raises PlanError when they do not fit together.

    The weights are 16-bit where the machine computes with them, else 32-bit; the adapter is always 32-bit.
    """
    logging.disable_progress_bar()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    # Torch's fused attention is made for long texts: on a CPU its way back takes a fifth of a short text's step.
    plain = device.type == "cpu" and plan.prompt_tokens <= SHORT_PROMPT
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=compute_dtype(device),
        local_files_only=True,
        attn_implementation="eager" if plain else "sdpa",
    ).to(device)
    # Of a slice of positions torch would multiply each row with a copy of the head: half of a step's time.
    model.get_output_embeddings().register_forward_pre_hook(lambda head, given: (given[0].contiguous(), *given[1:]))
    context = int(getattr(model.config, "max_position_embeddings", 0) or 1 << 30)
    if plan.prompt_tokens + plan.answer_tokens > context:
        raise PlanError(f"prompt_tokens + answer_tokens is above the {context} positions of the base model")
    torch.manual_seed(plan.seed)
    if parent is None:
        model = get_peft_model(model, _fresh(plan.lora, model))
    else:
        model = _from_parent(model, plan.lora, parent)
    if plan.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    value_head = nn.Linear(model.config.hidden_size, 1).to(device)
    nn.init.zeros_(value_head.weight)
    nn.init.zeros_(value_head.bias)
    return Policy(model, tokenizer, device, parent is not None, value_head, context)


def compute_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return torch.float32
    return torch.bfloat16 if "avx512_bf16" in flags or "amx_bf16" in flags else torch.float32


def check_adapter(folder: Path) -> None:
    """Raises PlanError unless the folder holds an adapter with finite weights."""
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        weights = load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise PlanError(f"the parent adapter is damaged: {error}") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise PlanError("the parent adapter is no LoRA adapter")
    if not weights or not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise PlanError("the parent adapter is damaged: its weights are empty or not finite")


def _fresh(lora: Lora, model: PreTrainedModel) -> LoraConfig:
    linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for target in lora.targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            known = sorted({name.rpartition(".")[2] for name in linear})
            raise PlanError(f"lora.targets: the base has no linear layer {target!r}; it has {', '.join(known)}")
    targets: list[str] | str = list(lora.targets) or "all-linear"
    layers = None
    if lora.top_layers is not None:
        count = int(model.config.num_hidden_layers)
        if lora.top_layers > count:
            raise PlanError(f"lora.top_layers is {lora.top_layers}, the base has {count} blocks")
        layers = list(range(count - lora.top_layers, count))
        # peft takes no layers beside a word for all; the head lies in no block.
        head = model.get_output_embeddings()
        blocks = {name for name in linear if model.get_submodule(name) is not head}
        targets = list(lora.targets) or sorted({name.rpartition(".")[2] for name in blocks})
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=layers,
        task_type="CAUSAL_LM",
    )


def _from_parent(model: PreTrainedModel, lora: Lora, parent: Path) -> PeftModel:
    """Goes on from the parent's weights. The child's form is the parent's: a plan that asks for another is refused."""
    check_adapter(parent)
    peft = PeftModel.from_pretrained(model, parent, is_trainable=True)
    config = peft.peft_config["default"]
    if config.r != lora.rank or config.lora_alpha != lora.alpha:
        raise PlanError(
            f"the parent adapter has rank {config.r} and alpha {config.lora_alpha}, the plan asks for {lora.rank} and "
            f"{lora.alpha}; an adapter that goes on from another keeps its form"
        )
    peft.load_adapter(parent, adapter_name=REFERENCE, is_trainable=False)
    peft.set_adapter("default")
    return peft
