"""The Gemini dialect: requests to conversations, replies to bodies and server-sent events. The path names the model."""

import json
from collections.abc import Iterator
from typing import Any

from tests.scripted_model.anthropic import Event, pieces
from tests.scripted_model.conversation import Call, Conversation, Reply, Turn


def parse(body: dict[str, Any]) -> Conversation:
    """The conversation that a request carries; the server puts the model in."""
    turns: list[Turn] = []
    for content in body["contents"]:
        parts = content["parts"]
        words = "\n".join(part["text"] for part in parts if "text" in part)
        if content.get("role") == "model":
            functions = [_of(part, "functionCall", "function_call") for part in parts]
            calls = tuple(Call(f["name"], f.get("args") or {}) for f in functions if f)
            turns.append(Turn("assistant", words, calls))
            continue
        answers = [_of(part, "functionResponse", "function_response") for part in parts]
        turns += [Turn("tool", _words(answer["response"])) for answer in answers if answer]
        if words:
            turns.append(Turn("user", words))
    system = _of(body, "systemInstruction", "system_instruction") or {"parts": []}
    offered = [_of(tool, "functionDeclarations", "function_declarations") or [] for tool in body.get("tools") or ()]
    tools = tuple(function["name"] for functions in offered for function in functions)
    return Conversation(body["model"], "\n".join(part["text"] for part in system["parts"]), tuple(turns), tools)


def _of(table: dict[str, Any], *names: str) -> Any:  # noqa: ANN401 - JSON, in either spelling
    return next((table[name] for name in names if name in table), None)


def _words(response: dict[str, Any]) -> str:
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in response.values())


def body(reply: Reply, conversation: Conversation) -> dict[str, Any]:
    """The answer in one piece."""
    parts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    parts += [{"functionCall": {"name": call.tool, "args": call.arguments}} for call in reply.calls]
    return _frame(parts, reply, conversation, "STOP")


def stream(reply: Reply, conversation: Conversation) -> Iterator[Event]:
    """The answer as events."""
    for piece in pieces(reply.text):
        yield None, _frame([{"text": piece}], reply, conversation, None)
    calls = [{"functionCall": {"name": call.tool, "args": call.arguments}} for call in reply.calls]
    yield None, _frame(calls, reply, conversation, "STOP")


def _frame(parts: list[dict[str, Any]], reply: Reply, conversation: Conversation, reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if reason:
        candidate["finishReason"] = reason
    given, said = 100 + conversation.steps, 10 + len(reply.text) // 4
    usage = {"promptTokenCount": given, "candidatesTokenCount": said, "totalTokenCount": given + said}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": conversation.model,
        "responseId": conversation.digest[:24],
    }


def error(code: int) -> dict[str, Any]:
    """The body of an HTTP error."""
    kinds = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    return {"error": {"code": code, "message": f"scripted failure {code}", "status": kinds.get(code, "UNAVAILABLE")}}


def error_event(code: int) -> Event:
    """An error inside a stream."""
    return None, error(code)
