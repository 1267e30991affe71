"""A well-behaved provider for `ScriptedUpstream`: says `pong`, or uses the first tool, in each dialect."""

import asyncio
import json
from typing import Any

from tests.gateway.upstream import Request, answer, stream

INPUT_TOKENS, OUTPUT_TOKENS = 11, 7
TEXT = "pong, ünïcode"


async def provide(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answers any request of the three dialects."""
    path = request.path.partition("?")[0]
    if path.endswith("/v1/messages/count_tokens"):
        await answer(writer, {"input_tokens": INPUT_TOKENS})
    elif path.endswith("/messages"):
        await _anthropic(request, writer)
    elif path.endswith("/chat/completions"):
        await _chat(request, writer)
    elif path.endswith("/responses"):
        await _responses(request, writer)
    elif path.endswith("/embeddings"):
        usage = {"prompt_tokens": INPUT_TOKENS, "total_tokens": INPUT_TOKENS}
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
        await answer(writer, {"object": "list", "model": request.said["model"], "data": data, "usage": usage})
    elif ":" in path:
        await _gemini(request, writer)
    else:
        await answer(writer, {"error": {"message": f"no {path}"}}, status=404)


def events(*said: dict[str, Any], named: bool = False) -> bytes:
    """A stream of events, with their names where the dialect has them."""
    return b"".join(
        (f"event: {one['type']}\n" if named else "").encode() + b"data: " + json.dumps(one).encode() + b"\n\n"
        for one in said
    )


async def _anthropic(request: Request, writer: asyncio.StreamWriter) -> None:
    said = request.said
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": said["model"], "stop_sequence": None}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "here"}}
    block = tool if said.get("tools") else {"type": "text", "text": TEXT}
    reason = "tool_use" if said.get("tools") else "end_turn"
    if not said.get("stream"):
        await answer(writer, {**message, "content": [block], "stop_reason": reason, "usage": usage})
        return
    delta: dict[str, Any] = {"type": "text_delta", "text": TEXT}
    start: dict[str, Any] = {"type": "text", "text": ""}
    if said.get("tools"):
        start = {**tool, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(tool["input"])}
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    await stream(
        writer,
        events(
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": {"output_tokens": OUTPUT_TOKENS},
            },
            {"type": "message_stop"},
            named=True,
        ),
    )


async def _chat(request: Request, writer: asyncio.StreamWriter) -> None:
    said = request.said
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    head = {"id": "chatcmpl-1", "created": 1, "model": said["model"]}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"where": "here"}'}}
    content: dict[str, Any] = {"content": TEXT}
    if said.get("tools"):
        content = {"content": None, "tool_calls": [{"index": 0, **call}] if said.get("stream") else [call]}
    reason = "tool_calls" if said.get("tools") else "stop"
    if not said.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", **content}, "finish_reason": reason}
        await answer(writer, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        return
    head["object"] = "chat.completion.chunk"
    told = [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", **content}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
    ]
    if said.get("stream_options", {}).get("include_usage"):
        told.append({**head, "choices": [], "usage": usage})
    await stream(writer, events(*told) + b"data: [DONE]\n\n")


async def _responses(request: Request, writer: asyncio.StreamWriter) -> None:
    said = request.said
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"type": "message", "id": "m_1", "status": "completed", "role": "assistant", "content": [part]}
    usage = {
        "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": said["model"], "status": "completed"}
    whole |= {"output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": usage}
    if not said.get("stream"):
        await answer(writer, whole)
        return
    place = {"item_id": "m_1", "output_index": 0, "content_index": 0}
    begun = {**item, "status": "in_progress", "content": []}
    await stream(
        writer,
        events(
            {"type": "response.created", "sequence_number": 0, "response": {**whole, "output": [], "usage": None}},
            {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": begun},
            {"type": "response.content_part.added", "sequence_number": 2, **place, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", "sequence_number": 3, **place, "delta": TEXT, "logprobs": []},
            {"type": "response.completed", "sequence_number": 4, "response": whole},
            named=True,
        ),
    )


async def _gemini(request: Request, writer: asyncio.StreamWriter) -> None:
    method = request.path.partition("?")[0].rpartition(":")[2]
    if method == "countTokens":
        await answer(writer, {"totalTokens": INPUT_TOKENS})
        return
    part: dict[str, Any] = {"text": TEXT}
    if request.said.get("tools"):
        part = {"functionCall": {"name": "look", "args": {"where": "here"}}}
    usage = {"promptTokenCount": INPUT_TOKENS, "candidatesTokenCount": OUTPUT_TOKENS - 2, "thoughtsTokenCount": 2}
    usage["totalTokenCount"] = INPUT_TOKENS + OUTPUT_TOKENS
    content = {"role": "model", "parts": [part]}
    whole = {"candidates": [{"content": content, "index": 0, "finishReason": "STOP"}], "usageMetadata": usage}
    if method == "generateContent":
        await answer(writer, whole)
        return
    first = {"candidates": [{"content": content, "index": 0}], "usageMetadata": {**usage, "candidatesTokenCount": 1}}
    last = {"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}]}
    await stream(writer, events(first, {**last, "usageMetadata": usage}).replace(b"\n", b"\r\n"))
