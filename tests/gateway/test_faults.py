"""What a provider can do wrong, and what the program in the jail then sees: a proper outcome, in time, paid once."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError
from openai import APIError, OpenAI

from sia.gateway.gateway import Gateway, Rules
from sia.gateway.trace import TraceLine
from sia.gateway.upstream import Patience
from tests.gateway.provider import events, provide
from tests.gateway.support import KEY, MODELS, gateway_at, model_at, opened
from tests.gateway.upstream import END, Request, Script, ScriptedUpstream, answer, begin_stream, chunk, reset

PATIENCE = Patience(call=6.0, stall=0.5, connect=1.0, tries=4, first_wait=0.01, longest_wait=0.05)
DEADLINE = 30.0
"""Of the program: far beyond what the gateway allows itself, so that a busy machine does not matter."""
HALF = events(
    {"type": "message_start", "message": {"usage": {"input_tokens": 11, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "po"}},
    named=True,
)


@dataclass
class Asked:
    """How one call went for the program, and what the gateway wrote down."""

    response: httpx2.Response
    call: TraceLine
    upstream: ScriptedUpstream
    seconds: float

    @property
    def error(self) -> dict[str, Any]:
        """The error in Anthropic's form: the body, or the last event of the stream."""
        text = self.response.text.strip()
        said = json.loads(text.rpartition("data: ")[2])
        assert said["type"] == "error"
        return said["error"]  # type: ignore[no-any-return]


def first_bad(bad: Script, times: int = 1) -> Script:
    """A provider that does `bad` a few times and is well then."""
    count = 0

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await (bad if count <= times else provide)(request, writer)

    return script


def status(code: int, **headers: str) -> Script:
    async def script(_: Request, writer: asyncio.StreamWriter) -> None:
        await answer(writer, {"type": "error", "error": {"type": "x", "message": f"it says {KEY}"}}, code, **headers)

    return script


