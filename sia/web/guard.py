"""Who may ask: Host and Origin are checked, other machines need a token, and every answer carries strict headers.

A page of another site could otherwise read the runs through the user's own browser, directly (Origin) or by giving its
name the address 127.0.0.1 (DNS rebinding: Host).
"""

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "sia_token"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """Under which names the dashboard may be asked, and with what."""

    names: frozenset[str] = LOOPBACK_NAMES
    """Host names without port, lower case."""
    addresses: bool = False
    """Whether any IP address is a good name as well: no foreign page can take one."""
    token: str | None = None
    prefix: str = ""
    """Path that a proxy leaves in front, such as `/sia`."""

    def allows(self, host: str) -> bool:
        """Whether the Host header `host` is one of the names."""
        name = host_name(host)
        return name in self.names or (self.addresses and _is_address(name))


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on and adds the headers to the answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = _refusal(scope, self._access)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        await self._app(_without_prefix(scope, self._access.prefix), receive, send_guarded)


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without port and brackets; empty when it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refusal(scope: Scope, access: Access) -> Response | None:
    """Why this request is not answered; None when it is."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return PlainTextResponse("only GET is answered\n", 405, {"Allow": "GET, HEAD"})
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not access.allows(hosts[0]):
        return PlainTextResponse("not served under this name; start `sia web` with --allow-host NAME\n", 403)
    if not _same_origin(headers, hosts[0]):
        return PlainTextResponse("requests from other sites are not answered\n", 403)
    if access.token is None or _has_token(scope, headers, access.token):
        return _take_token(scope, access.token)
    return PlainTextResponse("a token is needed; open the address that `sia web` printed\n", 401)


def _same_origin(headers: Headers, host: str) -> bool:
    origins = headers.getlist("origin")
    if any(urlsplit(origin).netloc.lower() != host.lower() for origin in origins):
        return False
    # A link on another site may lead here; its pictures, scripts and requests may not.
    fetched_from = headers.get("sec-fetch-site", "none")
    return fetched_from in ("none", "same-origin") or headers.get("sec-fetch-mode") == "navigate"


def _has_token(scope: Scope, headers: Headers, token: str) -> bool:
    given: Iterable[str] = (
        _query(scope).get("token", ""),
        _cookie(headers.get("cookie", "")),
        headers.get("authorization", "").removeprefix("Bearer "),
    )
    return any(hmac.compare_digest(one.encode("utf-8", "replace"), token.encode()) for one in given)


def _take_token(scope: Scope, token: str | None) -> Response | None:
    """Moves a token from the address into a cookie, so that it does not stay in the browser's history."""
    query = _query(scope)
    if token is None or "token" not in query:
        return None
    rest = urlencode({name: value for name, value in query.items() if name != "token"})
    response = Response(status_code=303, headers={"Location": f"?{rest}" if rest else "?"})
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
    return response


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _without_prefix(scope: Scope, prefix: str) -> Scope:
    path: str = scope["path"]
    if not prefix or not path.startswith(f"{prefix}/"):
        return scope
    return {**scope, "path": path[len(prefix) :], "raw_path": None}
