"""Scores `submission.csv` in `--gen-dir` against the labels beside this file; writes `results.json` there."""

import argparse
import csv
import json
import sys
from pathlib import Path

ID, LABEL, GROUP = "PassengerId", "Transported", "HomePlanet"
LABELS = {"true": "True", "false": "False", "1": "True", "0": "False", "1.0": "True", "0.0": "False"}


def read_rows(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file. Exits with status 1 and a line when they cannot be used."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = [c for c in columns if c not in (reader.fieldnames or ())]
            if missing:
                sys.exit(f"{file.name}: column {missing[0]} is missing")
            return list(reader)
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except UnicodeDecodeError:
        sys.exit(f"{file.name} is not UTF-8")
    except (OSError, csv.Error) as error:
        sys.exit(f"{file.name} cannot be read: {error}")


def read_answers(file: Path) -> dict[str, str]:
    """Passenger id to `True` or `False`."""
    answers: dict[str, str] = {}
    for number, row in enumerate(read_rows(file, (ID, LABEL)), start=2):
        label = LABELS.get((row[LABEL] or "").strip().lower())
        if label is None:
            sys.exit(f"{file.name} line {number}: {LABEL} is neither True nor False")
        if row[ID] in answers:
            sys.exit(f"{file.name} line {number}: {ID} occurs twice")
        answers[row[ID]] = label
    return answers


def main() -> None:
    """Writes accuracy and items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    answers = read_answers(folder / "submission.csv")
    items = []
    for row in read_rows(Path(__file__).with_name("test.csv"), (ID, LABEL, GROUP)):
        right = answers.get(row[ID]) == row[LABEL]
        items.append({"id": row[ID], "status": "CORRECT" if right else "WRONG", "group": row[GROUP] or "unknown"})
    correct = sum(item["status"] == "CORRECT" for item in items)
    results = {"accuracy": correct / len(items), "n_correct": correct, "n_total": len(items), "items": items}
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{correct} of {len(items)} right")


if __name__ == "__main__":
    main()
