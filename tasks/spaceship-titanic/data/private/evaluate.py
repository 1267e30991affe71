"""Scores `submission.csv` in `--gen-dir` against the labels beside this file; writes `results.json` there."""

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path

ID, LABEL, GROUP = "PassengerId", "Transported", "HomePlanet"
LABELS = {"true": "True", "false": "False", "1": "True", "0": "False", "1.0": "True", "0.0": "False"}
MAX_BYTES = 16 << 20


def read_rows(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file. Exits with status 1 and a line when they cannot be used."""
    try:
        if file.stat().st_size > MAX_BYTES:
            sys.exit(f"{file.name} is larger than {MAX_BYTES >> 20} MiB")
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = [c for c in columns if c not in (reader.fieldnames or ())]
            if missing:
                sys.exit(f"{file.name}: column {missing[0]} is missing")
            return list(reader)
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"{file.name} cannot be read: {error}")


def judge(answer: str | None, label: str) -> str:
    """The status of one answer. Spellings of a truth value that programs write are taken as they are meant."""
    said = LABELS.get((answer or "").lower())
    if said is None:
        return "INVALID"
    return "CORRECT" if said == label else "WRONG"


def main() -> None:
    """Writes accuracy and items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    rows = read_rows(folder / "submission.csv", (ID, LABEL))
    times, answers = Counter(row[ID] for row in rows), {row[ID]: row[LABEL] for row in rows}
    truth = read_rows(Path(__file__).with_name("test.csv"), (ID, LABEL, GROUP))
    items = []
    for row in truth:
        key = row[ID]
        status = judge(answers[key], row[LABEL]) if times[key] == 1 else "DUPLICATE" if times[key] else "MISSING"
        items.append({"id": key, "status": status, "group": row[GROUP] or "unknown"})
    counts = Counter(item["status"] for item in items)
    results = {
        "accuracy": counts["CORRECT"] / len(items),
        "n_correct": counts["CORRECT"],
        "n_total": len(items),
        "n_unknown_ids": len(set(times) - {row[ID] for row in truth}),
        "statuses": dict(sorted(counts.items())),
        "items": items,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{counts['CORRECT']} of {len(items)} right; {dict(sorted(counts.items()))}")


if __name__ == "__main__":
    main()
