"""Descriptions of similar tasks by a model: a scripted one on loopback, in all three dialects."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sia.errors import HostError
from sia.prepare.samples import MAX_ANSWER, Endpoint, write_similar_tasks
from tests.prepare import competitions

TEXT = "## Will it rain?\n\nA row is a day."


class Model(http.server.BaseHTTPRequestHandler):
    text, status = TEXT, 200
    asked: list[tuple[str, dict[str, str], Any]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        answers: dict[str, Any] = {
            "/v1/chat/completions": {"choices": [{"message": {"content": self.text}}]},
            "/v1beta/models/m:generateContent": {"candidates": [{"content": {"parts": [{"text": self.text}]}}]},
            "/v1/messages": {"content": [{"type": "text", "text": self.text}]},
        }
        answer = json.dumps(answers[self.path]).encode()
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def model() -> Iterator[tuple[type[Model], str]]:
    handler = type("Scripted", (Model,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_all_dialects(model: tuple[type[Model], str]) -> None:
    handler, address = model
    for dialect, header in (("openai", "authorization"), ("anthropic", "x-api-key"), ("gemini", "x-goog-api-key")):
        endpoint = Endpoint(address, "secret", "m", dialect)  # type: ignore[arg-type]
        assert write_similar_tasks(endpoint, "Predict `y`.") == f"{TEXT}\n"
        _, headers, body = handler.asked[-1]
        assert "secret" in headers[header]
        assert json.dumps(body).count("Predict `y`.") == 1


def test_what_a_model_says_is_bounded(model: tuple[type[Model], str]) -> None:
    handler, address = model
    handler.text = "# " + "word " * MAX_ANSWER
    assert len(write_similar_tasks(Endpoint(address, "k", "m", "openai"), "")) <= MAX_ANSWER + 1


@pytest.mark.parametrize(("text", "status", "word"), [("", 200, "nothing"), (TEXT, 429, "429")])
def test_no_answer_is_one_line(model: tuple[type[Model], str], text: str, status: int, word: str) -> None:
    handler, address = model
    handler.text, handler.status = text, status
    with pytest.raises(HostError) as caught:
        write_similar_tasks(Endpoint(address, "k", "m", "anthropic"), "")
    assert word in str(caught.value)
    assert "--samples" in caught.value.remedy


def test_no_model_there() -> None:
    with pytest.raises(HostError):
        write_similar_tasks(Endpoint("http://127.0.0.1:9", "k", "m", "openai"), "")


def test_the_meta_model_describes_similar_tasks_through_the_gateway(
    model: tuple[type[Model], str], tmp_path: Path
) -> None:
    handler, address = model
    raw = str(competitions.diabetes(tmp_path / "raw"))
    asked = ("-c", "diabetes", "--data-dir", raw, "--metric", "mae", "--samples")
    error = competitions.one_line(competitions.prepare(tmp_path, *asked))
    assert "ANTHROPIC_API_KEY" in error
    environment = {"ANTHROPIC_API_KEY": "real-key", "ANTHROPIC_BASE_URL": address}
    done = competitions.prepare(tmp_path, *asked, **environment)
    assert done.returncode == 0, done.stderr
    samples = tmp_path / "tasks" / "diabetes" / "reference" / "SAMPLE_TASK_DESCRIPTIONS.md"
    assert samples.read_text() == f"{TEXT}\n"
    path, headers, body = handler.asked[0]
    assert (path, headers["x-api-key"]) == ("/v1/messages", "real-key")
    assert "Progression" in body["messages"][0]["content"]
