"""Writes an HTTP answer to the jailed program, whole or piece by piece, as fast as it reads and no faster."""

import json
from collections.abc import Mapping

from starlette.types import Send

from sia.gateway.dialects.protocol import Dialect

NOT_PASSED_BACK = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "date", "server"}
    | {"set-cookie", "alt-svc", "trailer", "upgrade", "proxy-authenticate"}
)
JSON_TYPE = "application/json"


class Reply:
    """One answer. `started` says whether its status has left."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Sends status and headers."""
        self.started = True
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def piece(self, content: bytes, more: bool = True) -> None:
        """Sends a part of the body; returns once the connection has room for more."""
        await self._send({"type": "http.response.body", "body": content, "more_body": more})

    async def whole(
        self, status: int, content_type: str, content: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Sends a complete answer."""
        told = {"content-type": content_type, "content-length": str(len(content)), **(headers or {})}
        await self.start(status, told)
        await self.piece(content, more=False)

    async def error(self, dialect: Dialect, status: int, message: str) -> bytes:
        """Sends an error in the dialect's form, that clients do not try again; returns its body."""
        body = json.dumps(dialect.error(status, message)).encode()
        await self.whole(status, JSON_TYPE, body, {"x-should-retry": "false"})
        return body


def passed_back(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an upstream's answer that the program gets."""
    return {name.lower(): value for name, value in headers.items() if name.lower() not in NOT_PASSED_BACK}
