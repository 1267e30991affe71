"""Gemini (ai.google.dev/api/generate-content): the model stands in the path, and usage in every piece of a stream."""

import json
import re
from collections.abc import Iterator, Mapping

from sia.gateway.dialects.protocol import Asked, Endpoint, Json, integer, limit, table, tables
from sia.gateway.usage import Usage

PATH = re.compile(r"/v1(?:alpha|beta)?/models/([^/:]+):(\w+)")
METHODS: Mapping[str, Endpoint] = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "countTokens": "count",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}
NOT_TEXT = frozenset({"inlineData", "inline_data"})
FETCHED = frozenset({"fileData", "file_data"})
CLIENT_TOOLS = frozenset({"functionDeclarations", "function_declarations"})
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini:
    """See the protocol."""

    name = "gemini"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if method == "GET" and re.fullmatch(r"/v1(?:alpha|beta)?/models", path) and path != "/v1/models":
            return "models"
        match = PATH.fullmatch(path)
        return METHODS.get(match[2]) if match and method == "POST" else None

    def upstream_path(self, path: str) -> str:
        return path

    def token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key") or query.get("key", "")

    def authorize(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def read(self, path: str, body: Json) -> Asked:
        match = PATH.fullmatch(path)
        assert match is not None
        settings = table(body.get("generationConfig") or body.get("generation_config"))
        most = limit(settings.get("maxOutputTokens") or settings.get("max_output_tokens"))
        choices = max(1, integer(settings.get("candidateCount") or settings.get("candidate_count")))
        return Asked(
            model=match[1],
            stream=match[2] == "streamGenerateContent",
            max_output=0 if METHODS.get(match[2]) == "embed" else most and most * choices,
            textual=all(NOT_TEXT.isdisjoint(part) for part in _parts(body))
            and not (body.get("cachedContent") or body.get("cached_content")),
            refused=_refused(body),
        )

    def usage(self, before: Usage | None, event: Json) -> Usage | None:
        told = event.get("usageMetadata")
        if not isinstance(told, dict):
            return before
        prompt, cached = integer(told.get("promptTokenCount")), integer(told.get("cachedContentTokenCount"))
        return Usage(
            input=max(0, prompt - cached) + integer(told.get("toolUsePromptTokenCount")),
            cache_read=cached,
            output=integer(told.get("candidatesTokenCount")) + integer(told.get("thoughtsTokenCount")),
        )

    def is_last(self, event: Json) -> bool:
        if table(event.get("promptFeedback")).get("blockReason"):
            return True
        return any(candidate.get("finishReason") for candidate in tables(event.get("candidates")))

    def error(self, status: int, message: str) -> Json:
        return {"error": {"code": status, "message": message, "status": STATUSES.get(status, "INTERNAL")}}

    def stream_error(self, message: str) -> bytes:
        return b"data: " + json.dumps(self.error(500, message)).encode() + b"\n\n"

    def models(self, model: str) -> Json:
        methods = ["generateContent", "streamGenerateContent", "countTokens"]
        return {"models": [{"name": f"models/{model}", "displayName": model, "supportedGenerationMethods": methods}]}


def _parts(body: Json) -> Iterator[Json]:
    contents = tables(body.get("contents")) or [table(body.get("contents"))]
    for request in tables(body.get("requests")):
        contents.append(table(request.get("content")))
    for content in (*contents, table(body.get("content"))):
        yield from tables(content.get("parts")) or [table(content.get("parts"))]


def _refused(body: Json) -> str | None:
    for tool in tables(body.get("tools")):
        for kind in tool:
            if kind not in CLIENT_TOOLS:
                return f"the tool {kind}, which the provider carries out outside the sandbox"
    if any(not FETCHED.isdisjoint(part) for part in _parts(body)):
        return "content by URI, which the provider fetches outside the sandbox"
    return None
