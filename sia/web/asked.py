"""Reads what a request asks for: names and numbers in paths and queries, nothing taken as it comes."""

import re
from collections.abc import Mapping
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request

from sia.errors import SiaError
from sia.report.story import Chapter, RunStory, read_story
from sia.store.run_directory import run_path

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def story_asked(runs_dir: Path, run_id: str) -> RunStory:
    """The story of the run with this id. Raises HTTPException 404 with the reason."""
    try:
        return read_story(run_path(runs_dir, run_id))
    except SiaError as error:
        raise HTTPException(404, str(error)) from None
    except OSError as error:
        raise HTTPException(404, f"run {run_id}: {error.strerror}") from None


def generation_asked(request: Request, story: RunStory) -> Chapter:
    """The decided generation in the path. Raises HTTPException 404."""
    number = request.path_params["generation"]
    chapter = story.by_number.get(int(number)) if _NUMBER.fullmatch(number) else None
    if chapter is None:
        raise HTTPException(404, f"run {story.run_id} has no decided generation {number[:20]}")
    return chapter


def whole(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number above 0 of the query, or `default` for anything else."""
    value = query.get(name, "")
    return int(value) if _NUMBER.fullmatch(value) else default


def maybe_whole(query: Mapping[str, str], name: str) -> int | None:
    """The same, or None."""
    value = query.get(name, "")
    return int(value) if _NUMBER.fullmatch(value) else None


def maybe_real(query: Mapping[str, str], name: str) -> float | None:
    """A finite number of the query, or None for anything else."""
    try:
        value = float(query.get(name, "")[:40])
    except ValueError:
        return None
    return value if abs(value) < 1e100 else None


def one_of(query: Mapping[str, str], name: str, known: tuple[str, ...], default: str = "") -> str:
    """A word of the query that is one of `known`, or `default`."""
    value = query.get(name, "")
    return value if value in known else default
