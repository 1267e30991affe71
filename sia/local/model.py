"""One language model in memory: text to tokens, tokens to logits, adapters over the base."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging

from sia.local.adapters import Adapters
from sia.local.api import Message

DType = Literal["auto", "bfloat16", "float32"]


class LanguageModel:
    """A causal language model with its tokenizer. Not thread-safe: one thread owns it."""

    def __init__(self, folder: Path, dtype: DType = "auto", adapters: Path | None = None) -> None:
        """Loads from disk only. `adapters` is a folder of LoRA adapters, each in a folder named by its digest."""
        logging.disable_progress_bar()
        self.dtype = torch.bfloat16 if dtype == "bfloat16" or (dtype == "auto" and _fast_bfloat16()) else torch.float32
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=self.dtype, local_files_only=True).eval()
        if self.dtype == torch.bfloat16:
            self.model.set_output_embeddings(_ExactHead(self.model.get_output_embeddings()))
        self.adapters = Adapters(self.model, adapters)
        self.context: int = self.model.config.max_position_embeddings
        ends = self.model.generation_config.eos_token_id
        self.ends = {*(ends if isinstance(ends, list) else [ends]), self.tokenizer.eos_token_id} - {None}

    def encode(self, text: str) -> list[int]:
        """The tokens of a piece of text, without any that mark a beginning."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def prompt(self, prompt: str | Sequence[Message]) -> list[int]:
        """The tokens after which the model answers.

        Messages go through the model's chat template; a last message of the assistant is continued. A model without a
        template gets their texts as paragraphs.
        """
        if isinstance(prompt, str):
            return list(self.tokenizer(prompt).input_ids)
        if self.tokenizer.chat_template is None:
            return list(self.tokenizer("\n\n".join(message.text for message in prompt)).input_ids)
        continued = prompt[-1].role == "assistant"
        rendered = self.tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.text} for message in prompt],
            tokenize=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
        )
        return self.encode(rendered)

    def forward(
        self,
        tokens: torch.Tensor,
        cache: DynamicCache,
        mask: torch.Tensor | None = None,
        positions: torch.Tensor | None = None,
        keep: int = 1,
    ) -> torch.Tensor:
        """Logits (rows, keep, vocabulary) in float32 at the last `keep` of `tokens` (rows, length); extends `cache`.

        `mask` (rows, cached length + length) is 0 where a row is padded.
        """
        more: dict[str, Any] = {}
        if mask is not None:
            more = {"attention_mask": mask, "position_ids": positions}
        output = self.model(input_ids=tokens, cache=cache, use_cache=True, logits_to_keep=keep, **more)
        logits: torch.Tensor = output.logits
        return logits.float()

    def embedding(self, tokens: Sequence[int]) -> list[float]:
        """Mean of the last hidden states over the tokens, scaled to length 1."""
        output = self.model(input_ids=torch.tensor([list(tokens)]), output_hidden_states=True, logits_to_keep=1)
        mean = output.hidden_states[-1][0].float().mean(dim=0)
        return [float(x) for x in mean / mean.norm().clamp_min(1e-12)]


class _ExactHead(torch.nn.Linear):
    """The last layer in float32: bfloat16 tells logits in steps of an eighth, and options to choose from would tie."""

    def __init__(self, head: torch.nn.Linear) -> None:
        super().__init__(head.in_features, head.out_features, bias=head.bias is not None, device="meta")
        self.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)
        if head.bias is not None:
            self.bias = torch.nn.Parameter(head.bias.detach().float(), requires_grad=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return super().forward(hidden.float())


def _fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by itself; else float32 is faster."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))
