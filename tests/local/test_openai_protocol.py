"""OpenAI's own client against a real server with a real model."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.local.conftest import NAME

pytestmark = pytest.mark.slow
CAPITAL: Any = [{"role": "user", "content": "What is the capital of France?"}]
STORY: Any = [{"role": "user", "content": "Tell a story about the sea."}]


def ask(client: openai.OpenAI, messages: list[dict[str, str]] = CAPITAL, **more: object) -> ChatCompletion:
    create: Any = client.chat.completions.create
    answer: ChatCompletion = create(model=NAME, messages=messages, **more)
    return answer


def text(answer: ChatCompletion, choice: int = 0) -> str:
    return answer.choices[choice].message.content or ""


def test_it_knows_a_capital(client: openai.OpenAI) -> None:
    answer = ask(client, temperature=0, max_tokens=30)
    assert "Paris" in text(answer)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream_holds_the_same_text(client: openai.OpenAI) -> None:
    whole = ask(client, STORY, seed=5, max_tokens=40)
    chunks = list(
        client.chat.completions.create(
            model=NAME, messages=STORY, seed=5, max_tokens=40, stream=True, stream_options={"include_usage": True}
        )
    )
    told = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in told) == text(whole)
    assert told[-1].finish_reason == "length"
    assert len(told) > 10
    assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize("stream", [False, True])
def test_stop_text_ends_the_answer_and_is_not_told(client: openai.OpenAI, stream: bool) -> None:
    more: Any = {"temperature": 0, "max_tokens": 30, "stop": ["France is", "Par"]}
    if stream:
        chunks = client.chat.completions.create(model=NAME, messages=CAPITAL, stream=True, **more)
        answer = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    else:
        answer = text(ask(client, **more))
    assert answer == "The capital of "


def test_seed_decides(client: openai.OpenAI) -> None:
    first, again, other = (text(ask(client, STORY, seed=seed, max_tokens=30)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_choices_differ_and_are_counted(client: openai.OpenAI) -> None:
    answer = ask(client, STORY, n=4, seed=3, max_tokens=20)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert len({text(answer, k) for k in range(4)}) > 1
    assert answer.usage
    assert answer.usage.completion_tokens <= 80


def test_logprobs_are_those_of_the_tokens_told(client: openai.OpenAI) -> None:
    told = ask(client, temperature=0, max_tokens=5, logprobs=True, top_logprobs=3).choices[0].logprobs
    assert told
    assert told.content
    assert len(told.content) == 5
    for token in told.content:
        best = max(token.top_logprobs, key=lambda entry: entry.logprob)
        assert best.token == token.token
        assert math.isclose(best.logprob, token.logprob)
        assert sum(math.exp(entry.logprob) for entry in token.top_logprobs) <= 1 + 1e-6


def test_begun_answer_is_continued(client: openai.OpenAI) -> None:
    begun = [*CAPITAL, {"role": "assistant", "content": "The capital of France is"}]
    assert text(ask(client, begun, temperature=0, max_tokens=3)).startswith(" Paris")


def test_plain_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=NAME, prompt="1, 2, 3, 4,", max_tokens=4, temperature=0)
    assert answer.choices[0].text.startswith(" 5")


def test_embeddings_have_length_one_and_know_likeness(client: openai.OpenAI) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on the couch.", "Interest rates rose by half a point."]
    cat, couch, rates = (entry.embedding for entry in client.embeddings.create(model=NAME, input=texts).data)
    assert math.isclose(sum(x * x for x in cat), 1, rel_tol=1e-5)

    def likeness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert likeness(cat, couch) > likeness(cat, rates)


def test_model_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [NAME]


@pytest.mark.parametrize(
    ("request_", "error", "told"),
    [
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": CAPITAL, "temperature": -1}, openai.BadRequestError, "temperature"),
        ({"messages": CAPITAL, "max_tokens": 0}, openai.BadRequestError, "max_tokens"),
        ({"messages": CAPITAL, "n": 1000}, openai.BadRequestError, "n"),
        ({"messages": CAPITAL, "stop": [""]}, openai.BadRequestError, "stop"),
        ({"messages": CAPITAL, "tools": [{"type": "function"}]}, openai.BadRequestError, "tools"),
        ({"messages": CAPITAL, "response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format"),
        ({"messages": [{"role": "user", "content": "sea " * 9000}]}, openai.BadRequestError, "context"),
        ({"messages": CAPITAL, "model": "gpt-4"}, openai.NotFoundError, "gpt-4"),
        ({"messages": CAPITAL, "extra_body": {"adapter": "../../etc"}}, openai.NotFoundError, "adapter"),
    ],
)
def test_requests_that_cannot_be_answered(
    client: openai.OpenAI, request_: dict[str, Any], error: type[openai.APIStatusError], told: str
) -> None:
    with pytest.raises(error, match=told) as caught:
        client.chat.completions.create(**{"model": NAME, **request_})
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["type"] == "invalid_request_error"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_bodies_that_are_no_request(client: openai.OpenAI, content: bytes) -> None:
    answer = client._client.post(f"{client.base_url}score", content=content, timeout=60)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_unknown_path_is_told_in_the_same_form(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/images"):
        client.post("/images/generations", cast_to=object, body={})


def test_whoever_leaves_frees_the_place(client: openai.OpenAI) -> None:
    endless: Any = {"model": NAME, "messages": STORY, "max_tokens": 4000, "n": 16, "temperature": 2}
    for _ in range(2):
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(**endless, timeout=2)
    with client.chat.completions.create(**endless, stream=True) as stream:
        next(iter(stream))
    # With the three of them still under way this would take minutes.
    assert "Paris" in text(ask(client, temperature=0, max_tokens=30, timeout=30))


def test_many_at_once_are_all_answered(client: openai.OpenAI) -> None:
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda seed: ask(client, STORY, seed=seed, max_tokens=12), range(24)))
    assert all(answer.usage and 0 < answer.usage.completion_tokens <= 12 for answer in answers)
