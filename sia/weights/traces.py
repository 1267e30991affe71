"""Recorded model calls become examples: what earlier target agents asked, and the best of what their model answered.

Which answers are learnt from is decided by public data alone. No score of the evaluator is known here, neither of dev
nor of sealed items: not the total, and not whether the agent's output for an item was right. A recorded prompt is given
a label only when it is, to the letter, what `data.prompt` makes of a row of the public file; its answers are then
rewarded by that label, or by a check of answer and row. A prompt that no public row explains, such as that of a test
item, has no label: its answers can be learnt from by `majority` (and a format) only, when there are at least three.

The answers are the model's own. What it got right of private items it got right without knowing them, and nothing here
tells which those are.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sia.store.durable import digest_file
from sia.weights.examples import MAX_VALIDATION, Example, Examples, fill, read_examples, read_rows
from sia.weights.plan import PlanError, TrainingPlan

TRACES_FILE = "traces.jsonl"
LEAST_VOTES = 3

Grade = Callable[[Sequence[tuple[Sequence[str], Example]]], list[list[float]]]
"""Rewards of the answers to each example. Raises PlanError when the reward fails."""


class RecordedCall(BaseModel):
    """A line of `traces.jsonl`: one question to the target model, of one message, and what it answered."""

    model_config = ConfigDict(frozen=True)

    generation: int
    prompt: str
    answer: str


def select_examples(plan: TrainingPlan, public: Path, author: Path, grade: Grade) -> Examples:
    """The examples of a plan, from wherever it takes them. Raises PlanError when there are none."""
    data = plan.data
    if data.origin != "traces":
        examples = read_examples(data, author if data.origin == "author" else public, plan.seed)
    else:
        examples = _split(_best(plan, public, author, grade), plan)
    if not examples.train:
        raise PlanError("data: no row is left to train on")
    return examples


def data_digest(plan: TrainingPlan, public: Path, author: Path) -> str:
    """Of the files that the plan's examples come from."""
    folder = author if plan.data.origin == "author" else public
    files = [folder / plan.data.file] if plan.data.file else []
    if plan.data.origin == "traces":
        files.append(author / TRACES_FILE)
    return "".join(map(digest_file, files))


def read_traces(file: Path) -> list[RecordedCall]:
    """The recorded calls in `file`. Raises PlanError when it is not there or damaged."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
        return [RecordedCall.model_validate_json(line) for line in lines if line]
    except (OSError, ValueError, ValidationError):
        raise PlanError("data.traces: the recorded calls cannot be read") from None


def _best(plan: TrainingPlan, public: Path, author: Path, grade: Grade) -> list[Example]:
    """Of each recorded prompt the best answer, where it is good enough."""
    assert plan.data.traces is not None
    asked: dict[str, list[str]] = {}
    for call in read_traces(author / TRACES_FILE):
        if plan.data.choices is None or call.answer in plan.data.choices:
            asked.setdefault(call.prompt, []).append(call.answer)
    groups = _rewardable(plan, public, asked)
    found = []
    for (answers, example), rewards in zip(groups, grade(groups) if groups else [], strict=True):
        best = max(range(len(answers)), key=rewards.__getitem__)
        if rewards[best] >= plan.data.traces.at_least:
            found.append(Example(example.prompt, answers[best], example.row))
    if not found:
        raise PlanError(
            f"data.traces: of {len(asked)} recorded prompts {len(groups)} can be rewarded, none by "
            f"{plan.data.traces.at_least:g} or more"
        )
    return found


def _rewardable(plan: TrainingPlan, public: Path, asked: dict[str, list[str]]) -> list[tuple[list[str], Example]]:
    if plan.reward.kind == "majority":
        return [(a, Example(prompt, None, {})) for prompt, a in asked.items() if len(a) >= LEAST_VOTES]
    known = {}
    for row in read_rows(public, plan.data):
        label = row.get(plan.data.answer) if plan.data.answer is not None else None
        known[fill(plan.data.prompt, row).strip()] = Example(fill(plan.data.prompt, row), label, row)
    return [(answers, known[prompt]) for prompt, answers in asked.items() if prompt in known]


def _split(examples: list[Example], plan: TrainingPlan) -> Examples:
    random.Random(plan.seed).shuffle(examples)
    examples = examples[: plan.data.limit]
    count = min(MAX_VALIDATION, int(len(examples) * plan.data.validation))
    return Examples(train=examples[count:], validation=examples[:count])
