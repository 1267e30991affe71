"""Recorded calls of earlier target agents, written out for a training plan that asks for them.

The trainer gets questions and answers, and nothing of how the run was scored. Questions are an agent's words, so they
pass the leak guard; answers are the model's, and are not looked at: to leave out those that happen to hold a private
value would tell which of them are right.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sia.gateway.bodies import BODIES, Bodies
from sia.stages.session import Session
from sia.weights.plan import PlanError, Traces
from sia.weights.traces import RecordedCall

MAX_BYTES = 256 << 20
CHAT, SCORE = "/v1/chat/completions", "/v1/score"


def write_traces(session: Session, traces: Traces, file: Path) -> None:
    """Writes the calls that the plan selects to `file`. Raises PlanError when there are none, or one must not be used.

    Calls of one message are taken: chats with one answer or several, and scored continuations, of which the likeliest
    is the answer. Streamed answers are not.
    """
    decided = {generation.generation for generation in session.progress.generations}
    if missing := sorted(set(traces.generations) - decided):
        raise PlanError(f"data.traces: there is no earlier generation {missing[0]}")
    calls = [call for number in sorted(set(traces.generations)) for call in _calls(session, number)]
    if not calls:
        told = ", ".join(map(str, traces.generations))
        raise PlanError(
            f"data.traces: no call of one message is recorded of the agents of {told}; nothing is with --no-bodies"
        )
    if session.guard.leaks("\n".join(sorted({call.prompt for call in calls}))):
        raise PlanError("data.traces: a recorded question holds a private value")
    content = "".join(call.model_dump_json() + "\n" for call in calls)
    if len(content) > MAX_BYTES:
        raise PlanError(f"data.traces: more than {MAX_BYTES >> 20} MiB of calls; name fewer generations")
    file.write_text(content, encoding="utf-8")


def _calls(session: Session, generation: int) -> Iterator[RecordedCall]:
    if session.gateway is None:
        return
    bodies = Bodies(session.run.path / BODIES)
    for call in session.gateway.calls_of(generation):
        if call.role != "target" or call.status != 200 or call.endpoint not in (CHAT, SCORE) or not call.answer:
            continue
        asked, said = _json(bodies.get(call.request)), _json(bodies.get(call.answer))
        prompt = _prompt(asked)
        if prompt is None:
            continue
        for answer in _answers(asked, said):
            yield RecordedCall(generation=generation, prompt=prompt.strip(), answer=answer.strip())


def _prompt(asked: dict[str, Any]) -> str | None:
    """The one message of a request; None when it has more, or other parts than text."""
    if isinstance(asked.get("prompt"), str):
        return str(asked["prompt"])
    messages = asked.get("messages")
    if not isinstance(messages, list) or len(messages) != 1 or not isinstance(messages[0], dict):
        return None
    content = messages[0].get("content")
    return content if messages[0].get("role") == "user" and isinstance(content, str) else None


def _answers(asked: dict[str, Any], said: dict[str, Any]) -> Iterator[str]:
    continuations, scores = asked.get("continuations"), said.get("scores")
    if isinstance(continuations, list) and isinstance(scores, list) and len(continuations) == len(scores) > 0:
        likely = [s.get("logprob") if isinstance(s, dict) else None for s in scores]
        known = [(value, str(text)) for value, text in zip(likely, continuations, strict=True) if value is not None]
        if known:
            yield max(known, key=lambda pair: pair[0])[1]
        return
    choices = said.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and isinstance(message.get("content"), str) and message["content"].strip():
            yield message["content"]


def _json(body: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
