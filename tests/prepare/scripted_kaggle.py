"""Kaggle's API on loopback, for Kaggle's own client, which is not changed in anything.

The client always talks to https://api.kaggle.com, and is sent on to https://storage.googleapis.com for the data. Like
any program behind a company's proxy it is told `HTTPS_PROXY` and `REQUESTS_CA_BUNDLE`. The proxy is this server: it
answers for both hosts itself, with certificates of a CA made for the test. So real are: the client, its requests and
their signing-in, TLS, redirects, ranges, retries. Not real: what the servers answer, which is written from the
client's own code.
"""

import base64
import contextlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

API, STORE = "api.kaggle.com", "storage.googleapis.com"
USER, KEY, TOKEN = "ada", "0123456789abcdef", "KGAT_0123456789abcdef"
ETAG, MODIFIED = '"first"', "Mon, 02 Mar 2020 10:00:00 GMT"


@dataclass
class ScriptedKaggle:
    """What Kaggle knows, how it behaves, and what it was asked."""

    slug: str
    archive: bytes
    files: dict[str, int]
    metric: str = "Categorization Accuracy"
    pages: dict[str, str] = field(default_factory=dict)
    rules_accepted: bool = True
    limited: bool = False
    break_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next transfers breaks off."""
    stall_after: int | None = None
    """Bytes after which the next transfer says nothing more."""
    stalled: threading.Event = field(default_factory=threading.Event)
    enough: threading.Event = field(default_factory=threading.Event)
    """Ends the silence of a transfer that stalls."""
    asked: list[str] = field(default_factory=list)
    """Path of each request; of transfers the `Range` as well."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables that lead the client here."""


@contextmanager
def serve(kaggle: ScriptedKaggle, folder: Path) -> Iterator[ScriptedKaggle]:
    """Serves until the block ends; certificates go to `folder`."""
    authority = trustme.CA()
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(API, STORE).configure_cert(context)
    handler = type("Handler", (_Handler,), {"kaggle": kaggle, "context": context})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kaggle.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{server.server_port}",
            "REQUESTS_CA_BUNDLE": str(folder / "ca.pem"),
        }
        yield kaggle
        server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    kaggle: ScriptedKaggle
    context: ssl.SSLContext
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        assert self.path in (f"{API}:443", f"{STORE}:443"), self.path
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        call = self.path.rsplit("/", 1)[-1]
        self.kaggle.asked.append(call)
        if call == "IntrospectToken":
            active = request["token"] == TOKEN
            self._answer({"active": active, "username": USER if active else ""})
        elif self.kaggle.limited:
            self._refuse(429, "Too many requests", {"Retry-After": "7"})
        elif not self._signed_in():
            self._refuse(401, "Unauthenticated")
        elif request.get("competitionName") != self.kaggle.slug:
            self._refuse(404, "Competition not found")
        elif call == "GetCompetition":
            self._answer({"title": "Who Is It?", "evaluationMetric": self.kaggle.metric, "licenseName": "CC0"})
        elif call == "ListCompetitionPages":
            self._answer({"pages": [{"name": name, "content": text} for name, text in self.kaggle.pages.items()]})
        elif not self.kaggle.rules_accepted:
            self._refuse(403, "You must accept this competition's rules before you'll be able to download files.")
        elif call == "ListDataFiles":
            self._list(request.get("pageToken"))
        elif call == "DownloadDataFiles":
            self.send_response(302)
            self.send_header("Location", f"https://{STORE}/bundle/archive.zip?signature=abc")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._refuse(404, f"no call {call}")

    def do_GET(self) -> None:
        data, first = self.kaggle.archive, 0
        wanted = self.headers.get("Range")
        self.kaggle.asked.append(f"GET {wanted}" if wanted else "GET")
        if wanted and self.headers.get("If-Range") in (None, ETAG):
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if first else 200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", ETAG)
        self.send_header("Last-Modified", MODIFIED)
        self.send_header("Content-Length", str(len(data) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.kaggle.stall_after is not None:
            self.wfile.write(data[first : first + self.kaggle.stall_after])
            self.kaggle.stall_after = None
            self.kaggle.stalled.set()
            self.kaggle.enough.wait(60)
            self._hang_up()
            return
        if self.kaggle.break_after:
            self.wfile.write(data[first : first + self.kaggle.break_after.pop(0)])
            self._hang_up()
            return
        self.wfile.write(data[first:])

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _signed_in(self) -> bool:
        basic = base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        return self.headers.get("Authorization") in (f"Basic {basic}", f"Bearer {TOKEN}")

    def _list(self, token: str | None) -> None:
        """One file a page, so that the pages are followed."""
        names, at = list(self.kaggle.files), int(token or 0)
        page: dict[str, Any] = {"files": [{"name": names[at], "totalBytes": self.kaggle.files[names[at]]}]}
        self._answer(page | ({"nextPageToken": str(at + 1)} if at + 1 < len(names) else {}))

    def _answer(self, content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self._answer({"code": status, "message": message}, status, headers)
