"""Text that an agent wrote, made fit for people: no escape codes, no tricks with direction, one page at a time."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from sia.plainfile import open_plain, without_escapes

PAGE_BYTES = 64 * 1024
MAX_SHOWN_CHARS = 20_000
T = TypeVar("T")


def plain(text: str) -> str:
    """`text` as it may be shown; a carriage return, as of a progress bar, ends a line."""
    return without_escapes(text.replace("\r\n", "\n").replace("\r", "\n"))


def shortened(text: str, limit: int = MAX_SHOWN_CHARS) -> str:
    """`text`, cut after `limit` characters with a word about how much there is."""
    return text if len(text) <= limit else f"{text[:limit]}\n[… {len(text):,} characters in all]"


def open_file(folder: Path, name: str) -> BinaryIO:
    """The regular file `name` beneath `folder`, opened for reading. Raises OSError for anything else."""
    try:
        return open_plain(folder / name, folder)
    except ValueError:
        raise FileNotFoundError(f"{name!r} is no name of a file") from None


@dataclass(frozen=True)
class TextPage:
    """One page of a long text file."""

    text: str
    page: int
    """From 1."""
    pages: int
    size: int
    """Bytes of the whole file."""


def read_text_page(file: BinaryIO, page: int | None) -> TextPage:
    """Page `page` of `file`, the last one when it is None or too high. Reads no more than that page.

    Pages are cut at line ends, where lines are shorter than a page.
    """
    size = os.fstat(file.fileno()).st_size
    pages = max(1, -(-size // PAGE_BYTES))
    page = min(max(page, 1), pages) if page is not None else pages
    start, end = (page - 1) * PAGE_BYTES, page * PAGE_BYTES
    file.seek(max(0, start - PAGE_BYTES))
    before = file.read(start - file.tell())
    content = file.read(PAGE_BYTES)
    # A line belongs to the page that it begins on.
    cut_start = 0 if start == 0 or before.endswith(b"\n") else content.find(b"\n") + 1
    if end < size and not content.endswith(b"\n"):
        rest = file.read(PAGE_BYTES)
        content += rest[: rest.find(b"\n") + 1]
    return TextPage(plain(content[cut_start:].decode("utf-8", "replace")), page, pages, size)


def page_of(rows: Sequence[T], page: int, length: int) -> tuple[Sequence[T], int, int]:
    """The rows of a page, the page that was taken (from 1) and the number of pages."""
    pages = max(1, -(-len(rows) // length))
    page = min(max(page, 1), pages)
    return rows[(page - 1) * length : page * length], page, pages


def tail(file: BinaryIO, offset: int | None, limit: int = PAGE_BYTES) -> tuple[str, int]:
    """What was appended since `offset` (None: the last `limit` bytes), as plain text, and the next offset."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - limit) if offset is None or offset > size else max(offset, size - limit)
    file.seek(start)
    content = file.read(size - start)
    return plain(content.decode("utf-8", "replace")), start + len(content)
