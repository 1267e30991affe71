"""What a program may ask, and what it is told when it asks for more."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sia.gateway.access import Access
from sia.gateway.gateway import Gateway
from sia.gateway.grant import Pace
from tests.gateway.provider import provide
from tests.gateway.support import MODELS, gateway_at, model_at, opened
from tests.gateway.upstream import ScriptedUpstream

QUESTION = [{"role": "user", "content": "ping"}]
PATHS = {
    "anthropic": "/v1/messages",
    "openai": "/v1/chat/completions",
    "gemini": "/v1beta/models/gemini-2.5-flash:generateContent",
}


class Asker:
    """Asks a gateway as a program of one dialect does."""

    def __init__(self, dialect: str, gateway: Gateway, access: Access, variables: dict[str, str]) -> None:
        self.dialect, self.gateway, self.access = dialect, gateway, access
        self.base = variables["ANTHROPIC_BASE_URL"]
        self.token = variables["ANTHROPIC_API_KEY"]

    def post(self, path: str, token: str | None = None, **body: object) -> httpx2.Response:
        token = self.token if token is None else token
        headers = {"x-api-key": token, "authorization": f"Bearer {token}", "x-goog-api-key": token}
        return httpx2.post(self.base + path, json=body, headers=headers, timeout=20)

    def question(self, **more: object) -> dict[str, Any]:
        """A good request's body, with `more`."""
        if self.dialect == "gemini":
            return {"contents": [{"role": "user", "parts": [{"text": "ping"}]}], **more}
        return {"model": MODELS[self.dialect], "max_tokens": 9, "messages": QUESTION, **more}


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(provide) as server:
        yield server


@pytest.fixture(params=["anthropic", "openai", "gemini"])
def asker(request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Asker]:
    with (
        gateway_at(tmp_path, {"target": model_at(upstream.url, request.param)}) as gateway,
        opened(gateway) as (access, variables),
    ):
        yield Asker(request.param, gateway, access, variables)


def message(response: httpx2.Response) -> str:
    """The text of an error, as each dialect's clients find it."""
    return str(response.json()["error"]["message"])


def test_another_key_is_refused(asker: Asker, upstream: ScriptedUpstream) -> None:
    response = asker.post(PATHS[asker.dialect], token="sia-guessed", **asker.question())
    assert response.status_code == 401
    assert "key variables" in message(response)
    assert upstream.requests == []


def test_another_model_is_refused(asker: Asker, upstream: ScriptedUpstream) -> None:
    path = PATHS[asker.dialect].replace("gemini-2.5-flash", "gemini-ultra")
    response = asker.post(path, **asker.question(**({} if asker.dialect == "gemini" else {"model": "better-one"})))
    assert response.status_code == 403
    assert MODELS[asker.dialect] in message(response)
    assert response.headers["x-should-retry"] == "false"
    assert upstream.requests == []


def test_another_dialect_is_refused(asker: Asker, upstream: ScriptedUpstream) -> None:
    other = "openai" if asker.dialect == "anthropic" else "anthropic"
    response = asker.post(PATHS[other], model=MODELS[asker.dialect], max_tokens=5, messages=QUESTION)
    assert response.status_code == 403
    assert f"in the {asker.dialect} dialect" in message(response)
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/files", "/v1/messages/batches", "/v1beta/files", "/", "/v1/fine_tuning/jobs"])
def test_other_paths_lead_nowhere(asker: Asker, upstream: ScriptedUpstream, path: str) -> None:
    assert asker.post(path, **asker.question()).status_code == 404
    assert upstream.requests == []


OUTSIDE = {
    "anthropic": [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "code_execution_20250522", "name": "code_execution"}]},
        {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://e.x"}}]}
            ]
        },
    ],
    "openai": [
        {"tools": [{"type": "web_search"}]},
        {"web_search_options": {}},
        {"background": True},
        {"service_tier": "priority"},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}]}
            ]
        },
    ],
    "gemini": [
        {"tools": [{"googleSearch": {}}]},
        {"tools": [{"codeExecution": {}}]},
        {"contents": [{"parts": [{"fileData": {"fileUri": "https://example.com/x"}}]}]},
    ],
}


