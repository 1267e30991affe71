"""An author for tests on original task folders: agents that give one answer, in the form that each folder asks for."""

import sys
from pathlib import Path

from sia.author.brief import AGENT_FILE, BRIEF_FILE, IMPROVEMENT_FILE, Brief

HEAD = """
import argparse, json, pathlib, shutil
parser = argparse.ArgumentParser()
parser.add_argument("--dataset_dir", type=pathlib.Path)
parser.add_argument("--working_dir", type=pathlib.Path)
a = parser.parse_args()
(a.working_dir / "agent_execution.json").write_text("[]")
"""
TABLE = 'shutil.copyfile(a.dataset_dir / "sample_submission.csv", a.working_dir / "submission.csv")\n'
BODIES = {
    "spaceship-titanic": TABLE,
    "lawbench": TABLE,
    "gpqa": """
questions = json.loads((a.dataset_dir / "diamond_questions.json").read_text())
(a.working_dir / "results").mkdir()
details = [{"question_id": q["id"], "model_answer": "A"} for q in questions]
(a.working_dir / "results" / "submission.json").write_text(json.dumps({"details": details}))
""",
    "longcot-chess": """
problems = json.loads((a.dataset_dir / "chess_hard.json").read_text())
answers = [{"question_id": p["question_id"], "prompt": p["prompt"], "solution": "218"} for p in problems]
(a.working_dir / "responses.json").write_text(json.dumps(answers))
""",
}


def main() -> None:
    workspace = Path(sys.argv[1])
    brief = Brief.model_validate_json((workspace / BRIEF_FILE).read_bytes())
    (workspace / AGENT_FILE).write_text(HEAD + BODIES[brief.task.name])
    (workspace / IMPROVEMENT_FILE).write_text("The same again.\n")


if __name__ == "__main__":
    main()
