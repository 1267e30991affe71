"""The gateway as one jailed program sees it: an HTTP server that passes on what the program's grant allows."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from starlette.types import Receive, Scope, Send

from sia.gateway.budget import CapReachedError
from sia.gateway.call import Call
from sia.gateway.dialects import find_endpoint
from sia.gateway.dialects.protocol import Json
from sia.gateway.engine import Engine
from sia.gateway.exchange import exchange
from sia.gateway.grant import Grant
from sia.gateway.providers import LOCAL
from sia.gateway.recording import Recorded
from sia.gateway.reply import JSON_TYPE, Reply
from sia.gateway.sse import BadStreamError
from sia.gateway.trace import Source, digest, request_key
from sia.gateway.upstream import BrokenStreamError, NoAnswerError

MOST_REQUEST_BYTES = 32 << 20
CLIENT_LEFT = 499
"""Status in the trace of a call whose program did not wait for the answer."""


class RefusedError(Exception):
    """The grant does not allow the call, or it makes no sense. The text tells the program why."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


@dataclass
class Service:
    """An ASGI application for one grant."""

    grant: Grant
    engine: Engine
    _running: set["asyncio.Task[None]"] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.grant.side_by_side)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; gives it up when the program does not wait for the answer."""
        if scope["type"] != "http":
            return
        reply = Reply(send)
        body = await _read(receive)
        if body is None:
            return
        work = asyncio.create_task(self._answer(scope, body, reply))
        self._running.add(work)
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            leaving.cancel()
            await asyncio.wait((work, leaving))
            self._running.discard(work)
        if not work.cancelled() and (error := work.exception()):
            raise error

    async def end(self) -> None:
        """Gives up all calls that are still running, and returns when they are settled."""
        running = list(self._running)
        for work in running:
            work.cancel()
        if running:
            await asyncio.wait(running)

    async def _answer(self, scope: Scope, body: bytes, reply: Reply) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        dialect, endpoint = find_endpoint(scope["method"], scope["path"], headers)
        token = dialect.token(headers, query)
        query.pop("key", None)
        target = scope["path"] + (f"?{urlencode(query)}" if query else "")
        self.engine.journal.last_id += 1
        call = Call(
            grant=self.grant,
            dialect=dialect,
            endpoint=endpoint,
            path=scope["path"][:200],
            target=target,
            body=body,
            id=self.engine.journal.last_id,
            request=digest(body),
            key=request_key(f"{self.grant.model.full_name} {self.grant.adapter or ''}", target, body),
        )
        try:
            self._check(call, token, headers)
            if call.endpoint == "models":
                await reply.whole(200, JSON_TYPE, json.dumps(call.dialect.models(self.grant.model.name)).encode())
                return
            found = self.engine.find(call)
            if found is not None:
                await self._repeat(call, *found, reply)
                return
            if self.engine.replay is not None:
                raise RefusedError(404, "this request is not in the recording that is replayed")
            if self.grant.missing_key:
                raise RefusedError(
                    401, f"no key for {self.grant.model.provider.name}: {self.grant.missing_key} is not set"
                )
            await self.grant.pace.turn()
            async with self._slots:
                await self._pass_on(call, headers, reply)
        except RefusedError as refused:
            call.source, call.status, call.error = "gateway", refused.status, str(refused)
            call.take(await reply.error(dialect, refused.status, str(refused)))
            self.engine.finish(call)

    def _check(self, call: Call, token: str, headers: Mapping[str, str]) -> None:
        """Raises RefusedError for anything but a good request for the one model."""
        model = self.grant.model
        if token != self.grant.token:
            raise RefusedError(
                401, "the key is not the one that this program was given; leave the key variables as they are"
            )
        if call.endpoint is None:
            raise RefusedError(404, f"the gateway does not pass on {call.path}")
        if len(call.body) >= MOST_REQUEST_BYTES:
            raise RefusedError(413, f"the request is longer than {MOST_REQUEST_BYTES >> 20} MiB")
        if headers.get("content-encoding", "identity") != "identity":
            raise RefusedError(415, "the request is compressed; send it plain")
        if call.dialect.name != model.provider.dialect:
            raise RefusedError(
                403,
                f"model {model.name} is served in the {model.provider.dialect} dialect, not in {call.dialect.name}'s",
            )
        if call.endpoint == "models":
            return
        call.said = _json(call.body)
        call.asked = call.dialect.read(call.path, call.said)
        if call.asked.model != model.name:
            raise RefusedError(403, f"model {call.asked.model[:100]!r} is not allowed here, only {model.name!r}")
        if call.asked.refused:
            raise RefusedError(403, f"not allowed: {call.asked.refused[:200]}")
        if call.said.get("adapter", self.grant.adapter) != self.grant.adapter:
            raise RefusedError(403, "the gateway chooses the adapter; leave it out")
        if call.endpoint == "score" and model.provider.name != LOCAL:
            raise RefusedError(404, f"{call.path} is for local models; {model.provider.name} has no such call")

    async def _repeat(self, call: Call, found: Recorded, source: Source, reply: Reply) -> None:
        call.status = found.call.status
        self.engine.repeat(call, found, source)
        more = {"x-should-retry": "false"} if found.call.status >= 400 else None
        await reply.whole(found.call.status, found.call.content_type or JSON_TYPE, found.body, more)

    async def _pass_on(self, call: Call, headers: Mapping[str, str], reply: Reply) -> None:
        """Sends the call to its provider and the answer back, and settles it however it ends."""
        problem: tuple[int, str] | None = None
        try:
            async with asyncio.timeout(self.engine.patience.call):
                await exchange(self.engine, call, headers, reply)
        except CapReachedError as reached:
            call.source = "upstream" if call.lost else "gateway"
            problem = 402, f"{reached}: no further model calls"
        except NoAnswerError as missing:
            call.retries = missing.retries
            call.may_be_billed = missing.lost
            problem = 502, str(missing)
        except TimeoutError:
            problem = 504, f"no whole answer within {self.engine.patience.call:g} s"
        except (BrokenStreamError, BadStreamError) as bad:
            problem = 502, str(bad)
        except OSError as error:
            self.engine.failures.append(error)
            problem = 500, f"the gateway cannot record the call: {error.strerror}"
        except asyncio.CancelledError:
            call.error = "the program left before the answer's end"
            call.status = call.status or CLIENT_LEFT
            raise
        finally:
            # With a problem the call is not over: the program has to be told.
            if problem is None:
                self.engine.finish(call)
        if problem is not None:
            await self._tell(call, *problem, reply)

    async def _tell(self, call: Call, status: int, message: str, reply: Reply) -> None:
        call.error = message
        try:
            if reply.started:
                ending = call.dialect.stream_error(message)
                call.answer.append(ending)
                await reply.piece(ending, more=False)
            else:
                call.status, call.content_type = status, JSON_TYPE
                call.answer = [json.dumps(call.dialect.error(status, message)).encode()]
                await reply.whole(status, JSON_TYPE, call.answer[0], {"x-should-retry": "false"})
        finally:
            self.engine.finish(call)


async def _read(receive: Receive) -> bytes | None:
    """The request's body, cut at the bound; None when the program left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) < MOST_REQUEST_BYTES:
            body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _left(receive: Receive) -> None:
    """Returns when the program has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(body: bytes) -> Json:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the request is no JSON") from None
    if not isinstance(said, dict):
        raise RefusedError(400, "the request is no JSON object")
    return said
