"""The pages of one generation, each section on its own: a long log never delays the code."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sia.author.brief import AGENT_FILE, TRANSCRIPT_FILE
from sia.author.transcript import read_transcript
from sia.report.calls import read_body, read_calls
from sia.report.charts import training_chart
from sia.report.code import difference, highlighted
from sia.report.files import is_plain, list_files, read_shown
from sia.report.items import ItemFilter, read_items
from sia.report.story import Chapter, RunStory
from sia.report.text import open_file, page_of, read_text_page
from sia.report.training import read_training
from sia.report.trajectory import question_of, read_trajectory, trajectory_files
from sia.web.asked import generation_asked, maybe_whole, one_of, story_asked, whole
from sia.web.render import page

ITEMS_PER_PAGE = 100
CALLS_PER_PAGE = 100
QUESTIONS_PER_PAGE = 200
MAX_ENTRIES = 400
SECTIONS = ("overview", "code", "why", "trajectory", "items", "logs", "calls", "training", "files")
WHY_FILES = (
    "improvement.md",
    "decision.json",
    "feedback_agent_prompt.txt",
    "meta_agent_prompt.txt",
)
LOG_FILES = ("target_agent_stdout.log", "evaluation.log", "author.log", "adapter/training.log", "adapter/metrics.jsonl")
CHUNK = 1 << 18


def generation_page(request: Request) -> Response:
    """One section of a generation."""
    story = story_asked(request.app.state.runs_dir, request.path_params["run"])
    chapter = generation_asked(request, story)
    section = request.path_params.get("section", "overview")
    if section not in SECTIONS:
        raise HTTPException(404, f"a generation has no section {section[:40]!r}; known: {', '.join(SECTIONS)}")
    numbers = sorted(story.by_number)
    place = numbers.index(chapter.number)
    return page(
        request,
        f"{section}.html",
        {
            "story": story,
            "chapter": chapter,
            "section": section,
            "sections": SECTIONS,
            "earlier": numbers[place - 1] if place else None,
            "later": numbers[place + 1] if place + 1 < len(numbers) else None,
            **_BUILDERS[section](request, story, chapter),
        },
    )


def raw_file(request: Request) -> Response:
    """A file of a generation as it is, to be saved: never shown by the browser."""
    story = story_asked(request.app.state.runs_dir, request.path_params["run"])
    chapter = generation_asked(request, story)
    file = _open(story.path, f"gen_{chapter.number}/{request.query_params.get('file', '')}")
    return StreamingResponse(
        _chunks(file), media_type="application/octet-stream", headers={"Content-Disposition": "attachment"}
    )


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _open(folder: Path, name: str) -> BinaryIO:
    try:
        return open_file(folder, name)
    except (OSError, UnicodeEncodeError):
        raise HTTPException(404, "there is no such file") from None


def _overview(_: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    items = read_items(story, chapter.number)
    return {"items": items, "why": read_shown(story.path, f"gen_{chapter.number}/improvement.md")}


def _code(request: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    against = maybe_whole(request.query_params, "against") or chapter.record.parent
    if against not in story.by_number:
        against = None
    code = read_shown(story.path, f"gen_{chapter.number}/{AGENT_FILE}")
    before = read_shown(story.path, f"gen_{against}/{AGENT_FILE}") if against else None
    return {
        "against": against,
        "problem": code.problem,
        "code": highlighted(code.text),
        "difference": difference(before.text, code.text, (f"gen_{against}", f"gen_{chapter.number}"))
        if before and not before.problem
        else None,
        "requirements": read_shown(story.path, f"gen_{chapter.number}/requirements.txt"),
    }


def _why(_: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    shown = {name: read_shown(story.path, f"gen_{chapter.number}/{name}") for name in WHY_FILES}
    transcript = read_transcript(read_shown(story.path, f"gen_{chapter.number}/{TRANSCRIPT_FILE}").text)
    return {
        "texts": {name: text for name, text in shown.items() if text.text or text.there},
        "transcript": transcript[:MAX_ENTRIES],
        "entries": len(transcript),
    }


def _trajectory(request: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    folder = story.path / f"gen_{chapter.number}"
    names = trajectory_files(folder)
    chosen = one_of(request.query_params, "file", tuple(names), names[0] if names else "")
    rows, number, pages = page_of(names, whole(request.query_params, "page", 1), QUESTIONS_PER_PAGE)
    return {
        "names": [(name, question_of(name)) for name in rows],
        "count": len(names),
        "chosen": chosen,
        "record": read_trajectory(story.path, f"gen_{chapter.number}/{chosen}") if chosen else None,
        "number": number,
        "pages": pages,
    }


def _items(request: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    query = request.query_params
    chosen = ItemFilter(
        group=query.get("group", ""),
        change=one_of(query, "change", ("gained", "lost", "same")),
        part=one_of(query, "part", ("dev", "sealed")),
        outcome=one_of(query, "outcome", ("right", "wrong")),
        text=query.get("text", ""),
    )
    items = read_items(story, chapter.number)
    kept = [row for row in items.rows if chosen.keeps(row)]
    rows, number, pages = page_of(kept, whole(query, "page", 1), ITEMS_PER_PAGE)
    questions = {question_of(name): name for name in trajectory_files(story.path / f"gen_{chapter.number}")}
    return {
        "items": items,
        "rows": rows,
        "kept": len(kept),
        "chosen": chosen,
        "number": number,
        "pages": pages,
        "questions": questions,
    }


def _logs(request: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    names = [n for n in LOG_FILES if is_plain(story.path / f"gen_{chapter.number}" / n)]
    chosen = one_of(request.query_params, "file", tuple(names), names[0] if names else "")
    return {"names": names, "chosen": chosen} | _text(request, story, chapter, chosen)


def _text(request: Request, story: RunStory, chapter: Chapter, name: str) -> dict[str, object]:
    if not name:
        return {"text": None}
    with _open(story.path, f"gen_{chapter.number}/{name}") as file:
        return {"text": read_text_page(file, maybe_whole(request.query_params, "page"))}


def _calls(request: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    calls = read_calls(story.path, chapter.number)
    kind = one_of(request.query_params, "show", ("errors", "author", "trial", "target"))
    kept = [c for c in calls.rows if not kind or (c.error is not None if kind == "errors" else c.role == kind)]
    if one_of(request.query_params, "by", ("slowest", "dearest")):
        slowest = request.query_params["by"] == "slowest"
        kept.sort(key=lambda call: -call.seconds if slowest else -(call.cost or 0.0))
    rows, number, pages = page_of(kept, whole(request.query_params, "page", 1), CALLS_PER_PAGE)
    asked = maybe_whole(request.query_params, "call")
    call = next((call for call in calls.rows if call.id == asked), None)
    return {
        "calls": calls,
        "rows": rows,
        "kept": len(kept),
        "kind": kind,
        "number": number,
        "pages": pages,
        "call": call,
        "asked": read_body(story.path, call.request) if call else "",
        "answered": read_body(story.path, call.answer) if call else "",
    }


def _training(_: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    training = read_training(story.path, chapter.number)
    return {"training": training, "curves": vars(training_chart(training))}


def _files(request: Request, story: RunStory, chapter: Chapter) -> dict[str, object]:
    listed = list_files(story.path / f"gen_{chapter.number}")
    chosen = request.query_params.get("file", "")
    return {"listed": listed, "chosen": chosen} | _text(request, story, chapter, chosen)


_BUILDERS: dict[str, Callable[[Request, RunStory, Chapter], dict[str, object]]] = {
    "overview": _overview,
    "code": _code,
    "why": _why,
    "trajectory": _trajectory,
    "items": _items,
    "logs": _logs,
    "calls": _calls,
    "training": _training,
    "files": _files,
}
