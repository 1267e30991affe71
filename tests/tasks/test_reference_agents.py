"""The reference agents, with the real clients, against a server on loopback that answers as the providers do."""

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sia.environment import agent_environment
from sia.task.catalog import bundled_names, bundled_root, find_bundled
from sia.task.fetch import prepare_task

MARK = "# --- asking the model"
END = "# --- the task ---"
ASKING = ("gpqa", "lawbench", "longcot-chess")


def shared_part(agent: Path) -> str:
    text = agent.read_text()
    return text[text.index(MARK) : text.index(END)]


def test_agents_share_the_template_word_for_word() -> None:
    template = shared_part(bundled_root() / "_shared" / "reference_target_agent.py")
    for name in ASKING:
        assert shared_part(find_bundled(name) / "reference" / "reference_target_agent.py") == template


def test_the_template_is_no_task() -> None:
    assert "_shared" not in bundled_names()
    assert set(ASKING) < set(bundled_names())


class Provider(BaseHTTPRequestHandler):
    """Answers every question alike; the first request of all is refused as too many, every 50th as bad."""

    answer: dict[str, Any]
    seen: Counter[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        cls = type(self)
        cls.seen["all"] += 1
        cls.seen[self.path] += 1
        if cls.seen["all"] == 1:
            self.reply(429, {"error": {"type": "rate_limit_error", "message": "slow down"}}, {"retry-after": "0"})
        elif self.path.endswith("/messages"):
            assert body["tool_choice"] == {"type": "tool", "name": "answer"}
            content = [{"type": "tool_use", "id": "t", "name": "answer", "input": cls.answer}]
            usage = {"input_tokens": 7, "output_tokens": 3}
            self.reply(
                200,
                {
                    "id": "m",
                    "type": "message",
                    "role": "assistant",
                    "model": body["model"],
                    "content": content,
                    "stop_reason": "tool_use",
                    "stop_sequence": None,
                    "usage": usage,
                },
            )
        elif body["model"] == "reasoner" and "max_tokens" in body:
            told = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            self.reply(400, {"error": {"message": f"Unsupported parameter: {told}"}})
        elif body["model"] != "reasoner" and "response_format" in body and cls.seen["all"] % 2:
            self.reply(400, {"error": {"message": "response_format is not known here"}})
        else:
            choice = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": f"Here: {json.dumps(cls.answer)}."},
            }
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            answer = {"id": "c", "object": "chat.completion", "created": 0, "model": body["model"]}
            self.reply(200, {**answer, "choices": [choice], "usage": usage})

    def reply(self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def provider(answer: dict[str, Any]) -> Iterator[tuple[str, Counter[str]]]:
    handler = type("Scripted", (Provider,), {"answer": answer, "seen": Counter()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.seen  # type: ignore[attr-defined]
        server.shutdown()


ANSWERS: dict[str, dict[str, Any]] = {
    "gpqa": {"answer": "A"},
    "lawbench": {"charge": "盗窃"},
    "longcot-chess": {"moves": [], "number": 218},
}
EXPECTED = {"gpqa": 57 / 198, "lawbench": 5 / 913, "longcot-chess": 3 / 50}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dialect", "model"),
    [
        *((name, dialect, "scripted") for name in ASKING for dialect in ("anthropic", "openai")),
        ("longcot-chess", "openai", "reasoner"),
    ],
)
def test_agent_answers_every_question_and_leaves_both_records(
    name: str, dialect: str, model: str, tmp_path: Path
) -> None:
    task = prepare_task(find_bundled(name), print)
    python = agent_environment(task.manifest.agent.packages, print)
    assert task.reference_dir is not None
    agent = task.reference_dir / "reference_target_agent.py"
    with provider(ANSWERS[name]) as (address, seen):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "SIA_TASK_MODEL": model,
            "SIA_TASK_DIALECT": dialect,
            "ANTHROPIC_BASE_URL": address,
            "ANTHROPIC_API_KEY": "token",
            "OPENAI_BASE_URL": f"{address}/v1",
            "OPENAI_API_KEY": "token",
        }
        work = tmp_path / "work"
        work.mkdir()
        argv = [str(python), str(agent), "--dataset_dir", str(task.public_dir), "--working_dir", str(work)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    record = json.loads((work / "agent_execution.json").read_text())
    count = record["questions"]
    assert record["answered"] == count
    assert record["failed"] == 0
    assert record["tokens_in"] == 7 * count
    assert seen["all"] > count, "the refused request was tried again"
    assert len(list((work / "agent_execution").glob("execution_q*.json"))) == count
    argv = [str(python), str(task.evaluator), "--gen-dir", str(work)]
    assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
    assert json.loads((work / "results.json").read_text())["accuracy"] == pytest.approx(EXPECTED[name])


@pytest.mark.slow
def test_agent_without_a_model_says_so(tmp_path: Path) -> None:
    task = prepare_task(find_bundled("gpqa"), print)
    python = agent_environment(task.manifest.agent.packages, print)
    assert task.reference_dir is not None
    argv = [str(python), str(task.reference_dir / "reference_target_agent.py")]
    argv += ["--dataset_dir", str(task.public_dir), "--working_dir", str(tmp_path)]
    done = subprocess.run(argv, env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "no model to ask: SIA_TASK_MODEL is not set\n"
