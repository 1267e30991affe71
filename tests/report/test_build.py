"""Reports, comparisons and figures: whole, self-contained, the same each time."""

import re
import shlex
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

from sia.cli.live import summary
from sia.report.build import comparison_html, report_html, report_markdown, rerun_command, run_figure
from sia.report.charts import TrainingChart
from sia.report.compare import compare_stories
from sia.report.figure import draw_training
from sia.report.story import read_story
from sia.settings import RunSettings
from sia.store.records import Classical
from tests.web.scenery import play_run


def test_the_report_needs_nothing_else(played: Path) -> None:
    html = report_html(read_story(played))
    assert not re.findall(r'(?:src|href)="(?!#)', html)
    assert "<script" not in html
    assert "url(" not in html
    assert "Better, and real" in html


def test_the_report_tells_every_generation_and_both_parts_of_the_items(played: Path) -> None:
    story = read_story(played)
    for told in (report_html(story), report_markdown(story, "figure.svg")):
        for chapter in story.chapters:
            if chapter.record.score and chapter.sealed:
                assert f"{chapter.record.score.value:.4g}" in told
                assert f"{chapter.sealed.value:.4g}" in told
        assert "it broke" in told
        assert "n=100" in told
        assert "as they were written: 27 stages" in told


def test_the_figure_is_svg_with_a_point_for_every_score(played: Path) -> None:
    figure = run_figure(read_story(played))
    root = ElementTree.fromstring(figure)
    dots = [node for node in root.iter() if node.tag.endswith("circle")]
    assert len(dots) == 6 + 6  # dev and sealed; the best so far is a line
    assert not [node for node in root.iter() if node.tag.endswith("script")]
    assert figure == run_figure(read_story(played))


def test_a_changed_file_is_named(played: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(played, tmp_path / "run_1", symlinks=True)
    assert "as they were written" in report_html(read_story(copy))
    (copy / "gen_2" / "target_agent.py").write_text("pass\n")
    (copy / "gen_3" / "author.log").unlink()
    told = report_html(read_story(copy))
    assert "2 problems in" in told
    assert "gen_2/target_agent.py" in told
    assert "gen_3/author.log" in told


def test_the_command_asks_for_the_same_run(played: Path) -> None:
    words = shlex.split(rerun_command(read_story(played)))
    asked = {words[k][2:].replace("-", "_"): words[k + 1] for k in range(1, len(words), 2)}
    record = read_story(played).record
    assert asked.pop("backend") == "scripted"
    settings = RunSettings.model_validate(asked)
    assert (settings.max_gen, settings.seed, settings.parent) == (record.max_gen, record.seed, record.parent)
    assert str(settings.task_dir) == record.task_dir


def test_runs_on_the_same_items_are_paired(played: Path, tmp_path: Path) -> None:
    first = read_story(played)
    twin = read_story(shutil.copytree(played, tmp_path / "run_twin", symlinks=True))
    pairing = compare_stories([first, twin]).runs[1].pairing
    assert pairing is not None
    assert (pairing.verdict.difference, pairing.verdict.outcome, pairing.gained, pairing.lost) == (
        0.0,
        "indistinguishable",
        0,
        0,
    )
    assert pairing.verdict.pairs == 100


def test_a_better_run_is_called_better(tmp_path: Path) -> None:
    low = play_run(tmp_path, "a", [40])
    task = Path(read_story(low).record.task_dir)
    from sia.settings import RunSettings as Settings
    from tests.support import play
    from tests.web.scenery import talking_agent

    play(task, Settings(runs_dir=tmp_path / "runs", run_id="b", backend="offline", max_gen=1))
    other = read_story(tmp_path / "runs" / "run_b")
    same = compare_stories([read_story(low), other]).runs[1]
    assert same.pairing is not None
    assert same.pairing.verdict.outcome == "indistinguishable"
    # The same task to the record, with an agent that does better.
    (task / "data" / "public" / "scripts" / "gen_1.py").write_text(talking_agent(80))
    play(task, Settings(runs_dir=tmp_path / "runs", run_id="c", backend="offline", max_gen=1))
    better = read_story(tmp_path / "runs" / "run_c")
    assert "another version" in compare_stories([read_story(low), better]).runs[1].reason
    record = better.record.model_copy(update={"task_digest": read_story(low).record.task_digest})
    from dataclasses import replace

    pairing = compare_stories([read_story(low), replace(better, record=record)]).runs[1].pairing
    assert pairing is not None
    assert (pairing.verdict.outcome, pairing.gained, pairing.lost) == ("improved", 40, 0)
    assert pairing.interval is not None
    assert pairing.interval.low > 0
    html = comparison_html([read_story(low), better])
    assert "another version" in html
    assert "<script" not in html


def test_a_run_without_any_score_has_a_report(tmp_path: Path) -> None:
    story = read_story(play_run(tmp_path, "none", [0, 0]))
    assert "None of 2 generations was scored" in report_html(story)
    assert "None of 2 generations was scored" in report_markdown(story, "figure.svg")


def test_a_training_is_drawn_on_two_scales() -> None:
    steps = tuple(float(k) for k in range(1, 201))
    chart = TrainingChart(steps, {"loss": tuple(9.0 / k for k in steps), "reward": tuple(k / 400 for k in steps)})
    figure = draw_training(chart, "Generation 2: training by cloning", "training-2")
    root = ElementTree.fromstring(figure)
    lines = [node for node in root.iter() if node.tag.endswith("path") and "line" in node.get("class", "")]
    assert len([line for line in lines if len(line.get("d", "")) > 200]) == 2
    assert "scale on the right" in figure
    assert draw_training(TrainingChart((), {}), "nothing", "training-3") == ""


def test_the_classical_figure_stands_beside_the_run(played: Path) -> None:
    story = read_story(played)
    assert "ithout a language model" not in report_html(story)
    assert story.record.best_scores is not None
    score = story.record.best_scores.all.model_copy(update={"value": 0.8765})
    record = story.record.model_copy(update={"classical": Classical(how="By trees.", score=score)})
    for told in (report_html(replace(story, record=record)), report_markdown(replace(story, record=record), "f.svg")):
        assert "ithout a language model" in told
        assert "0.8765" in told
        assert "By trees." in told
    assert any("0.8765" in line for line in summary(record))
