"""What an agent wrote is shown as text: it runs nothing, breaks nothing, reaches nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sia.web.generation import SECTIONS
from sia.web.serve import Dashboard, Place, open_dashboard
from tests.web.conftest import Watched
from tests.web.hostile import MARKUP, attack


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dashboard, Path]]:
    run = attack(tmp_path_factory.mktemp("hostile"))
    dashboard = open_dashboard(Place(run.parent, port=0))
    dashboard.serve_beside()
    yield dashboard, run
    dashboard.stop()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("section", SECTIONS)
def test_hostile_content_changes_nothing_but_text(
    hostile: tuple[Dashboard, Path], watched: Watched, section: str, number: int
) -> None:
    page, url = watched.page, hostile[0].url
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    answer = page.goto(f"{url}runs/hostile/{number}/{section}")
    assert answer is not None
    assert answer.status == 200
    page.wait_for_load_state("load")
    expect(page.locator("nav.tabs").first).to_be_visible()
    assert (
        page.locator(
            "main script:not([type='application/json']), main iframe, main img, main a[href^='javascript']"
        ).count()
        == 0
    )
    assert page.evaluate(
        "[...document.querySelectorAll('*')].every((e) => ![...e.attributes].some((a) => /^on/i.test(a.name)))"
    )
    assert [address for address in requested if not address.startswith(url)] == []
    assert watched.complaints == []
    assert not any((ord(c) < 32 and c not in "\n\t\r") or 0x202A <= ord(c) <= 0x202E for c in page.content())


@pytest.mark.parametrize("section", ["code", "why", "trajectory", "items", "calls", "training", "files", "logs"])
def test_markup_is_there_to_be_read(hostile: tuple[Dashboard, Path], watched: Watched, section: str) -> None:
    watched.page.goto(f"{hostile[0].url}runs/hostile/2/{section}")
    assert "<img src=x onerror=alert('owned')>" in " ".join(watched.page.locator("main").all_text_contents())


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("runs/hostile/3/code", "there is none"),
        ("runs/hostile/3/items", "results.json is not JSON"),
        ("runs/hostile/3/trajectory", "RecursionError"),
        ("runs/hostile/3/calls", "cannot be read"),
        ("runs/hostile/4/items", "no results.json"),
        ("runs/hostile/4", "How it was judged"),
    ],
)
def test_what_is_broken_or_missing_is_said(
    hostile: tuple[Dashboard, Path], watched: Watched, place: str, told: str
) -> None:
    watched.page.goto(hostile[0].url + place)
    expect(watched.page.locator("main")).to_contain_text(told)
    assert "root:" not in watched.page.content()


def test_a_damaged_ledger_is_named_and_the_rest_is_shown(hostile: tuple[Dashboard, Path], watched: Watched) -> None:
    ledger = hostile[1] / "ledger.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole.replace(b'"seconds"', b'"minutes"', 1))
    try:
        watched.page.goto(f"{hostile[0].url}runs/hostile")
        expect(watched.page.locator(".notice").first).to_contain_text("line 1 is damaged")
        expect(watched.page.locator("table.rows tbody tr")).to_have_count(3)
    finally:
        ledger.write_bytes(whole)


def test_a_damaged_run_is_named_among_the_others(hostile: tuple[Dashboard, Path], watched: Watched) -> None:
    broken = hostile[1].parent / "run_torn"
    broken.mkdir()
    (broken / "run.json").write_text('{"run_id": "<script>')
    try:
        watched.page.goto(hostile[0].url)
        expect(watched.page.locator(".notice")).to_contain_text("run_torn/run.json")
        expect(watched.page.locator("tbody a.go")).to_have_text("hostile")
        answer = watched.page.goto(f"{hostile[0].url}runs/torn")
        assert answer is not None
        assert answer.status == 404
    finally:
        (broken / "run.json").unlink()
        broken.rmdir()


def test_reports_of_hostile_runs_hold_text_only(
    hostile: tuple[Dashboard, Path], watched: Watched, tmp_path: Path
) -> None:
    from sia.report.build import report_html, report_markdown
    from sia.report.story import read_story

    story = read_story(hostile[1])
    file = tmp_path / "report.html"
    file.write_text(report_html(story), encoding="utf-8")
    requested: list[str] = []
    watched.page.on("request", lambda request: requested.append(request.url))
    watched.page.goto(file.as_uri())
    assert requested == [file.as_uri()]
    assert watched.page.locator("script, iframe, img").count() == 0
    assert watched.complaints == []
    outside, inside = [], False
    for line in report_markdown(story, "figure.svg").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            outside.append(line)
    assert not inside
    assert MARKUP[:20] not in "\n".join(outside)
