"""The jail's own programs as bytecode: to compile them takes longer than to run them."""

import importlib.util
from functools import cache
from pathlib import Path

HEADER_BYTES = 16


@cache
def compiled(source: Path) -> str:
    """The bytecode that Python keeps beside a module of this package, if it is of this very source; else the source."""
    try:
        cached = importlib.util.cache_from_source(str(source))
        with open(cached, "rb") as file:  # noqa: PTH123
            header = file.read(HEADER_BYTES)
        status = source.stat()
    except (OSError, NotImplementedError):
        return str(source)
    # Magic number, flags (0: dated), time and size of the source, as `importlib._bootstrap_external` writes them.
    dated = b"\0\0\0\0" + (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    wanted = importlib.util.MAGIC_NUMBER + dated + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return cached if header == wanted else str(source)
