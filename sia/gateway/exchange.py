"""One call's way to its provider and back: the body goes out as it came, the answer comes back as it is."""

import json
import time
from collections.abc import Iterable, Mapping

from sia.gateway.call import Call
from sia.gateway.dialects.protocol import Json
from sia.gateway.engine import Engine
from sia.gateway.reply import JSON_TYPE, Reply, passed_back
from sia.gateway.sse import BadStreamError, Event, EventReader
from sia.gateway.upstream import MOST_ANSWER_BYTES, Answer, BrokenStreamError, Outgoing, pieces

NOT_PASSED_ON = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length", "expect"}
    | {"accept-encoding", "authorization", "x-api-key", "x-goog-api-key", "cookie", "proxy-authorization", "forwarded"}
)
NO_RETRY = {"x-should-retry": "false"}
"""Tells clients that the gateway has tried again already."""


async def exchange(engine: Engine, call: Call, headers: Mapping[str, str], reply: Reply) -> None:
    """Holds the worst case, sends the call, passes the answer on.

    Raises CapReachedError, NoAnswerError, BrokenStreamError, BadStreamError, and OSError when nothing can be recorded.
    """
    call.hold = await engine.hold(call)
    call.may_be_billed = True

    async def on_lost() -> None:
        engine.lose(call)
        call.hold = await engine.hold(call)
        call.may_be_billed = True

    outgoing = _outgoing(call, headers)
    answer = await engine.upstream.send(outgoing, time.monotonic() + engine.patience.call, on_lost)
    call.retries = answer.retries
    call.status = answer.response.status_code
    call.content_type = answer.response.headers.get("content-type", JSON_TYPE)
    if answer.content is None:
        await _stream(call, answer, reply)
    else:
        await _whole(call, answer, _without_key(call, answer.content), reply)


def _outgoing(call: Call, headers: Mapping[str, str]) -> Outgoing:
    grant = call.grant
    assert call.asked is not None
    passed = {name: value for name, value in headers.items() if name not in NOT_PASSED_ON}
    authorization = call.dialect.authorize(grant.key) if grant.key else {}
    return Outgoing(
        url=grant.model.provider.base_url + call.dialect.upstream_path(call.target),
        headers={**passed, "accept-encoding": "identity", **authorization},
        body=_body(call),
        stream=call.asked.stream,
    )


def _body(call: Call) -> bytes:
    """As it came, but for the adapter that the gateway chooses."""
    grant = call.grant
    if grant.adapter is None:
        return call.body
    return json.dumps({**call.said, grant.model.provider.adapter_field: grant.adapter}).encode()


async def _whole(call: Call, answer: Answer, content: bytes, reply: Reply) -> None:
    headers = passed_back(answer.response.headers)
    provider = call.grant.model.provider.name
    if call.status >= 300:
        call.may_be_billed = False
        call.error = f"{provider} answered {call.status}"
        if call.status == 401:
            # Providers quote parts of the key.
            content = json.dumps(call.dialect.error(401, f"{provider} refuses the key")).encode()
        call.take(content)
        await reply.whole(call.status, call.content_type, content, headers | NO_RETRY)
        return
    call.take(content)
    try:
        said = json.loads(content)
    except ValueError:
        raise BadStreamError(f"the answer of {provider} is no JSON") from None
    if isinstance(said, dict):
        call.read(said)
    call.complete = True
    await reply.whole(call.status, call.content_type, content, headers)


async def _stream(call: Call, answer: Answer, reply: Reply) -> None:
    reader = EventReader()
    try:
        async for piece in pieces(answer):
            await _pass_events(call, reader.take(piece), answer, reply)
    except BrokenStreamError:
        if not call.ended:
            raise
    await _pass_events(call, reader.end(), answer, reply)
    if not call.ended:
        raise BadStreamError("the provider's stream ended before the answer did")
    call.complete = call.error is None
    await reply.piece(b"", more=False)


async def _pass_events(call: Call, events: Iterable[Event], answer: Answer, reply: Reply) -> None:
    """Sends whole events on in one piece; those before a bad one as well."""
    whole: list[bytes] = []
    bad: BadStreamError | None = None
    try:
        for event, said in events:
            whole.append(event)
            if said is not None:
                _read_event(call, said)
    except BadStreamError as error:
        bad = error
    if whole:
        await _pass(call, b"".join(whole), answer, reply)
    if bad is not None:
        raise bad


def _read_event(call: Call, said: Json) -> None:
    call.read(said)
    if said.get("error") is not None:
        call.error = f"{call.grant.model.provider.name} ended the stream with an error"
    call.ended = call.ended or call.error is not None or call.dialect.is_last(said)


async def _pass(call: Call, content: bytes, answer: Answer, reply: Reply) -> None:
    content = _without_key(call, content)
    call.take(content)
    if call.answer_bytes > MOST_ANSWER_BYTES:
        raise BadStreamError(f"the stream is longer than {MOST_ANSWER_BYTES >> 20} MiB")
    if not reply.started:
        headers = {"content-type": call.content_type} | passed_back(answer.response.headers)
        await reply.start(call.status, headers)
    await reply.piece(content)


def _without_key(call: Call, content: bytes) -> bytes:
    """A provider may quote the key, in an error for example: nothing that holds it goes on."""
    key = call.grant.key
    return content.replace(key.encode(), b"***") if key else content
