"""Anthropic Messages (platform.claude.com/docs/en/api/messages)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from sia.gateway.dialects.protocol import Asked, Endpoint, Json, integer, limit, table, tables
from sia.gateway.usage import Usage

ENDPOINTS: Mapping[str, Endpoint] = {"/v1/messages": "generate", "/v1/messages/count_tokens": "count"}
NOT_TEXT = frozenset({"image", "document", "container_upload", "file"})
CLIENT_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_")
"""Types of tools, or their beginnings, that the client carries out; the provider carries out all others."""
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic:
    """See the protocol."""

    name = "anthropic"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        return ENDPOINTS.get(path) if method == "POST" else None

    def upstream_path(self, path: str) -> str:
        return path

    def token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    def authorize(self, key: str) -> dict[str, str]:
        return {"x-api-key": key}

    def read(self, path: str, body: Json) -> Asked:
        return Asked(
            model=str(body.get("model", "")),
            stream=body.get("stream") is True,
            max_output=limit(body.get("max_tokens")),
            textual=all(part.get("type") not in NOT_TEXT for part in _parts(body)),
            refused=_refused(body),
        )

    def usage(self, before: Usage | None, event: Json) -> Usage | None:
        told = event.get("usage") or table(event.get("message")).get("usage")
        if not isinstance(told, dict):
            return before
        written = table(told.get("cache_creation"))
        long = integer(written.get("ephemeral_1h_input_tokens"))
        now = Usage(
            input=integer(told.get("input_tokens")),
            cache_read=integer(told.get("cache_read_input_tokens")),
            cache_write=max(0, integer(told.get("cache_creation_input_tokens")) - long),
            cache_write_long=long,
            output=integer(told.get("output_tokens")),
        )
        if before is None:
            return now
        # Counts of a stream are cumulative, and its last event may leave out the prompt's.
        return replace(before if now.all_input == 0 else now, output=max(before.output, now.output))

    def is_last(self, event: Json) -> bool:
        return event.get("type") == "message_stop"

    def error(self, status: int, message: str) -> Json:
        kind = ERROR_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}

    def stream_error(self, message: str) -> bytes:
        return b"event: error\ndata: " + json.dumps(self.error(500, message)).encode() + b"\n\n"

    def models(self, model: str) -> Json:
        entry = {"type": "model", "id": model, "display_name": model, "created_at": "1970-01-01T00:00:00Z"}
        return {"data": [entry], "has_more": False, "first_id": model, "last_id": model}


def _parts(body: Json) -> Iterator[Json]:
    """The parts of all messages, those inside results of tools included."""
    for message in tables(body.get("messages")):
        for part in tables(message.get("content")):
            yield part
            yield from tables(part.get("content"))


def _refused(body: Json) -> str | None:
    for tool in tables(body.get("tools")):
        kind = tool.get("type")
        if isinstance(kind, str) and not kind.startswith(CLIENT_TOOLS):
            return f"the tool {kind}, which the provider carries out outside the sandbox"
    if body.get("mcp_servers"):
        return "mcp_servers, which the provider calls outside the sandbox"
    if any(table(part.get("source")).get("type") in ("url", "file") for part in _parts(body)):
        return "content by URL or file id, which the provider fetches outside the sandbox"
    if body.get("speed") not in (None, "standard"):
        return f"speed {body['speed']!r}, whose price is not known"
    return None
