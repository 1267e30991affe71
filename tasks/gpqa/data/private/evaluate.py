"""Scores `submission.json` in `--gen-dir` against the answers beside this file; writes `results.json` there.

Every question counts, answered or not: leaving one out can never help.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

LETTERS = ("A", "B", "C", "D")
MAX_BYTES = 16 << 20


def read_submission(file: Path) -> list[tuple[str, object]]:
    """Ids and answers, an id as often as it occurs. Exits with status 1 and a line when the file cannot be used."""
    try:
        if file.stat().st_size > MAX_BYTES:
            sys.exit(f"{file.name} is larger than {MAX_BYTES >> 20} MiB")
        # Objects become lists of pairs, so that no id can hide another.
        pairs = json.loads(file.read_text(encoding="utf-8-sig"), object_pairs_hook=Pairs)
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except (OSError, ValueError, RecursionError) as error:
        sys.exit(f"{file.name} cannot be read: {error}")
    if not isinstance(pairs, Pairs):
        sys.exit(f"{file.name} is no object of id and answer")
    return list(pairs)


class Pairs(list[tuple[str, object]]):
    """A JSON object as its pairs."""


def judge(answer: object, expected: str) -> str:
    """The status of one answer."""
    if not isinstance(answer, str) or answer not in LETTERS:
        return "INVALID"
    return "CORRECT" if answer == expected else "WRONG"


def main() -> None:
    """Writes accuracy and items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    pairs = read_submission(folder / "submission.json")
    times, answers = Counter(key for key, _ in pairs), dict(pairs)
    questions = json.loads(Path(__file__).with_name("diamond_questions.json").read_text(encoding="utf-8"))
    items = []
    for question in questions:
        key = str(question["id"])
        if times[key] != 1:
            status = "DUPLICATE" if times[key] else "MISSING"
        else:
            status = judge(answers[key], question["correct_answer_letter"])
        items.append({"id": key, "status": status, "group": question["domain"]})
    counts = Counter(item["status"] for item in items)
    known = {item["id"] for item in items}
    results = {
        "accuracy": counts["CORRECT"] / len(items),
        "n_correct": counts["CORRECT"],
        "n_total": len(items),
        "n_unknown_ids": len(set(times) - known),
        "statuses": dict(sorted(counts.items())),
        "items": items,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{counts['CORRECT']} of {len(items)} right; {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    main()
