"""The HTTP side: routes requests to their dialect, asks the policy, answers or fails."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

from tests.scripted_model import anthropic, gemini, openai_chat, openai_responses
from tests.scripted_model.conversation import Conversation, Failure, Policy, Reply

DIALECTS: dict[str, ModuleType] = {
    "/v1/messages": anthropic,
    "/v1/chat/completions": openai_chat,
    "/v1/responses": openai_responses,
}
KEY_HEADERS = ("x-api-key", "authorization", "x-goog-api-key")
GEMINI = re.compile(r"/v1(?:beta)?/models/([^:/]+):(generateContent|streamGenerateContent)")
STALL_SECONDS = 600.0


@dataclass
class ScriptedModel:
    """A server that is up; what it was asked is kept."""

    url: str
    policy: Policy
    asked: list[Conversation] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    """Where the requests went."""
    keys: set[str] = field(default_factory=set)
    """The API keys that came with the requests."""
    attempts: Counter[str] = field(default_factory=Counter)
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, conversation: Conversation) -> Reply | Failure:
        """What the policy says, or its reply once it failed often enough."""
        self.asked.append(conversation)
        said = self.policy(conversation)
        self.attempts[conversation.digest] += 1
        if isinstance(said, Failure) and self.attempts[conversation.digest] > said.times:
            return said.then
        return said


@contextmanager
def serve(policy: Policy) -> Iterator[ScriptedModel]:
    """A server on a free port of loopback, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    model = ScriptedModel(f"http://127.0.0.1:{server.server_address[1]}", policy)
    server.model = model  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        model.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._send(200, b"")

    def do_GET(self) -> None:
        listing = {"object": "list", "data": [{"id": "scripted", "object": "model", "type": "model"}]}
        self._send(200, json.dumps(listing).encode())

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        model: ScriptedModel = self.server.model  # type: ignore[attr-defined]
        model.keys |= {k.removeprefix("Bearer ") for n in KEY_HEADERS if (k := self.headers.get(n))}
        path = self.path.partition("?")[0]
        model.paths.add(path)
        named = GEMINI.fullmatch(path)
        dialect = gemini if named else DIALECTS.get(path)
        if path.endswith("/count_tokens"):
            self._send(200, json.dumps({"input_tokens": len(raw) // 4}).encode())
            return
        if dialect is None:
            self._send(404, json.dumps(openai_chat.error(404)).encode())
            return
        request = json.loads(raw)
        if named:
            request |= {"model": named[1], "stream": named[2].startswith("stream")}
        conversation = dialect.parse(request)
        said = model.answer(conversation)
        if isinstance(said, Failure):
            self._fail(said, dialect, conversation)
        elif request.get("stream"):
            self._stream(list(dialect.stream(said, conversation)))
            self._chunk(b"")
        else:
            self._send(200, json.dumps(dialect.body(said, conversation)).encode())

    def _fail(self, failure: Failure, dialect: ModuleType, conversation: Conversation) -> None:
        events = list(dialect.stream(Reply("the beginning of an answer " * 100), conversation))
        if failure.kind == "status":
            extra = {"retry-after": f"{failure.retry_after:g}"} if failure.retry_after is not None else {}
            self._send(failure.code, json.dumps(dialect.error(failure.code)).encode(), extra)
        elif failure.kind == "garbage":
            self._send(200, b"<html>the proxy is having a bad day")
        elif failure.kind == "empty":
            self._send(200, b"")
        elif failure.kind == "error-event":
            self._stream([*events[:3], dialect.error_event(failure.code)])
            self._chunk(b"")
        elif failure.kind in ("cut", "stall"):
            self._stream(events[:4])
            if failure.kind == "stall":
                self.server.model.closing.wait(STALL_SECONDS)  # type: ignore[attr-defined]
        self.close_connection = True

    def _send(self, code: int, body: bytes, extra: dict[str, str] | None = None) -> None:
        self.send_response(code)
        headers = {"content-type": "application/json", "content-length": str(len(body)), **(extra or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: list[tuple[str | None, Any]]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            self._chunk((f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()
