"""OpenAI: chat completions, responses, embeddings (platform.openai.com/docs/api-reference), and `/v1/score`.

The last is the local model server's own: log-probabilities of given continuations.
"""

import json
from collections.abc import Iterator, Mapping

from sia.gateway.dialects.protocol import Asked, Endpoint, Json, integer, limit, table, tables
from sia.gateway.usage import Usage

ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/chat/completions": "generate",
    "/v1/responses": "generate",
    "/v1/embeddings": "embed",
    "/v1/score": "score",
}
NOT_TEXT = frozenset({"image_url", "input_image", "input_audio", "file", "input_file", "item_reference"})
CLIENT_TOOLS = frozenset({"function", "custom"})
ERROR_CODES = {401: "invalid_api_key", 402: "budget_exceeded", 403: "not_allowed", 404: "not_found"}


class OpenAI:
    """See the protocol."""

    name = "openai"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if method == "GET" and path == "/v1/models":
            return "models"
        return ENDPOINTS.get(path) if method == "POST" else None

    def upstream_path(self, path: str) -> str:
        return path.removeprefix("/v1")

    def token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def authorize(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def read(self, path: str, body: Json) -> Asked:
        asked = body.get("max_completion_tokens") or body.get("max_output_tokens") or body.get("max_tokens")
        most = limit(asked)
        return Asked(
            model=str(body.get("model", "")),
            stream=body.get("stream") is True,
            max_output=0 if path in ("/v1/embeddings", "/v1/score") else most and most * max(1, integer(body.get("n"))),
            textual=all(part.get("type") not in NOT_TEXT for part in _parts(body))
            and not (body.get("previous_response_id") or body.get("conversation") or body.get("prompt")),
            refused=_refused(body),
        )

    def usage(self, before: Usage | None, event: Json) -> Usage | None:
        told = event.get("usage") or table(event.get("response")).get("usage")
        if not isinstance(told, dict):
            return before
        prompt = integer(told.get("prompt_tokens")) or integer(told.get("input_tokens"))
        details = table(told.get("prompt_tokens_details") or told.get("input_tokens_details"))
        cached = min(prompt, integer(details.get("cached_tokens")))
        answer = integer(told.get("completion_tokens")) or integer(told.get("output_tokens"))
        # Some compatible servers count hidden reasoning in the total only.
        return Usage(
            input=prompt - cached, cache_read=cached, output=max(answer, integer(told.get("total_tokens")) - prompt)
        )

    def is_last(self, event: Json) -> bool:
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            return True
        return any(choice.get("finish_reason") for choice in tables(event.get("choices")))

    def error(self, status: int, message: str) -> Json:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": ERROR_CODES.get(status)}}

    def stream_error(self, message: str) -> bytes:
        return b"data: " + json.dumps(self.error(500, message)).encode() + b"\n\n"

    def models(self, model: str) -> Json:
        return {"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": "sia"}]}


def _refused(body: Json) -> str | None:
    for tool in tables(body.get("tools")):
        kind = tool.get("type")
        if kind not in CLIENT_TOOLS:
            return f"the tool {kind}, which the provider carries out outside the sandbox"
    if body.get("web_search_options") is not None:
        return "web search, which the provider carries out outside the sandbox"
    if body.get("background"):
        return "background answers, which cannot be metered"
    if body.get("service_tier") not in (None, "auto", "default", "flex"):
        return f"service_tier {body['service_tier']!r}, whose price is not known"
    if any(_is_fetched(part) for part in _parts(body)):
        return "content by URL or file id, which the provider fetches outside the sandbox"
    return None


def _parts(body: Json) -> Iterator[Json]:
    """The parts of all messages and input items, and the input items themselves."""
    for message in (*tables(body.get("messages")), *tables(body.get("input"))):
        yield message
        for name in ("content", "output"):
            yield from tables(message.get(name))


def _is_fetched(part: Json) -> bool:
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    file = table(part.get("file"))
    by_id = part.get("file_id") or part.get("file_url") or file.get("file_id")
    return bool(by_id) or (isinstance(url, str) and not url.startswith("data:"))
