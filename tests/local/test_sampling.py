"""Answers token by token: whatever is held back for a stop text is told in the end, and nothing after it."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel

from sia.local.sampling import Answer, Sampling

LETTERS = "abc"
END = len(LETTERS)


def tokenizer() -> Tokenizer:
    made = Tokenizer(WordLevel({letter: k for k, letter in enumerate(LETTERS)} | {"<end>": END}, unk_token="<end>"))
    made.decoder = Fuse()
    return made


def write(text: str, sampling: Sampling) -> tuple[list[str], str | None]:
    """The pieces that are told when the model wants to write `text`, and how it ended."""
    answer = Answer(0, 1, sampling, {END}, tokenizer())
    pieces, finish = [], None
    for token in [*(LETTERS.index(letter) for letter in text), END]:
        delta = answer.take(torch.nn.functional.one_hot(torch.tensor(token), END + 1).float())
        pieces.append(delta.text)
        finish = delta.finish
        if finish:
            break
    return pieces, finish


@given(st.text(LETTERS, max_size=30), st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=3))
def test_text_is_told_up_to_the_first_stop(text: str, stops: list[str]) -> None:
    pieces, finish = write(text, Sampling(max_tokens=100, temperature=0, stop=tuple(stops)))
    # The stop that is complete first ends the answer, and where two are, the one that began first.
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    expected = text
    if ends:
        seen = text[: ends[0]]
        expected = seen[: min(seen.find(stop) for stop in stops if stop in seen)]
    assert "".join(pieces) == expected
    assert finish == "stop"


@given(st.text(LETTERS, min_size=1, max_size=30), st.integers(1, 30))
def test_limit_ends_the_answer(text: str, limit: int) -> None:
    pieces, finish = write(text, Sampling(max_tokens=limit, temperature=0, stop=("aaaa" * 10,)))
    assert "".join(pieces) == text[:limit]
    assert finish == ("length" if limit <= len(text) else "stop")


@given(st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_top_p_draws_from_the_most_probable(seed: int, top_p: float) -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    kept = [k for k, before in enumerate([0, 0.5, 0.8, 0.95]) if before < top_p]
    answer = Answer(0, 1, Sampling(max_tokens=100, top_p=top_p, seed=seed, top_logprobs=0), {END}, tokenizer())
    delta = answer.take(probabilities.log())
    assert delta.logprob
    assert delta.logprob.token in kept
    assert delta.logprob.logprob == float(probabilities.log().log_softmax(dim=-1)[delta.logprob.token])
