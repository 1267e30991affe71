"""The pages of the runs folder, of a run, and of a comparison."""

from functools import lru_cache
from typing import get_args

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from sia.report.charts import score_chart, stage_chart
from sia.report.compare import compare_stories
from sia.report.lineage import flattened, lineage
from sia.report.shelf import Order, RunFilter, ordered, read_shelf
from sia.report.story import Chapter, RunStory
from sia.report.text import page_of
from sia.web.asked import maybe_real, one_of, story_asked, whole
from sia.web.render import page

RUNS_PER_PAGE = 100
GENERATIONS_PER_PAGE = 50
STEPS_SHOWN = 40
"""Of the lineage, the latest."""
MAX_COMPARED = 8
ORDERS: tuple[Order, ...] = get_args(Order)


def runs_page(request: Request) -> Response:
    """All runs: sorted, filtered, paged."""
    query = request.query_params
    shelf = read_shelf(request.app.state.runs_dir)
    chosen = RunFilter(
        task=query.get("task", ""),
        status=query.get("status", ""),
        text=query.get("text", ""),
        min_score=maybe_real(query, "min_score"),
        max_cost=maybe_real(query, "max_cost"),
    )
    by: Order = next((order for order in ORDERS if order == query.get("by")), "updated")
    descending = one_of(query, "way", ("up", "down"), "down") == "down"
    kept = ordered([run for run in shelf.runs if chosen.keeps(run)], by, descending)
    rows, number, pages = page_of(kept, whole(query, "page", 1), RUNS_PER_PAGE)
    return page(
        request,
        "runs.html",
        {
            "rows": rows,
            "kept": len(kept),
            "total": len(shelf.runs),
            "problems": shelf.problems[:20],
            "by": by,
            "descending": descending,
            "chosen": chosen,
            "tasks": sorted({run.record.task for run in shelf.runs}),
            "statuses": sorted({run.status for run in shelf.runs}),
            "number": number,
            "pages": pages,
            "runs_dir": str(request.app.state.runs_dir),
        },
    )


def run_page(request: Request) -> Response:
    """One run: what happened, and what is happening."""
    query = request.query_params
    story = story_asked(request.app.state.runs_dir, request.path_params["run"])
    kind = one_of(query, "show", ("promoted", "improved", "failed"))
    kept = [chapter for chapter in reversed(story.chapters) if _is_kind(chapter, kind)]
    rows, number, pages = page_of(kept, whole(query, "page", 1), GENERATIONS_PER_PAGE)
    tree = lineage(story)
    steps = len(tree.main) if one_of(query, "lineage", ("all",)) else STEPS_SHOWN
    return page(
        request,
        "run.html",
        {
            "story": story,
            "rows": rows,
            "kept": len(kept),
            "kind": kind,
            "number": number,
            "pages": pages,
            "tree": tree,
            "steps": steps,
            "flattened": flattened,
            "scores": _score_json(story),
            "stages": _stage_json(story),
        },
    )


def compare_page(request: Request) -> Response:
    """Several runs side by side."""
    runs_dir = request.app.state.runs_dir
    names = list(dict.fromkeys(request.query_params.getlist("run")))[:MAX_COMPARED]
    stories = [story_asked(runs_dir, name) for name in names]
    shelf = read_shelf(runs_dir)
    return page(
        request,
        "compare.html",
        {
            "comparison": compare_stories(stories) if stories else None,
            "curves": [vars(score_chart(story)) | {"name": story.run_id} for story in stories],
            "names": names,
            "shelf": ordered(shelf.runs, "updated", True)[:200],
        },
    )


@lru_cache(maxsize=16)
def _score_json(story: RunStory) -> Markup:
    return htmlsafe_json_dumps(vars(score_chart(story)))


@lru_cache(maxsize=16)
def _stage_json(story: RunStory) -> Markup:
    return htmlsafe_json_dumps(vars(stage_chart(story)))


def _is_kind(chapter: Chapter, kind: str) -> bool:
    if kind == "promoted":
        return chapter.promoted
    return not kind or chapter.record.verdict.outcome == kind
