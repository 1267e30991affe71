"""Server-sent events: tell a page that something has changed, and pass on what the program of a stage prints.

A page that is told of a change fetches itself again; the events hold no content but the log. The ledger and `run.json`
are watched by their size and time, which costs two calls to the system a look.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request

from sia.errors import StoreError
from sia.report.shelf import shelf_state
from sia.report.story import Now, read_story, stamp
from sia.report.text import open_file, tail
from sia.store.run_directory import AGENT_LOG, AUTHOR_LOG, EVALUATION_LOG, LEDGER_FILE, RUN_FILE, STAGING
from sia.web.asked import story_asked

RUN_SECONDS = 0.4
SHELF_SECONDS = 1.0
PING_SECONDS = 15
STAGE_LOGS = {"author": AUTHOR_LOG, "run": AGENT_LOG, "score": EVALUATION_LOG}


async def run_events(request: Request) -> EventSourceResponse:
    """The events of one run: `changed` with what it is doing, `log` with what was printed since."""
    story = await asyncio.to_thread(story_asked, request.app.state.runs_dir, request.path_params["run"])
    return EventSourceResponse(_follow(story.path), ping=PING_SECONDS)


async def shelf_events(request: Request) -> EventSourceResponse:
    """The events of the runs folder: `changed`."""
    return EventSourceResponse(_follow_shelf(request.app.state.runs_dir), ping=PING_SECONDS)


@dataclass
class _Seen:
    """What a page has been told."""

    state: object = None
    now: Now | None = None
    offset: int | None = None


async def _follow(path: Path) -> AsyncIterator[ServerSentEvent]:
    seen = _Seen()
    while True:
        for event in await asyncio.to_thread(_look, path, seen):
            yield event
        await asyncio.sleep(RUN_SECONDS)


def _look(path: Path, seen: _Seen) -> list[ServerSentEvent]:
    """What happened since the last look."""
    try:
        story = read_story(path)
    except (StoreError, OSError):
        return []
    events = []
    # `run.json` may be rewritten without a change worth telling; the ledger grows with every stage.
    state = (stamp(path / RUN_FILE), stamp(path / LEDGER_FILE), story.status)
    if state != seen.state or story.now != seen.now:
        if story.now != seen.now:
            seen.offset = None
        seen.state, seen.now = state, story.now
        told = {"status": story.status, "generations": len(story.chapters)}
        events.append(ServerSentEvent(json.dumps(told), event="changed"))
    if story.now is not None and story.now.stage in STAGE_LOGS:
        text, seen.offset = _new_log(path, story.now, seen.offset)
        if text:
            events.append(ServerSentEvent(json.dumps(text), event="log"))
    return events


def _new_log(path: Path, now: Now, offset: int | None) -> tuple[str, int | None]:
    name = f"{STAGING}/gen_{now.generation}_{now.stage}/{STAGE_LOGS[now.stage]}"
    try:
        with open_file(path, name) as file:
            return tail(file, offset)
    except OSError:
        return "", offset


async def _follow_shelf(runs_dir: Path) -> AsyncIterator[ServerSentEvent]:
    seen: object = None
    while True:
        state = await asyncio.to_thread(shelf_state, runs_dir)
        if state != seen:
            seen = state
            yield ServerSentEvent("{}", event="changed")
        await asyncio.sleep(SHELF_SECONDS)
