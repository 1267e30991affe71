"""Server-sent events of an answer, cut out of a stream of bytes without changing one."""

import json
from collections.abc import Iterator
from typing import Any

MOST_EVENT_BYTES = 16 << 20
Event = tuple[bytes, dict[str, Any] | None]
"""The bytes of an event, and its JSON object; None for comments, pings and `[DONE]`."""


class BadStreamError(Exception):
    """The upstream sends something that is no stream of events."""


class EventReader:
    """Takes pieces as they come; gives whole events with what they say."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, piece: bytes) -> Iterator[Event]:
        """Each finished event.

        Raises BadStreamError for data that is no JSON, and for an event without an end.
        """
        text = self._rest + piece
        start = 0
        while (end := _event_end(text, start)) is not None:
            event = text[start:end]
            start = end
            yield event, _data(event)
        self._rest = text[start:]
        if len(self._rest) > MOST_EVENT_BYTES:
            raise BadStreamError(f"an event of the stream is longer than {MOST_EVENT_BYTES >> 20} MiB")

    def end(self) -> Iterator[Event]:
        """What is left when the stream ends: an event whose blank line is missing."""
        rest, self._rest = self._rest, b""
        if rest.strip():
            yield rest, _data(rest)


def _event_end(text: bytes, start: int) -> int | None:
    ends = [at + len(blank) for blank in (b"\n\n", b"\r\n\r\n", b"\r\r") if (at := text.find(blank, start)) >= 0]
    return min(ends, default=None)


def _data(event: bytes) -> dict[str, Any] | None:
    parts = []
    for line in event.splitlines():
        name, _, value = line.partition(b":")
        if name == b"data":
            parts.append(value.removeprefix(b" "))
        elif name.strip() and name not in (b"event", b"id", b"retry"):
            raise BadStreamError(f"the stream has a line that is no event: {line[:80]!r}")
    data = b"\n".join(parts)
    if not data or data == b"[DONE]":
        return None
    try:
        said = json.loads(data)
    except ValueError:
        raise BadStreamError(f"the stream has an event that is no JSON: {data[:80]!r}") from None
    return said if isinstance(said, dict) else None
