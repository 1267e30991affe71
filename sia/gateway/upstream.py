"""Sends a call to its provider, again where that helps, and says what is known of the calls that got no answer."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

RETRIED = frozenset({408, 409, 429})
"""Statuses below 500 that are tried again; above, all are."""
NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
MOST_ANSWER_BYTES = 32 << 20


@dataclass(frozen=True)
class Patience:
    """How long the gateway waits, in seconds, and how often it tries."""

    call: float = 900.0
    """For one call with all its tries."""
    stall: float = 240.0
    """For the next byte of a stream."""
    connect: float = 10.0
    tries: int = 6
    first_wait: float = 0.5
    """Before the second try, doubled each time, then drawn between half and all of it."""
    longest_wait: float = 30.0


@dataclass(frozen=True)
class Outgoing:
    """A request as it leaves."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    stream: bool


@dataclass(frozen=True)
class Answer:
    """What came back. `content` is None where the body is a stream that the receiver reads and closes."""

    response: httpx2.Response
    content: bytes | None
    retries: int


class NoAnswerError(Exception):
    """The upstream gave no answer. The text says what happened."""

    def __init__(self, what: str, retries: int, lost: bool) -> None:
        self.retries = retries
        self.lost = lost
        """Whether the last try may have been billed."""
        super().__init__(what)


class BrokenStreamError(Exception):
    """A stream stalled or broke off after its beginning."""


class Upstream:
    """Connections to providers. Lives in one event loop."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=5.0)
        self._client = httpx2.AsyncClient(limits=limits, follow_redirects=False)

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def send(self, outgoing: Outgoing, deadline: float, on_lost: Callable[[], Awaitable[None]]) -> Answer:
        """The answer of the first try that is not worth another one, or of the last.

        `on_lost` is awaited after a try that may have been billed although no answer came, before the next one; what it
        raises ends the call. `deadline` is on the clock of `time.monotonic`; a wait that would end after it is not
        begun. Raises NoAnswerError.
        """
        wait = self._patience.first_wait
        for retries in range(self._patience.tries):
            answer, problem, lost = None, "", False
            try:
                answer = await self._once(outgoing, deadline, retries)
            except NOT_SENT as error:
                problem = f"cannot reach {_host(outgoing)}: {_words(error)}"
            except (httpx2.TransportError, httpx2.DecodingError) as error:
                problem, lost = f"{_host(outgoing)} broke off: {_words(error)}", True
            if answer is not None and not _is_retried(answer.response.status_code):
                return answer
            pause = _asked_wait(answer) if answer is not None else None
            if pause is None:
                pause = min(wait, self._patience.longest_wait) * random.uniform(0.5, 1.0)
            if retries + 1 == self._patience.tries or time.monotonic() + pause >= deadline:
                break
            await asyncio.sleep(pause)
            if lost:
                await on_lost()
            wait *= 2
        if answer is None:
            raise NoAnswerError(f"{problem} ({retries + 1} tries)" if retries else problem, retries, lost)
        return answer

    async def _once(self, outgoing: Outgoing, deadline: float, retries: int) -> Answer:
        left = max(0.001, deadline - time.monotonic())
        patience = self._patience
        timeout = httpx2.Timeout(
            left, connect=patience.connect, read=min(left, patience.stall) if outgoing.stream else left
        )
        request = self._client.build_request(
            "POST", outgoing.url, content=outgoing.body, headers=dict(outgoing.headers), timeout=timeout
        )
        response = await self._client.send(request, stream=True)
        if outgoing.stream and response.status_code == 200:
            return Answer(response, None, retries)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MOST_ANSWER_BYTES:
                    raise httpx2.ReadError(f"more than {MOST_ANSWER_BYTES >> 20} MiB of answer")
        finally:
            await response.aclose()
        return Answer(response, bytes(content), retries)


async def pieces(answer: Answer) -> AsyncIterator[bytes]:
    """The body of a streamed answer as it comes; closes the connection. Raises BrokenStreamError."""
    response = answer.response
    try:
        async for piece in response.aiter_bytes():
            yield piece
    except httpx2.ReadTimeout:
        raise BrokenStreamError("the provider's stream stalled") from None
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        raise BrokenStreamError(f"the provider's stream broke off: {_words(error)}") from None
    finally:
        await response.aclose()


def _is_retried(status: int) -> bool:
    return status in RETRIED or status >= 500


def _asked_wait(answer: Answer) -> float | None:
    """Seconds that the upstream asks to wait; None when it does not say."""
    headers = answer.response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        text = headers.get("retry-after", "")
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _host(outgoing: Outgoing) -> str:
    return httpx2.URL(outgoing.url).netloc.decode()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
