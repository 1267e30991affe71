"""The responses dialect: requests to conversations, replies to bodies and server-sent events."""

import json
from collections.abc import Iterator
from typing import Any

from tests.scripted_model.anthropic import Event, pieces, text_of
from tests.scripted_model.conversation import Call, Conversation, Reply, Turn
from tests.scripted_model.openai_chat import error

__all__ = ["body", "error", "error_event", "parse", "stream"]


def parse(body: dict[str, Any]) -> Conversation:
    """The conversation that a request carries."""
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    system, turns = body.get("instructions") or "", []
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call":
            turns.append(Turn("assistant", "", (Call(item["name"], json.loads(item["arguments"])),)))
        elif kind == "function_call_output":
            turns.append(Turn("tool", text_of(item["output"])))
        elif kind == "message" and item["role"] in ("system", "developer"):
            system += text_of(item["content"])
        elif kind == "message":
            turns.append(Turn("assistant" if item["role"] == "assistant" else "user", text_of(item["content"])))
    return Conversation(body["model"], system, tuple(turns), tuple(t["name"] for t in body.get("tools") or ()))


def body(reply: Reply, conversation: Conversation) -> dict[str, Any]:
    """The answer in one piece."""
    items: list[dict[str, Any]] = []
    if reply.text:
        words = {"type": "output_text", "text": reply.text, "annotations": []}
        name = f"msg_{conversation.digest[:24]}"
        items.append({"type": "message", "id": name, "role": "assistant", "status": "completed", "content": [words]})
    for number, call in enumerate(reply.calls):
        name = f"{conversation.digest[:20]}{number:02d}"
        arguments = json.dumps(call.arguments)
        frame = {"type": "function_call", "id": f"fc_{name}", "call_id": f"call_{name}", "status": "completed"}
        items.append(frame | {"name": call.tool, "arguments": arguments})
    given, said = 100 + conversation.steps, 10 + len(reply.text) // 4
    usage = {"input_tokens": given, "output_tokens": said, "total_tokens": given + said}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {
        "id": f"resp_{conversation.digest[:24]}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": conversation.model,
        "output": items,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage | details,
    }


def stream(reply: Reply, conversation: Conversation) -> Iterator[Event]:
    """The answer as events."""
    whole = body(reply, conversation)
    number = 0

    def event(kind: str, **fields: object) -> Event:
        nonlocal number
        number += 1
        return kind, {"type": kind, "sequence_number": number, **fields}

    yield event("response.created", response=whole | {"status": "in_progress", "output": []})
    for index, item in enumerate(whole["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            part = item["content"][0]
            place |= {"content_index": 0}
            yield event("response.output_item.added", output_index=index, item=item | {"content": []})
            yield event("response.content_part.added", **place, part=part | {"text": ""})
            for piece in pieces(part["text"]):
                yield event("response.output_text.delta", **place, delta=piece)
            yield event("response.output_text.done", **place, text=part["text"])
            yield event("response.content_part.done", **place, part=part)
        else:
            yield event("response.output_item.added", output_index=index, item=item | {"arguments": ""})
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **place, delta=piece)
            yield event("response.function_call_arguments.done", **place, arguments=item["arguments"])
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=whole)


def error_event(code: int) -> Event:
    """An error inside a stream."""
    return "error", {"type": "error", "sequence_number": 2, **error(code)["error"]}
