"""Unpacks what Kaggle or a user hands over, as hostile input: bounded, inside the folder, whole or an error."""

import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from sia.errors import HostError, TaskError

MAX_RATIO = 200
"""Tables shrink to a twentieth; a file that shrinks to less than this part was made to."""
HARMLESS_BYTES = 256 << 20
"""Below it the ratio does not matter."""
MAX_MEMBERS = 1_000_000


def unpack(archive: Path, into: Path, wanted: Callable[[str], bool] = lambda name: True) -> list[str]:
    """Unpacks the members that are `wanted`, checking each one's CRC; returns the names of all.

    Raises TaskError for an archive that is damaged, encrypted, a bomb or climbs out of its folder, HostError when the
    disk has no room for it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [m for m in opened.infolist() if not m.is_dir()]
            _refuse_hostile(archive, members)
            chosen = [m for m in members if wanted(m.filename)]
            _refuse_large(archive, chosen, into)
            for member in chosen:
                target = into / PurePosixPath(member.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
            return [m.filename for m in members]
    except RuntimeError:
        raise TaskError(archive, "is encrypted", "unpack it, and give the folder with `--data-dir`") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise TaskError(archive, f"is not a whole zip file ({error})", "fetch it again") from None


def _refuse_hostile(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_MEMBERS:
        raise TaskError(
            archive, f"holds {len(members)} files; at most {MAX_MEMBERS} are unpacked", "unpack it yourself"
        )
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise TaskError(
                archive,
                f"holds the path {member.filename[:80]!r}, which climbs out of the archive",
                "do not trust it; fetch the archive from Kaggle again",
            )


def _refuse_large(archive: Path, members: list[zipfile.ZipInfo], into: Path) -> None:
    size = sum(m.file_size for m in members)
    packed = max(1, sum(m.compress_size for m in members))
    if size > HARMLESS_BYTES and size > MAX_RATIO * packed:
        raise TaskError(
            archive,
            f"is a zip bomb: {packed >> 10} KiB would unpack to {size >> 20} MiB",
            "do not trust it; if it is sound, unpack it and give the folder with `--data-dir`",
        )
    free = shutil.disk_usage(into).free
    if size > free:
        raise HostError(
            f"{archive} unpacks to {size >> 20} MiB, and {free >> 20} MiB are free in {into}", "free some space"
        )
