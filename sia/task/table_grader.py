"""Scores `submission.csv` in `--gen-dir` against a private table of labels; the evaluator of tasks that bring none.

It is copied to data/private/evaluate.py of such a task. The sample submission names the columns: the id, then what is
predicted. Labels give the accuracy, with items; numbers of many values give the root of the mean squared error.
"""

import argparse
import csv
import json
import math
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
MAX_BYTES = 64 << 20
MANY_VALUES = 20


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file. Exits with status 1 and a line when they cannot be used."""
    try:
        if file.stat().st_size > MAX_BYTES:
            sys.exit(f"{file.name} is larger than {MAX_BYTES >> 20} MiB")
        with file.open(newline="", encoding="utf-8-sig") as lines:
            return list(csv.DictReader(lines, restval=""))
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"{file.name} cannot be read: {error}")


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def same(given: str, wanted: str) -> bool:
    """Whether two labels are equal as texts in any case, or as numbers."""
    return given.casefold() == wanted.casefold() or (number(given) is not None and number(given) == number(wanted))


def read_truth() -> tuple[str, str, dict[str, str]]:
    """The two columns, and the private labels by id."""
    with (HERE.parent / "public" / "sample_submission.csv").open(newline="", encoding="utf-8-sig") as lines:
        identity, target = next(csv.reader(lines))
    for file in sorted(HERE.glob("*.csv")):
        rows = read_rows(file)
        if rows and identity in rows[0] and target in rows[0]:
            return identity, target, {row[identity]: row[target] for row in rows}
    sys.exit(f"no private table has the columns {identity} and {target}")


def main() -> None:
    """Writes accuracy and items, or the error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    identity, target, truth = read_truth()
    rows = read_rows(folder / "submission.csv")
    missing = [column for column in (identity, target) if rows and column not in rows[0]]
    if missing:
        sys.exit(f"submission.csv: column {missing[0]} is missing")
    times = Counter(row[identity] for row in rows)
    given = {row[identity]: row[target] for row in rows if times[row[identity]] == 1}
    results: dict[str, object]
    if all(number(label) is not None for label in truth.values()) and len(set(truth.values())) > MANY_VALUES:
        unusable = [key for key in truth if number(given.get(key, "")) is None]
        if unusable:
            sys.exit(f"submission.csv: {len(unusable)} of {len(truth)} rows have no number, such as {unusable[0]}")
        squares = [(float(given[key]) - float(label)) ** 2 for key, label in truth.items()]
        results = {"rmse": math.sqrt(sum(squares) / len(squares))}
    else:
        items = [
            {"id": key, "status": "CORRECT" if key in given and same(given[key], label) else "WRONG"}
            for key, label in truth.items()
        ]
        correct = sum(item["status"] == "CORRECT" for item in items)
        results = {"accuracy": correct / len(items), "n_correct": correct, "n_total": len(items), "items": items}
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print({name: value for name, value in results.items() if name != "items"})


if __name__ == "__main__":
    main()
