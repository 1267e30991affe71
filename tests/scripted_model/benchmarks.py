"""A model for the tasks that ask one: it writes their agents, and answers what the agents ask.

As author it takes the seed code out of its prompt, and later adds one sentence to the parent's. As target model it
knows most answers, and tells them only to whoever asks it to go step by step; anybody else gets the same guess.
"""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia.task.package import TaskPackage
from tests.scripted_model.conversation import Call, Conversation, Policy, Reply
from tests.scripted_model.tools import Tools

HINT = "Work it out step by step before you answer."
START = "    client = make_client()\n"
"""Where every reference agent begins to ask."""
CUT = "---- 8< ----"

IMPROVEMENT = f"""# Analysis

The parent scored {{score}}, and asks for answers at once.

# Hypothesis

The model needs steps on the way.

# Change

Every prompt says: {HINT}

# Expected effect

More answers are right.

# Risk

They may become longer.
"""


@dataclass(frozen=True)
class Known:
    """A question by its beginning, and the right answer in the form that the agents ask for."""

    question: str
    answer: dict[str, Any]


def knowledge(task: TaskPackage) -> list[Known]:
    """What the target model knows: nine of ten answers of gpqa, lawbench or longcot-chess."""
    if task.name == "gpqa":
        records = json.loads((task.private_dir / "diamond_questions.json").read_text(encoding="utf-8"))
        known = [Known(r["Question"], {"answer": r["correct_answer_letter"]}) for r in records]
    elif task.name == "lawbench":
        texts = {row["id"]: row["text"] for row in _rows(task.public_dir / "test.csv")}
        rows = _rows(task.private_dir / "test.csv")
        known = [Known(texts[row["id"]][:1500], {"charge": row["label"]}) for row in rows]
    else:
        answers = json.loads((task.private_dir / "answers.json").read_text(encoding="utf-8"))
        records = json.loads((task.public_dir / "chess_hard.json").read_text(encoding="utf-8"))
        known = [Known(r["prompt"], _solution(answers[r["question_id"]])) for r in records]
    return [entry for number, entry in enumerate(known) if number % 10]


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def _solution(answer: list[str] | str) -> dict[str, Any]:
    moves = answer if isinstance(answer, list) else []
    return {"moves": moves, "number": 0 if moves else int(str(answer))}


def authors_and_answers(known: Sequence[Known], guess: dict[str, Any]) -> Policy:
    """Both roles; a conversation is an author's when it offers tools to write files."""

    def policy(conversation: Conversation) -> Reply:
        if set(conversation.tools) - {"answer"}:
            return write_agent(conversation)
        asked = conversation.turns[-1].text
        found = next((entry.answer for entry in known if asked.startswith(entry.question)), None)
        told = found if found and HINT in conversation.system else guess
        if conversation.tools:
            return Reply("", (Call("answer", told),))
        return Reply(json.dumps(told))

    return policy


def write_agent(conversation: Conversation) -> Reply:
    """The author's next step."""
    tools = Tools.of(conversation)
    results = [turn.text for turn in conversation.turns if turn.role == "tool"]
    prompt = "\n".join(turn.text for turn in conversation.turns if turn.role == "user")
    if not results:
        return Reply(
            "First I look around.", (tools.run(f"pwd; echo '{CUT}'; cat parent/target_agent.py; echo '{CUT}'"),)
        )
    folder = next(line for line in results[0].splitlines() if line.endswith("/workspace"))
    if conversation.said("You are the feedback agent"):
        parent = results[0].split(CUT)[1].strip()
        score = re.search(r"Score on the dev items: ([\d.]+)", prompt)
        agent = parent.replace(START, f'    system = f"{{system}} {HINT}"\n{START}') + "\n"
        reasons = IMPROVEMENT.format(score=score[1] if score else "?")
        steps = [tools.write(f"{folder}/target_agent.py", agent), tools.write(f"{folder}/improvement.md", reasons)]
    else:
        seed = re.search(r"# Seed code\n.*?```python\n(.*?)```", prompt, re.DOTALL)
        assert seed
        steps = [tools.write(f"{folder}/target_agent.py", seed[1])]
    if conversation.calls <= len(steps):
        return Reply(f"Step {conversation.calls}.", (steps[conversation.calls - 1],))
    return Reply("The agent is written.")