async def break_off(_: Request, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def break_off_in_the_stream(_: Request, writer: asyncio.StreamWriter) -> None:
    await begin_stream(writer)
    await chunk(writer, HALF)
    await asyncio.sleep(0.05)
    reset(writer)


async def close_early(_: Request, writer: asyncio.StreamWriter) -> None:
    await begin_stream(writer)
    await chunk(writer, HALF)
    writer.write(END)
    await writer.drain()


async def stall(_: Request, writer: asyncio.StreamWriter) -> None:
    await begin_stream(writer)
    await chunk(writer, HALF)
    await asyncio.sleep(60)


async def never_answer(_: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def garbage(request: Request, writer: asyncio.StreamWriter) -> None:
    if request.said.get("stream"):
        await begin_stream(writer)
        await chunk(writer, b"<html>gateway of another kind</html>\n\n")
        writer.write(END)
        await writer.drain()
    else:
        await answer(writer, b"<html>gateway of another kind</html>")


async def garbage_later(_: Request, writer: asyncio.StreamWriter) -> None:
    await begin_stream(writer)
    await chunk(writer, HALF + b"data: {not json\n\n")
    writer.write(END)
    await writer.drain()


@contextmanager
def anthropic_gateway(tmp_path: Path, url: str) -> Iterator[tuple[Gateway, dict[str, str]]]:
    models = {"target": model_at(url, "anthropic")}
    with gateway_at(tmp_path, models, Rules(patience=PATIENCE)) as gateway:  # type: ignore[arg-type]
        with opened(gateway) as (_, variables):
            yield gateway, variables
        # Private, but there is no other way to see what is left in the loop of another thread.
        assert len(asyncio.all_tasks(gateway._loop)) == 0


def ask(tmp_path: Path, script: Script, stream: bool = False) -> Asked:
    body = {"model": MODELS["anthropic"], "max_tokens": 50, "messages": [{"role": "user", "content": "ping"}]}
    with (
        ScriptedUpstream(script) as upstream,
        anthropic_gateway(tmp_path, upstream.url) as (gateway, variables),
    ):
        start = time.monotonic()
        response = httpx2.post(
            f"{variables['ANTHROPIC_BASE_URL']}/v1/messages",
            json={**body, "stream": stream},
            headers={"x-api-key": variables["ANTHROPIC_API_KEY"]},
            timeout=DEADLINE,
        )
        seconds = time.monotonic() - start
    (call,) = gateway.calls_of(1)
    assert KEY not in response.text
    assert KEY not in (tmp_path / "calls.jsonl").read_text()
    return Asked(response, call, upstream, seconds)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("code", [408, 409, 429, 500, 503, 529])
def test_passing_errors_are_tried_again_and_cost_nothing(tmp_path: Path, code: int, stream: bool) -> None:
    asked = ask(tmp_path, first_bad(status(code), times=2), stream)
    assert asked.response.status_code == 200
    assert asked.call.retries == 2
    assert asked.call.cost == pytest.approx(11e-6 + 7 * 5e-6)
    assert len({request.body for request in asked.upstream.requests}) == 1


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    asked = ask(tmp_path, first_bad(status(429, retry_after="1")))
    assert asked.response.status_code == 200
    assert asked.seconds >= 1.0


def test_retry_after_beyond_the_deadline_is_passed_on_at_once(tmp_path: Path) -> None:
    asked = ask(tmp_path, status(429, retry_after="3600"))
    assert asked.response.status_code == 429
    assert asked.response.headers["retry-after"] == "3600"
    assert len(asked.upstream.requests) == 1


@pytest.mark.parametrize("code", [400, 404, 413, 422])
def test_errors_of_the_request_are_not_tried_again(tmp_path: Path, code: int) -> None:
    asked = ask(tmp_path, status(code))
    assert asked.response.status_code == code
    assert asked.error["message"] == "it says ***"
    assert len(asked.upstream.requests) == 1
    assert asked.call.cost == 0


def test_a_refused_key_is_not_quoted(tmp_path: Path) -> None:
    asked = ask(tmp_path, status(401))
    assert asked.error["message"] == "anthropic refuses the key"


@pytest.mark.parametrize("stream", [False, True])
def test_lasting_errors_come_through_once_in_the_dialect(tmp_path: Path, stream: bool) -> None:
    asked = ask(tmp_path, status(529), stream)
    assert asked.response.status_code == 529
    assert asked.response.headers["x-should-retry"] == "false"
    assert asked.error["message"] == "it says ***"
    assert len(asked.upstream.requests) == PATIENCE.tries
    assert asked.call.cost == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_connection_is_tried_again_and_charged_at_most(tmp_path: Path, stream: bool) -> None:
    asked = ask(tmp_path, first_bad(break_off), stream)
    assert asked.response.status_code == 200
    assert asked.call.retries == 1
    assert asked.call.estimated
    assert asked.call.cost is not None
    assert asked.call.cost > 11e-6 + 7 * 5e-6


def test_lasting_breaks_end_in_an_error(tmp_path: Path) -> None:
    asked = ask(tmp_path, break_off)
    assert asked.response.status_code == 502
    assert "broke off" in asked.error["message"]
    assert len(asked.upstream.requests) == PATIENCE.tries


def test_nobody_there_costs_nothing(tmp_path: Path) -> None:
    with ScriptedUpstream(provide) as gone:
        url = gone.url
    with anthropic_gateway(tmp_path, url) as (gateway, variables), pytest.raises(APIStatusError) as raised:
        Anthropic(base_url=variables["ANTHROPIC_BASE_URL"], api_key=variables["ANTHROPIC_API_KEY"]).messages.create(
            model=MODELS["anthropic"], max_tokens=5, messages=[{"role": "user", "content": "ping"}]
        )
    assert "cannot reach" in str(raised.value)
    assert [call.cost for call in gateway.calls_of(1)] == [0]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (break_off_in_the_stream, "broke off"),
        (close_early, "ended before the answer"),
        (stall, "stalled"),
        (garbage_later, "no JSON"),
    ],
)
def test_a_stream_that_cannot_go_on_ends_in_an_error_event(tmp_path: Path, script: Script, words: str) -> None:
    asked = ask(tmp_path, script, stream=True)
    assert asked.response.status_code == 200
    assert '"text": "po"' in asked.response.text
    assert words in asked.error["message"]
    assert asked.call.error is not None
    assert asked.call.estimated
    assert asked.call.input_tokens == 11
    assert asked.seconds < DEADLINE
    assert len(asked.upstream.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_told(tmp_path: Path, stream: bool) -> None:
    asked = ask(tmp_path, garbage, stream)
    assert asked.response.status_code == 502
    assert asked.error["type"] == "api_error"
    assert asked.call.cost is not None
    assert asked.call.cost > 0


@pytest.mark.parametrize("stream", [False, True])
def test_no_answer_within_the_deadline(tmp_path: Path, stream: bool) -> None:
    asked = ask(tmp_path, never_answer, stream)
    assert asked.response.status_code in (502, 504)
    assert asked.seconds < DEADLINE
    assert asked.call.estimated


def test_openai_client_sees_a_broken_stream_as_its_own_error(tmp_path: Path) -> None:
    async def script(_: Request, writer: asyncio.StreamWriter) -> None:
        await begin_stream(writer)
        delta = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        await chunk(writer, events({**delta, "choices": [{"index": 0, "delta": {"content": "po"}}]}))
        reset(writer)

    with (
        ScriptedUpstream(script) as upstream,
        gateway_at(tmp_path, {"target": model_at(upstream.url, "openai")}, Rules(patience=PATIENCE)) as gateway,
        opened(gateway) as (_, variables),
    ):
        client = OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key=variables["OPENAI_API_KEY"])
        with pytest.raises(APIError, match="broke off"):
            for _ in client.chat.completions.create(
                model=MODELS["openai"], messages=[{"role": "user", "content": "ping"}], stream=True
            ):
                pass


@pytest.mark.parametrize("stream", [False, True])
def test_a_program_that_leaves_is_charged_and_its_call_given_up(tmp_path: Path, stream: bool) -> None:
    body = {"model": MODELS["anthropic"], "max_tokens": 50, "messages": [{"role": "user", "content": "ping"}]}
    with (
        ScriptedUpstream(never_answer) as upstream,
        anthropic_gateway(tmp_path, upstream.url) as (gateway, variables),
        pytest.raises(httpx2.TimeoutException),
    ):
        httpx2.post(
            f"{variables['ANTHROPIC_BASE_URL']}/v1/messages",
            json={**body, "stream": stream},
            headers={"x-api-key": variables["ANTHROPIC_API_KEY"]},
            timeout=0.3,
        )
    (call,) = gateway.calls_of(1)
    assert call.error == "the program left before the answer's end"
    assert call.estimated
    assert call.cost is not None
    assert call.cost > 0
