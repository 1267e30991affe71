"""Scores `submission.json` in `--gen-dir` against the answers beside this file; writes `results.json` there.

A number must be the expected one; a line must be the same moves by the rules of chess, however they are written.
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

import chess

HERE = Path(__file__).parent
FEN = re.compile(r"FEN:\s*(.+)")
MAX_BYTES = 16 << 20
LONGEST_MOVE = 12


class Pairs(list[tuple[str, object]]):
    """A JSON object as its pairs."""


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


def judge_number(answer: object, expected: str) -> str:
    """The status of a whole number, given as a number or its digits."""
    if isinstance(answer, bool) or not isinstance(answer, (int, str)):
        return "INVALID"
    if isinstance(answer, int):
        return "CORRECT" if answer == int(expected) else "WRONG"
    if not re.fullmatch(r"[0-9]{1,9}", answer):
        return "INVALID"
    return "CORRECT" if int(answer) == int(expected) else "WRONG"


def judge_line(answer: object, expected: list[str], fen: str) -> str:
    """The status of a line of moves from the position `fen`."""
    if not isinstance(answer, list) or len(answer) != len(expected):
        return "INVALID"
    board = chess.Board(fen)
    for given, wanted in zip(answer, expected, strict=True):
        if not isinstance(given, str) or len(given) > LONGEST_MOVE:
            return "INVALID"
        try:
            move = board.parse_san(given)
        except ValueError:
            return "ILLEGAL"
        if move != board.parse_san(wanted):
            return "WRONG"
        board.push(move)
    return "CORRECT"


def main() -> None:
    """Writes accuracy and items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    pairs = read_submission(folder / "submission.json")
    times, answers = Counter(key for key, _ in pairs), dict(pairs)
    expected = json.loads((HERE / "answers.json").read_text(encoding="utf-8"))
    problems = json.loads((HERE.parent / "public" / "chess_hard.json").read_text(encoding="utf-8"))
    items = []
    for problem in problems:
        key, kind = problem["question_id"], problem["problem"]["template"]
        wanted = expected[key]
        if times[key] != 1:
            status = "DUPLICATE" if times[key] else "MISSING"
        elif isinstance(wanted, list):
            status = judge_line(answers[key], wanted, FEN.search(problem["prompt"])[1].strip())
        else:
            status = judge_number(answers[key], wanted)
        items.append({"id": key, "status": status, "group": kind})
    counts = Counter(item["status"] for item in items)
    results = {
        "accuracy": counts["CORRECT"] / len(items),
        "n_correct": counts["CORRECT"],
        "n_total": len(items),
        "n_unknown_ids": len(set(times) - set(expected)),
        "statuses": dict(sorted(counts.items())),
        "items": items,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{counts['CORRECT']} of {len(items)} solved; {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    main()
