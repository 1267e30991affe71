"""Every view in a real browser, over real run folders."""

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import Scene, Watched

VIEWS = {
    "/": "Runs",
    "/?text=losses&by=score&way=up": "losses",
    "/runs/1": "Better, and real",
    "/runs/losses": "better is lower mae",
    "/runs/broken": "None of 2 generations was scored",
    "/runs/long": "1000 generations, newest first",
    "/runs/1/5": "How it was judged",
    "/runs/1/3": "it broke",
    "/runs/1/5/code": "What changed against generation 2",
    "/runs/1/5/why": "Built on generation 2.",
    "/runs/1/5/trajectory": "agent_execution.json",
    "/runs/1/5/items": "100 of 100 items",
    "/runs/1/5/logs": "line 0 of the agent",
    "/runs/1/5/calls": "overloaded_error",
    "/runs/1/5/training": "grpo",
    "/runs/1/5/files": "answers.json",
    "/compare?run=1&run=twin&run=losses": "another task",
    "/runs/nothing": "Not here",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_shows_what_it_is_for(scene: Scene, browser: Browser, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    for path, told in VIEWS.items():
        page.goto(scene.url + path)
        expect(page.locator("main")).to_contain_text(told)
        expect(page.locator("nav .brand")).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3]) / 3
    assert brightness < 60 if scheme == "dark" else brightness > 200
    assert [text for text in complaints if "404" not in text] == []
    context.close()


@pytest.mark.parametrize(
    ("path", "charts"), [("/runs/1", 2), ("/runs/1/5/training", 1), ("/compare?run=1&run=losses", 1)]
)
def test_charts_are_drawn(scene: Scene, watched: Watched, path: str, charts: int) -> None:
    page = watched.page
    page.goto(scene.url + path)
    expect(page.locator(".chart canvas")).to_have_count(charts)
    # Pixels of more than one colour: axes and grid alone would be there with no data at all.
    colours = page.evaluate(
        """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            const seen = new Set();
            for (let k = 0; k < data.length; k += 4)
                if (data[k + 3] > 250) seen.add((data[k] << 16) | (data[k + 1] << 8) | data[k + 2]);
            return [...seen].filter((c) => Math.max(c >> 16, (c >> 8) & 255, c & 255)
                - Math.min(c >> 16, (c >> 8) & 255, c & 255) > 60).length;
        })"""
    )
    assert all(count > 0 for count in colours)
    assert watched.complaints == []


