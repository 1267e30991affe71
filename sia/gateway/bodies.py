"""Bodies of requests and answers, named by their SHA-256 and compressed: the same body is kept once."""

import gzip
import os
import threading
import zlib
from pathlib import Path

from sia.gateway.trace import digest

BODIES = "bodies"
LEVEL = 3


class Bodies:
    """A folder of bodies. `keep` is safe from several threads; a killed process leaves whole files only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the body with this digest lies."""
        return self.folder / name[:2] / f"{name}.gz"

    def keep(self, content: bytes) -> str:
        """Stores a body; returns its digest. Raises OSError when the disk is full."""
        name = digest(content)
        path = self.path(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{name}.{os.getpid()}.{threading.get_ident()}")
            beside.write_bytes(self.compressed(content))
            beside.replace(path)
        return name

    @staticmethod
    def compressed(content: bytes) -> bytes:
        """The file of a body. No time inside: the same body gives the same file."""
        return gzip.compress(content, LEVEL, mtime=0)

    def get(self, name: str) -> bytes | None:
        """The body with this digest; None when it was not kept, or is damaged."""
        try:
            content = gzip.decompress(self.path(name).read_bytes())
        except (OSError, EOFError, zlib.error):
            return None
        return content if digest(content) == name else None
