"""The Messages dialect: requests to conversations, replies to bodies and server-sent events."""

import json
from collections.abc import Iterator
from typing import Any

from tests.scripted_model.conversation import Call, Conversation, Reply, Turn

Event = tuple[str | None, dict[str, Any] | str]


def text_of(content: object) -> str:
    """The words of a content that is a text or a list of blocks."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(text_of(b.get("text", b.get("content", ""))) for b in blocks if isinstance(b, dict))


def parse(body: dict[str, Any]) -> Conversation:
    """The conversation that a request carries."""
    turns: list[Turn] = []
    for message in body["messages"]:
        blocks = message["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        words = text_of([b for b in blocks if b["type"] == "text"])
        if message["role"] == "assistant":
            calls = tuple(Call(b["name"], b["input"]) for b in blocks if b["type"] == "tool_use")
            turns.append(Turn("assistant", words, calls))
            continue
        turns += [Turn("tool", text_of(b.get("content", ""))) for b in blocks if b["type"] == "tool_result"]
        if words:
            turns.append(Turn("user", words))
    tools = tuple(t["name"] for t in body.get("tools") or ())
    return Conversation(body["model"], text_of(body.get("system", "")), tuple(turns), tools)


def _message(reply: Reply, conversation: Conversation) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    for number, call in enumerate(reply.calls):
        name = f"toolu_{conversation.digest[:20]}{number:02d}"
        blocks.append({"type": "tool_use", "id": name, "name": call.tool, "input": call.arguments})
    return {
        "id": f"msg_{conversation.digest[:24]}",
        "type": "message",
        "role": "assistant",
        "model": conversation.model,
        "content": blocks,
        "stop_reason": "tool_use" if reply.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 100 + conversation.steps, "output_tokens": 10 + len(json.dumps(blocks)) // 4},
    }


def body(reply: Reply, conversation: Conversation) -> dict[str, Any]:
    """The answer in one piece."""
    return _message(reply, conversation)


def stream(reply: Reply, conversation: Conversation) -> Iterator[Event]:
    """The answer as events."""
    whole = _message(reply, conversation)
    start = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
    yield "message_start", {"type": "message_start", "message": start}
    yield "ping", {"type": "ping"}
    for index, block in enumerate(whole["content"]):
        empty = block | ({"text": ""} if block["type"] == "text" else {"input": {}})
        yield "content_block_start", {"type": "content_block_start", "index": index, "content_block": empty}
        text = block["text"] if block["type"] == "text" else json.dumps(block["input"])
        for piece in pieces(text):
            key = {"type": "text_delta", "text": piece}
            if block["type"] == "tool_use":
                key = {"type": "input_json_delta", "partial_json": piece}
            yield "content_block_delta", {"type": "content_block_delta", "index": index, "delta": key}
        yield "content_block_stop", {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": delta, "usage": whole["usage"]}
    yield "message_stop", {"type": "message_stop"}


def error(code: int) -> dict[str, Any]:
    """The body of an HTTP error."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
    kinds |= {404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(code, "api_error"), "message": f"scripted failure {code}"}}


def error_event(code: int) -> Event:
    """An error inside a stream."""
    return "error", error(code)


def pieces(text: str, size: int = 700) -> Iterator[str]:
    """`text` in parts, as a model would say it."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
