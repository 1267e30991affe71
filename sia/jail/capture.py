"""Streams a program's output to its log with bounded disk and memory: the head, the tail, and how much lies between."""

import time
from pathlib import Path
from typing import BinaryIO

from sia.jail.protocol import OnLine
from sia.plainfile import on_one_line

TAIL_BYTES = 256 * 1024
LINE_BYTES = 400
INTERVAL = 0.05


class Capture:
    """Takes output in pieces; the log holds at most `limit` bytes of it."""

    def __init__(self, log: Path, limit: int, on_line: OnLine | None = None) -> None:
        self._file: BinaryIO = log.open("wb", buffering=0)
        self._tail_size = min(TAIL_BYTES, limit // 2)
        self._head_left = limit - self._tail_size
        self._tail = bytearray()
        self._on_line = on_line
        self._told = 0.0
        self._line = bytearray()
        self.total = 0
        self.kept = 0
        self.last_line = ""

    def take(self, piece: bytes) -> None:
        """The next piece of output. Raises OSError when the log cannot be written."""
        self.total += len(piece)
        self._follow(piece)
        head, rest = piece[: self._head_left], piece[self._head_left :]
        if head:
            self._file.write(head)
            self._head_left -= len(head)
        self._tail += rest
        if len(self._tail) > 2 * self._tail_size:
            del self._tail[: len(self._tail) - self._tail_size]

    def close(self) -> None:
        """Writes the tail and closes the log."""
        with self._file:
            written = self._file.tell()
            tail = bytes(self._tail[-self._tail_size :]) if self._tail_size else b""
            self.kept = written + len(tail)
            left_out = self.total - self.kept
            if left_out:
                self._file.write(f"\n[... {left_out} bytes left out ...]\n".encode())
            self._file.write(tail)
        self._note(bytes(self._line))

    def _follow(self, piece: bytes) -> None:
        *whole, rest = piece.rsplit(b"\n", 1)
        if whole:
            lines = whole[0][-4 * LINE_BYTES :].split(b"\n")
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
            for line in reversed(lines):
                if line.strip():
                    self._note(line)
                    break
        self._line += rest[:LINE_BYTES]
        del self._line[LINE_BYTES:]

    def _note(self, line: bytes) -> None:
        text = on_one_line(line[:LINE_BYTES].decode("utf-8", "replace").strip())[:200]
        if not text:
            return
        self.last_line = text
        now = time.monotonic()
        if self._on_line and now - self._told >= INTERVAL:
            self._told = now
            self._on_line(text)