def test_a_point_of_the_chart_leads_to_its_generation(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/1")
    plot = page.locator("[data-chart=scores] .u-over")
    box = plot.bounding_box()
    assert box is not None
    plot.click(position={"x": box["width"] - 5, "y": box["height"] / 2})
    page.wait_for_url("**/runs/1/7")


def test_runs_are_sorted_and_filtered(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(scene.url)
    ids = page.locator("tbody a.go")
    expect(ids).to_have_count(5)
    page.get_by_role("link", name="generations").click()
    expect(ids.first).to_have_text("long")
    page.get_by_role("link", name="generations").click()
    expect(ids.first).to_have_text("broken")
    page.get_by_label("status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(ids).to_have_count(1)
    page.get_by_role("link", name="clear").click()
    page.get_by_label("score at least as good as").fill("0.8")
    page.keyboard.press("Enter")
    expect(ids).to_have_count(3)
    assert {*ids.all_text_contents()} == {"1", "twin", "losses"}


def test_items_are_filtered_by_group_and_change(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/1/5/items")
    results = json.loads((scene.runs / "run_1" / "gen_5" / "results.json").read_text())["items"]
    before = json.loads((scene.runs / "run_1" / "gen_2" / "results.json").read_text())["items"]
    gained = {
        item["id"]
        for item, old in zip(results, before, strict=True)
        if item["status"] == "CORRECT" != old["status"] and item["group"] == "logic"
    }
    page.get_by_label("group").select_option("logic")
    page.get_by_label("against generation 2").select_option("gained")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("table.rows tbody tr")).to_have_count(len(gained))
    assert {text.strip() for text in page.locator("table.rows tbody td:first-child").all_text_contents()} == gained


def test_an_item_leads_to_its_trajectory(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/1/5/items?text=modulo")
    page.locator("table.rows a.go").nth(3).click()
    expect(page.locator(".turn.user")).to_contain_text("What is 3 modulo 7?")
    expect(page.locator(".turn.assistant")).to_contain_text("3")


def test_calls_are_ordered_and_told(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/1/5/calls")
    rows = [json.loads(line) for line in (scene.runs / "run_1" / "gen_5" / "trace.jsonl").read_text().splitlines()]
    slowest = max(rows, key=lambda row: row["seconds"])
    page.get_by_role("link", name="slowest").click()
    expect(page.locator("table.rows tbody tr").first.locator("td").first).to_have_text(str(slowest["id"]))
    page.get_by_role("link", name="errors").click()
    expect(page.locator("table.rows tbody tr")).to_have_count(1)
    page.get_by_text("details").last.click()
    expect(page.locator("details[open]")).to_contain_text(next(r for r in rows if r["error"])["request"])


def test_a_call_shows_what_was_asked_and_answered(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/1/5/calls")
    page.locator("table.rows a.go").first.click()
    expect(page.locator("main")).to_contain_text("<b>Which agent?</b>")
    expect(page.locator("main")).to_contain_text("This one.")
    page.goto(f"{scene.url}/runs/1/5/calls?call=2")
    expect(page.locator("main")).to_contain_text("not kept")


def test_comparison_pairs_the_same_items(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(scene.url)
    for run in ("1", "twin"):
        page.get_by_label(f"compare run {run}", exact=True).check()
    page.get_by_role("button", name="Compare the marked runs").click()
    row = page.locator("table.rows tbody tr").nth(1)
    expect(row).to_contain_text("+0.0000")
    expect(row).to_contain_text("100 all items")
    expect(row).to_contain_text("within the noise")


def test_everything_works_from_the_keyboard(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/?by=run&way=up")
    keys = page.keyboard
    keys.press("?")
    expect(page.locator("dialog")).to_be_visible()
    keys.press("Escape")
    keys.press("/")
    keys.type("1")
    expect(page.locator("#filter")).to_have_value("1")
    keys.press("Escape")
    keys.press("j")
    expect(page.locator("tr.chosen a.go")).to_have_text("1")
    keys.press("x")
    expect(page.get_by_label("compare run 1", exact=True)).to_be_checked()
    keys.press("Enter")
    page.wait_for_url("**/runs/1")
    keys.press("j")
    keys.press("j")
    keys.press("k")
    keys.press("Enter")
    page.wait_for_url("**/runs/1/7")
    keys.press("[")
    page.wait_for_url("**/runs/1/6/overview")
    keys.press("5")
    page.wait_for_url("**/runs/1/6/items")
    keys.press("]")
    page.wait_for_url("**/runs/1/7/items")
    keys.press("u")
    page.wait_for_url("**/runs/1")
    keys.press("u")
    page.wait_for_url(f"{scene.url}/")
    page.goto(f"{scene.url}/runs/long")
    keys.press("n")
    page.wait_for_url("**/runs/long?page=2")
    expect(page.locator("tbody a.go").first).to_have_text("950")
    assert watched.complaints == []


def test_tab_reaches_every_control_and_shows_where_it_is(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/1/5/items")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))
        outline = page.evaluate(
            "document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle"
        )
        assert outline != "none"
    assert {"Skip to the content", "SIA", "run 1", "code", "algebra", "text", "Filter", "clear"} <= reached


@pytest.mark.parametrize("path", [*VIEWS])
def test_narrow_windows_scroll_downwards_only(scene: Scene, browser: Browser, path: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 700})
    page = context.new_page()
    page.goto(scene.url + path)
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_a_long_log_is_paged(scene: Scene, watched: Watched) -> None:
    log = scene.runs / "run_twin" / "gen_1" / "target_agent_stdout.log"
    with log.open("w") as file:
        file.writelines(f"line {k:08d} {'x' * 80}\n" for k in range(1_100_000))
    assert log.stat().st_size > 100_000_000
    page = watched.page
    page.goto(f"{scene.url}/runs/twin/1/logs")
    expect(page.locator("pre.log")).to_contain_text("line 01099999")
    assert len(page.content()) < 100_000
    page.get_by_role("link", name="first").first.click()
    expect(page.locator("pre.log")).to_contain_text("line 00000000")
    page.wait_for_load_state("load")
    page.keyboard.press("n")
    expect(page.locator(".pager").nth(2)).to_contain_text("page 2 of")


def test_a_page_of_a_thousand_generations_stays_light(scene: Scene, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{scene.url}/runs/long")
    expect(page.locator("table.rows tbody tr")).to_have_count(50)
    expect(page.locator("[data-chart=scores] canvas")).to_be_visible()
    assert len(page.content()) < 700_000


def _texts(page: Page) -> str:
    return page.locator("main").inner_text()


def test_scores_on_the_page_are_those_of_the_ledger(scene: Scene, watched: Watched) -> None:
    watched.page.goto(f"{scene.url}/runs/1")
    told = _texts(watched.page)
    lines = [json.loads(line)["record"] for line in (scene.runs / "run_1" / "ledger.jsonl").read_text().splitlines()]
    for record in lines:
        if record["stage"] == "score" and record["dev"]:
            assert f"{record['dev']['value']:.4g}" in told
            assert f"{record['sealed']['value']:.4g}" in told


def test_unfinished_runs_keep_the_sealed_items_back(scene: Scene, watched: Watched, tmp_path: Path) -> None:
    from tests.web.scenery import copy_run, unfinish

    run = copy_run(scene.runs / "run_1", f"open{time.monotonic_ns()}")
    unfinish(run)
    page = watched.page
    page.goto(f"{scene.url}/runs/{run.name[4:]}")
    expect(page.locator("h1")).to_contain_text("stopped")
    lines = [json.loads(line)["record"] for line in (run / "ledger.jsonl").read_text().splitlines()]
    sealed = {f"{r['sealed']['value']:.4g}" for r in lines if r["stage"] == "score" and r["sealed"]}
    dev = {f"{r['dev']['value']:.4g}" for r in lines if r["stage"] == "score" and r["dev"]}
    assert not [value for value in sealed - dev if value in page.content()]
    page.goto(f"{scene.url}/runs/{run.name[4:]}/5/items")
    expect(page.locator("main")).to_contain_text("74 of 74 items")
    expect(page.locator(".badge.sealed")).to_have_count(0)
