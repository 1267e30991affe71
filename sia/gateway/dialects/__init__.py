"""The three dialects that clients speak. Bodies pass as they are; a dialect only reads them."""

from collections.abc import Mapping

from sia.gateway.dialects.anthropic import Anthropic
from sia.gateway.dialects.gemini import Gemini
from sia.gateway.dialects.openai import OpenAI
from sia.gateway.dialects.protocol import Dialect, Endpoint
from sia.gateway.providers import DialectName

DIALECTS: Mapping[DialectName, Dialect] = {"anthropic": Anthropic(), "openai": OpenAI(), "gemini": Gemini()}


def find_endpoint(method: str, path: str, headers: Mapping[str, str]) -> tuple[Dialect, Endpoint | None]:
    """The dialect of a request, and what it asks for; None: nothing that the gateway passes on."""
    if path == "/v1/models" and "anthropic-version" in headers:
        return DIALECTS["anthropic"], "models"
    for dialect in DIALECTS.values():
        endpoint = dialect.endpoint(method, path)
        if endpoint is not None:
            return dialect, endpoint
    if path.startswith("/v1/messages"):
        return DIALECTS["anthropic"], None
    return DIALECTS["gemini" if path.startswith("/v1beta/") else "openai"], None
