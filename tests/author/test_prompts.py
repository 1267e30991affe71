"""Prompts, locked by golden files. `python -m tests.author.test_prompts` writes them anew after a wanted change."""

from pathlib import Path

import pytest

from sia.author.brief import AuthorLimits, Brief, Budget, CalledModel, EarlierTry, PastGeneration, TaskBrief
from sia.author.prompts import check_overrides, render_prompt, render_repair, render_system
from sia.errors import UsageError
from sia.score.model import Interval, Score, Verdict

GOLDEN = Path(__file__).with_name("golden")
CLAUDE = CalledModel(name="claude-haiku-4-5-20251001", dialect="anthropic")
PUBLIC = Path("/task/data/public")
FIRST = Brief(
    generation=1,
    max_generations=5,
    seed=0,
    task=TaskBrief(
        name="capitals",
        public_dir=PUBLIC,
        reference_dir=Path("/task/reference"),
        metric="accuracy",
        direction="max",
        seconds=300,
        packages=("anthropic>=0.60",),
        installed=("anthropic==0.125.0", "httpx==0.28.1"),
        answers="model",
    ),
    task_model=CLAUDE,
    budget=Budget(generations=5),
    limits=AuthorLimits(model=CLAUDE),
)
SCORE = Score(
    metric="accuracy",
    value=0.61,
    direction="max",
    n=139,
    interval=Interval(low=0.52, high=0.68, method="wilson"),
    source="items",
)
LATER = FIRST.model_copy(
    update={
        "generation": 3,
        "parent": 1,
        "best": 1,
        "history": (
            PastGeneration(
                generation=1, parent=None, score=SCORE, verdict=Verdict(outcome="first", looks=0), seconds=9
            ),
            PastGeneration(
                generation=2,
                parent=1,
                score=SCORE,
                verdict=Verdict(outcome="indistinguishable", against=1, difference=0.004, p_value=0.81, looks=1),
                seconds=31,
            ),
        ),
        "rejected": (
            EarlierTry(
                generation=2,
                reason="indistinguishable, difference +0.0040, p = 0.81",
                change="Asks three times and takes the most frequent answer.",
            ),
        ),
        "budget": Budget(generations=3, seconds=5400, cost=1.25, tokens=2_000_000),
    }
)
DESCRIPTION = "# Capitals\n\nAnswer every question of questions.json with the name of a capital.\n"
CONTEXT = "# Evolution on capitals\n\n2 generations so far, 0 of them failed. The best is generation 1.\n"
EVIDENCE = "Generation 2.\n\n## Result\n\nScore on the dev items: 0.614 [0.53, 0.69] n=139.\n"
OPENAI = CalledModel(name="gpt-4.1-mini", dialect="openai")
GEMINI = CalledModel(name="gemini-2.5-flash", dialect="gemini")


def prompts() -> dict[str, str]:
    """All that are locked, by the name of their file."""
    plain = FIRST.task.model_copy(update={"installed": (), "packages": (), "answers": "any", "reference_dir": None})
    return {
        "meta": render_prompt(
            FIRST, DESCRIPTION, "", "", seed_code="print('seed')\n", samples="## Rivers\n\nName it.\n"
        ),
        "meta_without_model": render_prompt(
            FIRST.model_copy(update={"task_model": None, "task": plain}), DESCRIPTION, "", ""
        ),
        "meta_openai": render_prompt(FIRST.model_copy(update={"task_model": OPENAI}), DESCRIPTION, "", ""),
        "feedback": render_prompt(LATER, DESCRIPTION, CONTEXT, EVIDENCE),
        "feedback_decides": render_prompt(
            LATER.model_copy(update={"focus": "auto", "trainable": True, "task_model": GEMINI}),
            DESCRIPTION,
            CONTEXT,
            EVIDENCE,
        ),
        "feedback_candidate": render_prompt(
            LATER.model_copy(
                update={"rejected": (), "siblings": LATER.rejected, "candidate": 2, "candidates": 3, "best": 2}
            ),
            DESCRIPTION,
            CONTEXT,
            EVIDENCE,
        ),
        "repair": render_repair("target_agent.py: it does not parse: line 3: invalid syntax"),
        "system": render_system(),
    }


@pytest.mark.parametrize("name", prompts())
def test_prompt_is_as_it_was_approved(name: str) -> None:
    assert prompts()[name] == (GOLDEN / f"{name}.txt").read_text()


def test_prompts_are_bounded_whatever_they_are_given() -> None:
    long = render_prompt(FIRST, "d" * 10**6, "", "", seed_code="s" * 10**6, samples="t" * 10**6)
    assert len(long) < 60_000
    assert "It lies in the folder" in long


def test_file_of_the_user_replaces_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_overrides() == ()
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "contract.md.j2").write_text("Mind the {{ task.seconds|int }} seconds.\n")
    assert check_overrides() == ("contract.md.j2",)
    text = render_prompt(FIRST, DESCRIPTION, "", "")
    assert "Mind the 300 seconds." in text
    assert "You are the meta-agent" in text
    assert "--working_dir" not in text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("feedbak.md.j2", "", "did you mean feedback.md.j2"),
        ("meta.md.j2", "{% if %}", "meta.md.j2 line 1"),
    ],
)
def test_bad_replacement_is_told_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / name).write_text(content)
    with pytest.raises(UsageError, match=words):
        check_overrides()


def test_replacement_that_asks_for_an_unknown_value_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "meta.md.j2").write_text("{{ brief.answer }}")
    with pytest.raises(UsageError, match="answer"):
        render_prompt(FIRST, DESCRIPTION, "", "")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for file, text in prompts().items():
        (GOLDEN / f"{file}.txt").write_text(text)
