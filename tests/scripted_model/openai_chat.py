"""The chat completions dialect: requests to conversations, replies to bodies and server-sent events."""

import json
from collections.abc import Iterator
from typing import Any

from tests.scripted_model.anthropic import Event, pieces, text_of
from tests.scripted_model.conversation import Call, Conversation, Reply, Turn


def parse(body: dict[str, Any]) -> Conversation:
    """The conversation that a request carries."""
    system, turns = "", []
    for message in body["messages"]:
        words = text_of(message.get("content") or "")
        if message["role"] in ("system", "developer"):
            system += words
        elif message["role"] == "assistant":
            functions = [c["function"] for c in message.get("tool_calls") or ()]
            turns.append(
                Turn("assistant", words, tuple(Call(f["name"], json.loads(f["arguments"])) for f in functions))
            )
        else:
            turns.append(Turn("tool" if message["role"] == "tool" else "user", words))
    tools = tuple(t["function"]["name"] for t in body.get("tools") or ())
    return Conversation(body["model"], system, tuple(turns), tools)


def _calls(reply: Reply, conversation: Conversation) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{conversation.digest[:20]}{number:02d}",
            "type": "function",
            "function": {"name": call.tool, "arguments": json.dumps(call.arguments)},
        }
        for number, call in enumerate(reply.calls)
    ]


def _usage(reply: Reply, conversation: Conversation) -> dict[str, int]:
    given, said = 100 + conversation.steps, 10 + len(reply.text) // 4
    return {"prompt_tokens": given, "completion_tokens": said, "total_tokens": given + said}


def _frame(conversation: Conversation, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{conversation.digest[:24]}", "object": kind, "created": 1, "model": conversation.model}


def body(reply: Reply, conversation: Conversation) -> dict[str, Any]:
    """The answer in one piece."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = _calls(reply, conversation)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.calls else "stop"}
    return _frame(conversation, "chat.completion") | {"choices": [choice], "usage": _usage(reply, conversation)}


def stream(reply: Reply, conversation: Conversation) -> Iterator[Event]:
    """The answer as events."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return None, _frame(conversation, "chat.completion.chunk") | {"choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(reply.text):
        yield chunk({"content": piece})
    for index, call in enumerate(_calls(reply, conversation)):
        function = call["function"]
        yield chunk({"tool_calls": [call | {"index": index, "function": function | {"arguments": ""}}]})
        for piece in pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, "tool_calls" if reply.calls else "stop")
    yield None, _frame(conversation, "chat.completion.chunk") | {"choices": [], "usage": _usage(reply, conversation)}
    yield None, "[DONE]"


def error(code: int) -> dict[str, Any]:
    """The body of an HTTP error."""
    kinds = {400: "invalid_request_error", 401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
    kind = kinds.get(code, "server_error")
    return {"error": {"message": f"scripted failure {code}", "type": kind, "code": kind, "param": None}}


def error_event(code: int) -> Event:
    """An error inside a stream."""
    return None, error(code)
