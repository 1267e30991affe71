"""Prompts and answers in tokens: the one place where text meets them.

An answer's tokens are those of its text alone, appended to the prompt's: the same rule by which answers are scored when
the model is served, so that what is trained is what is asked later.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from sia.weights.plan import PlanError, TrainingPlan

Tokens = list[int]


class Tokenizer(Protocol):
    """A tokenizer of transformers, as far as training needs it."""

    @property
    def chat_template(self) -> object:
        """None: the model is no chat model."""
        ...

    @property
    def bos_token_id(self) -> int | None:
        """The first token of every text, where the model has one."""
        ...

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends an answer."""
        ...

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> Any:  # noqa: ANN401 - transformers' own type
        """`input_ids` and more."""
        ...

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> Any:  # noqa: ANN401 - transformers' own type
        """The messages as one text."""
        ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> Any:  # noqa: ANN401
        """The text of tokens."""
        ...


def prompt_tokens(tokenizer: Tokenizer, plan: TrainingPlan, prompt: str) -> Tokens:
    """The prompt as the served model would get it, cut at its beginning where it is too long."""
    if plan.data.chat:
        if not tokenizer.chat_template:
            raise PlanError("data.chat: the base model has no chat template")
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids: Tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer(prompt)["input_ids"]
    if not ids:
        raise PlanError("data.prompt gives an empty prompt")
    if len(ids) <= plan.prompt_tokens:
        return ids
    first = ids[:1] if ids[0] == tokenizer.bos_token_id else []
    return first + ids[len(ids) - plan.prompt_tokens + len(first) :]


def answer_tokens(tokenizer: Tokenizer, plan: TrainingPlan, answer: str, ended: bool) -> Tokens:
    """The answer behind its prefix; `ended` appends the end-of-text token, which a generated answer needs to stop."""
    ids: Tokens = tokenizer(plan.data.prefix + answer, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    return ids[: plan.answer_tokens] + ([end] if ended and end is not None else [])
