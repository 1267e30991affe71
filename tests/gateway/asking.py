"""Whole runs whose author and whose target agents ask a scripted provider."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sia.author.program import AuthorProgram
from sia.gateway.gateway import Gateway, Rules
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.store.records import RunRecord
from tests.gateway.support import keys, model_at
from tests.gateway.upstream import Request, answer
from tests.support import make_session

ASKING = AuthorProgram("asking", "tests.gateway.asking_author", uses_model=True)
QUESTIONS = 100
ASKED = 40
"""Questions that an agent asks its model, in its trial and when it counts; it leaves the others out."""

AGENT = """
import argparse, concurrent.futures, json, os, pathlib, time, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("--dataset_dir", type=pathlib.Path)
parser.add_argument("--working_dir", type=pathlib.Path)
arguments = parser.parse_args()
start = time.monotonic()

def ask(question):
    body = {"model": os.environ["SIA_TASK_MODEL"], "max_tokens": 20,
            "messages": [{"role": "user", "content": f"level LEVEL, question {question}"}]}
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return question, int(json.load(answer)["choices"][0]["message"]["content"])

questions = json.loads((arguments.dataset_dir / "questions.json").read_text())[:ASKED]
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    answers = dict(pool.map(ask, questions))
(arguments.working_dir / "answers.json").write_text(json.dumps(answers))
(arguments.working_dir / "agent_execution.json").write_text(json.dumps({"answered": len(answers)}))
print(f"answered {len(answers)} in {time.monotonic() - start:.3f} s")
"""


def agent(level: int) -> str:
    """The agent that the model writes in generation `level`."""
    return AGENT.replace("LEVEL", str(level)).replace("ASKED", str(ASKED))


async def think(request: Request, writer: asyncio.StreamWriter) -> None:
    """Writes agents, and answers their questions: the higher the level, the more are right."""
    text = request.said["messages"][0]["content"]
    if match := re.match(r"Agent (\d+) please", text):
        usage = {"input_tokens": len(text) // 4, "output_tokens": 500}
        content = [{"type": "text", "text": agent(int(match[1]))}]
        await answer(writer, {"type": "message", "role": "assistant", "content": content, "usage": usage})
        return
    level, question = map(int, re.findall(r"\d+", text))
    right = question % 10 < 3 * level
    message = {"role": "assistant", "content": str(question % 7 if right else 9)}
    usage = {"prompt_tokens": 15, "completion_tokens": 2, "total_tokens": 17}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    await answer(writer, {"choices": [choice], "usage": usage})


@contextmanager
def asking_session(
    task: Path, settings: RunSettings, url: str, rules: Rules | None = None
) -> Iterator[tuple[Session, RunRecord]]:
    """A session with a gateway, as `sia.launch` makes one; the provider is at `url`."""
    session, record = make_session(task, settings)
    models = {"author": model_at(url, "anthropic"), "target": model_at(url, "openai")}
    gateway = Gateway(session.run.path, models, keys(), rules)  # type: ignore[arg-type]
    session = replace(session, author=ASKING, gateway=gateway)
    record = record.model_copy(
        update={"meta_model": models["author"].full_name, "task_model": models["target"].full_name}
    )
    try:
        yield session, record
    finally:
        session.close()


def counted(upstream_requests: list[Request], words: str) -> int:
    """How many requests held these words."""
    return sum(words.encode() in request.body for request in upstream_requests)


Adapt = Callable[[Session], Session]