def test_what_the_provider_would_do_outside_the_sandbox_is_refused(asker: Asker, upstream: ScriptedUpstream) -> None:
    for more in OUTSIDE[asker.dialect]:
        response = asker.post(PATHS[asker.dialect], **asker.question(**more))
        assert response.status_code == 403, more
        assert "not allowed" in message(response)
    assert upstream.requests == []


def test_own_tools_may_hold_anything(asker: Asker, upstream: ScriptedUpstream) -> None:
    if asker.dialect != "anthropic":
        pytest.skip("arguments are text in this dialect")
    call = {"type": "tool_use", "id": "1", "name": "write", "input": {"type": "url", "source": {"type": "url"}}}
    response = asker.post(
        PATHS["anthropic"], **asker.question(messages=[*QUESTION, {"role": "assistant", "content": [call]}])
    )
    assert response.status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"[" * 100_000, b"\xff\xfe"])
def test_bodies_that_are_none(asker: Asker, upstream: ScriptedUpstream, body: bytes) -> None:
    headers = {"x-api-key": asker.token, "authorization": f"Bearer {asker.token}", "x-goog-api-key": asker.token}
    response = httpx2.post(asker.base + PATHS[asker.dialect], content=body, headers=headers)
    assert response.status_code == 400
    assert "JSON" in message(response)
    assert upstream.requests == []


def test_refusals_are_events_and_bounded(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with gateway_at(tmp_path, {"target": model_at(upstream.url, "openai")}) as gateway:
        with opened(gateway) as (access, variables):
            asker = Asker("openai", gateway, access, variables)
            for _ in range(3):
                asker.post("/v1/chat/completions", **asker.question(model="gpt-5-pro"))
        assert access.events == ("gateway: model 'gpt-5-pro' is not allowed here, only 'gpt-4o-mini' (3 times)",)
        assert access.spending.cost == 0


def test_models_are_the_one_that_is_allowed(asker: Asker, upstream: ScriptedUpstream) -> None:
    headers = {"x-api-key": asker.token, "authorization": f"Bearer {asker.token}", "x-goog-api-key": asker.token}
    if asker.dialect == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    path = "/v1beta/models" if asker.dialect == "gemini" else "/v1/models"
    said = httpx2.get(asker.base + path, headers=headers).json()
    (one,) = said["models"] if asker.dialect == "gemini" else said["data"]
    assert MODELS[asker.dialect] in (one.get("id"), one.get("name", "").removeprefix("models/"))
    assert upstream.requests == []


def test_score_is_for_local_models_only(asker: Asker) -> None:
    response = asker.post("/v1/score", **asker.question(prompt="a", continuations=["b"]))
    assert response.status_code in (403, 404)


def test_a_missing_key_is_named_to_the_program(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {"target": model_at("http://127.0.0.1:9", "openai")}, {})
    try:
        with opened(gateway) as (access, variables):
            asker = Asker("openai", gateway, access, variables)
            response = asker.post("/v1/chat/completions", **asker.question())
        assert response.status_code == 401
        assert "OPENAI_API_KEY is not set" in message(response)
    finally:
        gateway.close()


def test_more_calls_than_the_rate_wait() -> None:
    async def start(calls: int) -> float:
        pace = Pace(per_minute=120)
        begun = time.monotonic()
        for _ in range(calls):
            await pace.turn()
        return time.monotonic() - begun

    # A minute's worth may start at once; the next one waits for its half second.
    assert asyncio.run(start(121)) >= 0.4


def test_an_adapter_is_the_gateways_choice(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    model = model_at(upstream.url, "local", "local/tiny")
    with gateway_at(tmp_path, {"target": model}) as gateway, gateway.access("target", 1, adapter="abc") as access:
        listener = socket.create_server(("127.0.0.1", 0))
        assert access.on_listener is not None
        access.on_listener(listener)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        variables = {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": access.variables["OPENAI_API_KEY"]}
        asker = Asker("openai", gateway, access, variables)
        question = asker.question(model="local/tiny")
        assert asker.post("/v1/chat/completions", **question).status_code == 200
        assert upstream.requests[0].said == {**question, "adapter": "abc"}
        assert asker.post("/v1/chat/completions", **question, adapter="other").status_code == 403
    assert gateway.calls_of(1)[0].cost == 0
