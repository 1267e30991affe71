"""What the story of a run says is what its ledger says."""

import json
import shutil
from pathlib import Path

import pytest

from sia.errors import StoreError
from sia.report import words
from sia.report.lineage import flattened, lineage
from sia.report.shelf import RunFilter, ordered, read_shelf
from sia.report.story import read_story
from sia.store.run_directory import reopen_run
from tests.web.scenery import LOSS_EVALUATOR, play_run, unfinish


@pytest.fixture
def copied(played: Path, tmp_path: Path) -> Path:
    return shutil.copytree(played, tmp_path / "run_copy", symlinks=True)


def test_chapters_are_the_ledgers_generations(played: Path) -> None:
    story = read_story(played)
    records = [json.loads(line) for line in (played / "ledger.jsonl").read_text().splitlines()]
    decided = [entry["record"] for entry in records if entry["record"]["stage"] == "decide"]
    assert [chapter.best for chapter in story.chapters] == [record["best"] for record in decided]
    assert [c.record.verdict.outcome for c in story.chapters] == [r["verdict"]["outcome"] for r in decided]
    seconds = sum(entry["record"].get("seconds", 0.0) for entry in records)
    assert sum(story.seconds.values()) == pytest.approx(seconds)
    assert (story.status, story.failed, story.record.best) == ("finished", 1, 7)


def test_sealed_scores_are_told_only_once_the_run_has_finished(copied: Path) -> None:
    assert all(chapter.sealed for chapter in read_story(copied).chapters if chapter.record.score)
    unfinish(copied)
    story = read_story(copied)
    assert not any(chapter.sealed or chapter.all for chapter in story.chapters)
    assert "sealed items are opened at the end" in words.headline(story)


def test_a_run_is_stopped_when_nobody_owns_it_and_running_when_somebody_does(copied: Path) -> None:
    unfinish(copied)
    assert read_story(copied).status == "stopped"
    owner = reopen_run(copied.parent, "copy")
    try:
        story = read_story(copied)
        assert (story.status, story.now and story.now.generation, story.now and story.now.stage) == (
            "running",
            8,
            "author",
        )
        assert read_shelf(copied.parent).runs[0].status == "running"
    finally:
        owner.close()
    assert read_story(copied).now is None
    assert read_shelf(copied.parent).runs[0].status == "stopped"


def test_looking_does_not_keep_a_run_from_going_on(copied: Path) -> None:
    unfinish(copied)
    read_story(copied)
    reopen_run(copied.parent, "copy").close()


def test_a_damaged_ledger_is_named_and_generations_come_from_their_files(copied: Path) -> None:
    whole = read_story(copied)
    ledger = copied / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"previous":"', b'"previous":"f', 1))
    story = read_story(copied)
    assert [c.record for c in story.chapters] == [c.record for c in whole.chapters]
    assert "ledger" in story.problems[0]


def test_a_folder_without_a_record_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"run\.json is not there"):
        read_story(tmp_path)


def test_headline_says_whether_it_is_real(played: Path) -> None:
    told = words.headline(read_story(played))
    record = json.loads((played / "run.json").read_text())
    assert told.startswith("Better, and real: accuracy on the sealed items went from")
    assert f"{record['best_scores']['sealed']['value']:.4g}" in told
    assert f"{record['sealed_verdict']['p_value']:.2g}" in told


def test_lower_can_be_better(tmp_path: Path) -> None:
    run = play_run(tmp_path, "losses", [40, 70, 60, 90], LOSS_EVALUATOR)
    story = read_story(run)
    assert (story.lower_is_better, story.metric, story.record.best) == (True, "mae", 4)
    shelf = read_shelf(run.parent)
    assert RunFilter(min_score=10).keeps(shelf.runs[0])
    assert not RunFilter(min_score=0.1).keeps(shelf.runs[0])


def test_lineage_leads_from_the_first_to_the_best(played: Path) -> None:
    tree = lineage(read_story(played))
    assert [step.chapter.number for step in tree.main] == [1, 2, 5, 7]
    beside = {step.chapter.number: [c.number for _, c in flattened(step.aside)] for step in tree.main}
    assert beside == {1: [], 2: [3, 4], 5: [6], 7: []}
    assert not tree.is_a_line


def test_a_deep_branch_needs_no_deep_stack(played: Path) -> None:
    from dataclasses import replace

    story = read_story(played)
    chain = [
        replace(c, record=c.record.model_copy(update={"generation": n, "parent": n - 1 if n > 2 else 1}))
        for n, c in enumerate([story.chapters[0]] * 3000, start=1)
    ]
    long = replace(story, chapters=tuple(chain), record=story.record.model_copy(update={"best": 1}))
    rows = flattened(lineage(long).main[0].aside)
    assert [chapter.number for _, chapter in rows] == list(range(2, 3001))
    assert {depth for depth, _ in rows} == {1}


def test_runs_without_a_value_come_last_in_both_directions(tmp_path: Path) -> None:
    play_run(tmp_path, "good", [80])
    play_run(tmp_path, "fair", [50])
    play_run(tmp_path, "none", [0])
    runs = read_shelf(tmp_path / "runs").runs
    assert [run.run_id for run in ordered(runs, "score", descending=True)] == ["good", "fair", "none"]
    assert [run.run_id for run in ordered(runs, "score", descending=False)] == ["fair", "good", "none"]
