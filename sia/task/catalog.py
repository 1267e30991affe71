"""The tasks that come with SIA."""

import difflib
from pathlib import Path

from sia.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent


def bundled_root() -> Path:
    """`sia/tasks` in an installed package, `tasks` in a checkout."""
    inside = _PACKAGE / "tasks"
    return inside if inside.is_dir() else _PACKAGE.parent / "tasks"


def bundled_names() -> tuple[str, ...]:
    """Names of all bundled tasks, sorted."""
    return tuple(sorted(p.parent.name for p in bundled_root().glob("*/task.toml")))


def find_bundled(name: str) -> Path:
    """Folder of a bundled task. Raises UsageError that names the nearest one and all."""
    names = bundled_names()
    if name in names:
        return bundled_root() / name
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"there is no bundled task {name!r}", f"{hint}bundled: {', '.join(names) or 'none'}")
