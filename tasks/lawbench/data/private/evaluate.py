"""Scores `submission.csv` in `--gen-dir` against the labels beside this file; writes `results.json` there."""

import argparse
import csv
import json
import sys
from collections import Counter
from pathlib import Path

ID, LABEL = "id", "label"
HERE = Path(__file__).parent
MAX_BYTES = 16 << 20


def read_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file. Exits with status 1 and a line when they cannot be used."""
    try:
        if file.stat().st_size > MAX_BYTES:
            sys.exit(f"{file.name} is larger than {MAX_BYTES >> 20} MiB")
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = [c for c in (ID, LABEL) if c not in (reader.fieldnames or ())]
            if missing:
                sys.exit(f"{file.name}: column {missing[0]} is missing")
            return list(reader)
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        sys.exit(f"{file.name} cannot be read: {error}")


def macro_f1(truth: dict[str, str], given: dict[str, str]) -> float:
    """The mean over the labels that occur in the truth of F1 = 2 TP / (2 TP + FP + FN)."""
    right, wanted, said = Counter(), Counter(truth.values()), Counter(given.values())
    right.update(label for key, label in truth.items() if given.get(key) == label)
    return sum(2 * right[label] / (wanted[label] + said[label]) for label in wanted) / len(wanted)


def main() -> None:
    """Writes accuracy, macro-F1 and items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    rows = read_rows(folder / "submission.csv")
    truth = {row[ID]: row[LABEL] for row in read_rows(HERE / "test.csv")}
    classes = set(json.loads((HERE.parent / "public" / "classes.json").read_text(encoding="utf-8")))
    times = Counter(row[ID] for row in rows)
    given = {row[ID]: row[LABEL] for row in rows if times[row[ID]] == 1 and row[ID] in truth and row[LABEL] in classes}
    items = []
    for key, label in truth.items():
        if times[key] != 1:
            status = "DUPLICATE" if times[key] else "MISSING"
        elif key not in given:
            status = "INVALID"
        else:
            status = "CORRECT" if given[key] == label else "WRONG"
        items.append({"id": key, "status": status})
    counts = Counter(item["status"] for item in items)
    results = {
        "accuracy": counts["CORRECT"] / len(items),
        "macro_f1": macro_f1(truth, given),
        "n_correct": counts["CORRECT"],
        "n_total": len(items),
        "n_unknown_ids": len(set(times) - set(truth)),
        "statuses": dict(sorted(counts.items())),
        "items": items,
    }
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(
        f"{counts['CORRECT']} of {len(items)} right, macro-F1 {results['macro_f1']:.4f}; {dict(sorted(counts.items()))}"
    )


if __name__ == "__main__":
    main()
