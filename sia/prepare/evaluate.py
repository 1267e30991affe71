"""Scores `submission.csv` in `--gen-dir` against the answers beside this file; writes `results.json` there.

What is measured stands in `grading.json`. Items carry what a row adds to the metric: where the metric is a mean over
rows, the item scores have it as their mean; where it is not (F1, kappa, RMSE), they hold the natural quantity of the
row; where there is none (correlations), there are no items.
"""

import argparse
import csv
import importlib
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import pearsonr, rankdata, spearmanr
from sklearn import metrics as sk

HERE = Path(__file__).resolve().parent
TRUE, FALSE = "true", "false"
SMALLEST = 1e-15
"""Probabilities are kept this far from 0 and 1, as Kaggle does."""
csv.field_size_limit(1 << 30)


class Measured(NamedTuple):
    """A metric's value and what each row says."""

    value: float
    scores: Sequence[float] | None = None
    """One number a row, in the metric's direction."""
    right: Sequence[bool] | None = None
    """Or whether the row's answer is the right one."""


class Table(NamedTuple):
    """Cells of a CSV file by row id, the rows in the order of the file."""

    rows: dict[str, tuple[str, ...]]
    columns: tuple[str, ...]


def read_table(file: Path, identity: str, columns: Sequence[str]) -> Table:
    """The named columns of a CSV file. Exits with status 1 and a line that holds no cell when they cannot be used."""
    rows: dict[str, tuple[str, ...]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            names = reader.fieldnames or ()
            for column in (identity, *columns):
                if column not in names:
                    sys.exit(f"{file.name}: column {column!r} is missing")
            for number, row in enumerate(reader, start=1):
                key = normal(row[identity] or "")
                if key in rows:
                    sys.exit(f"{file.name} row {number}: its {identity} occurs twice")
                rows[key] = tuple((row[c] or "").strip() for c in columns)
    except FileNotFoundError:
        sys.exit(f"{file.name} is missing")
    except UnicodeDecodeError:
        sys.exit(f"{file.name} is not UTF-8")
    except (OSError, csv.Error) as error:
        sys.exit(f"{file.name} cannot be read: {error}")
    return Table(rows, tuple(columns))


def normal(text: str) -> str:
    """One spelling for `1` and `1.0`, for `True` and `true`."""
    text = text.strip()
    if text.lower() in (TRUE, FALSE):
        return text.lower()
    if text.endswith(".0") and text[:-2].lstrip("-").isdigit():
        return text[:-2]
    return text


def as_labels(cells: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Cells as labels; `1` and `0` stand for true and false where the labels are these."""
    words = {"1": TRUE, "0": FALSE} if set(labels) == {TRUE, FALSE} else {}
    return [words.get(normal(cell), normal(cell)) for cell in cells]


def as_numbers(cells: Sequence[Sequence[str]], name: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Rows by columns. Exits with status 1 at a cell that is not a finite number."""
    words = {TRUE: "1", FALSE: "0"}
    try:
        numbers = np.array([[float(words.get(c.lower(), c)) for c in row] for row in cells], dtype=float)
    except ValueError:
        sys.exit(f"{name} holds a cell that is not a number")
    if not np.isfinite(numbers).all():
        sys.exit(f"{name} holds a number that is not finite")
    return numbers


def measure_labels(metric: str, truth: list[str], given: list[str], labels: Sequence[str]) -> Measured:
    """Metrics of one label a row."""
    right = [t == g for t, g in zip(truth, given, strict=True)]
    if metric == "quadratic_kappa":
        t, g = as_numbers([truth], "the answers")[0], as_numbers([given], "submission.csv")[0]
        width = float(t.max() - t.min()) or 1.0
        value = sk.cohen_kappa_score(np.rint(t).astype(int), np.rint(g).astype(int), weights="quadratic")
        return Measured(value, scores=[float(s) for s in 1.0 - ((t - np.rint(g)) / width) ** 2])
    averages = {"macro_f1": "macro", "micro_f1": "micro", "weighted_f1": "weighted"}
    functions: dict[str, Callable[[], float]] = {
        "accuracy": lambda: sk.accuracy_score(truth, given),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(truth, given),
        "mcc": lambda: sk.matthews_corrcoef(truth, given),
        # A label that is neither of the two is a wrong answer: for the positive class it is not given.
        "f1": lambda: sk.f1_score([t == labels[-1] for t in truth], [g == labels[-1] for g in given], zero_division=0),
    }
    if metric in averages:
        return Measured(
            sk.f1_score(truth, given, average=averages[metric], labels=labels, zero_division=0), right=right
        )
    return Measured(functions[metric](), right=right)


def measure_numbers(metric: str, truth: Any, given: Any) -> Measured:  # noqa: ANN401 (arrays, rows by columns)
    """Metrics of one or several numbers a row; with several columns the mean over the columns."""
    if metric.endswith("rmsle"):
        truth, given = np.log1p(np.maximum(truth, 0.0)), np.log1p(np.maximum(given, 0.0))
    error = given - truth
    if metric in ("rmse", "rmsle"):
        return Measured(sk.root_mean_squared_error(truth, given), scores=(error**2).mean(axis=1).tolist())
    match metric:
        case "mse":
            return Measured(sk.mean_squared_error(truth, given), scores=(error**2).mean(axis=1).tolist())
        case "mae":
            return Measured(sk.mean_absolute_error(truth, given), scores=abs(error).mean(axis=1).tolist())
        case "medae":
            return Measured(sk.median_absolute_error(truth, given), scores=abs(error).mean(axis=1).tolist())
        case "mape":
            share = abs(error) / np.maximum(abs(truth), np.finfo(float).eps)
            return Measured(sk.mean_absolute_percentage_error(truth, given), scores=share.mean(axis=1).tolist())
        case "smape":
            size = (abs(truth) + abs(given)) / 2.0
            share = np.divide(abs(error), size, out=np.zeros_like(error), where=size > 0).mean(axis=1)
            return Measured(float(100.0 * share.mean()), scores=(100.0 * share).tolist())
        case "r2":
            spread = np.maximum(truth.var(axis=0), np.finfo(float).eps)
            return Measured(sk.r2_score(truth, given), scores=(1.0 - error**2 / spread).mean(axis=1).tolist())
    correlation = {"pearson": pearsonr, "spearman": spearmanr}[metric]
    values = [float(correlation(truth[:, k], given[:, k]).statistic) for k in range(truth.shape[1])]
    # The correlation with a constant is not defined; it says nothing about the rows.
    return Measured(float(np.mean(np.nan_to_num(values))))


def placements(positive: Any, score: Any) -> Any:  # noqa: ANN401 (arrays of one row a cell)
    """For each row the share of the rows of the other class that it is placed rightly against, a tie counting half.

    Their mean over the positive rows is the area under the ROC curve, and so is that over the negative ones, hence that
    over all rows (E. R. DeLong et al., 1988, Biometrics 44:837).
    """
    ranks, own = rankdata(score), np.empty(len(score))
    for member in (positive, ~positive):
        own[member] = rankdata(score[member])
    other = np.where(positive, (~positive).sum(), positive.sum())
    above = (ranks - own) / other
    return np.where(positive, above, 1.0 - above)


def measure_scores(metric: str, truth: Any, given: Any) -> Measured:  # noqa: ANN401 (arrays, rows by columns)
    """Metrics of scores or probabilities; `truth` is 1 where the column's class is the row's, else 0."""
    columns = range(truth.shape[1])
    if metric == "auc":
        for k in columns:
            if truth[:, k].min() == truth[:, k].max():
                sys.exit("the answers hold one class only: the area under the ROC curve is not defined")
        value = float(np.mean([sk.roc_auc_score(truth[:, k], given[:, k]) for k in columns]))
        rows = np.mean([placements(truth[:, k] == 1.0, given[:, k]) for k in columns], axis=0)
        return Measured(value, scores=rows.tolist())
    if metric == "average_precision":
        return Measured(float(np.mean([sk.average_precision_score(truth[:, k], given[:, k]) for k in columns])))
    clipped = np.clip(given, SMALLEST, 1.0 - SMALLEST)
    if metric == "log_loss_classes":
        shares = np.maximum(given, SMALLEST)
        shares = shares / shares.sum(axis=1, keepdims=True)
        rows = -np.log(np.clip(shares, SMALLEST, 1.0))[truth == 1.0]
        value = sk.log_loss(truth.argmax(axis=1), shares, labels=list(columns))
        return Measured(value, scores=rows.tolist())
    rows = -(truth * np.log(clipped) + (1.0 - truth) * np.log(1.0 - clipped))
    value = float(np.mean([sk.log_loss(truth[:, k], clipped[:, k], labels=[0, 1]) for k in columns]))
    return Measured(value, scores=rows.mean(axis=1).tolist())


def measure_lists(metric: str, at: int, truth: list[list[str]], given: list[list[str]]) -> Measured:
    """Metrics of a list of labels a row: ranked for `map`, a set for `samples_f1`."""
    scores = []
    for wanted, answer in zip(truth, given, strict=True):
        if metric == "samples_f1":
            both = len(set(wanted) & set(answer))
            scores.append(2.0 * both / (len(set(wanted)) + len(set(answer))) if wanted or answer else 1.0)
            continue
        hits, total = 0, 0.0
        for place, label in enumerate(answer[:at], start=1):
            if label in wanted and label not in answer[: place - 1]:
                hits += 1
                total += hits / place
        scores.append(total / min(len(set(wanted)), at) if wanted else 0.0)
    return Measured(float(np.mean(scores)), scores=scores)


def measure(rules: dict[str, Any], submission: Path, answers: Path) -> tuple[Measured, list[str]]:
    """The metric of `rules`, and the ids of its rows. Exits with status 1 and a line at a bad submission."""
    form, metric, targets = rules["form"], rules["metric"], rules["targets"]
    columns = rules["classes"] if form == "classes" else targets
    truth, given = read_table(answers, rules["id"], targets), read_table(submission, rules["id"], columns)
    missing = sum(key not in given.rows for key in truth.rows)
    if missing or len(given.rows) != len(truth.rows):
        unknown = len(given.rows) - len(truth.rows) + missing
        sys.exit(f"{submission.name}: {missing} rows are missing and {unknown} have an unknown {rules['id']}")
    ids = list(truth.rows)
    wanted, answered = [truth.rows[k] for k in ids], [given.rows[k] for k in ids]
    if form == "labels":
        first = [row[0] for row in wanted]
        labels = rules["labels"]
        return measure_labels(
            metric, as_labels(first, labels), as_labels([r[0] for r in answered], labels), labels
        ), ids
    if form == "lists":
        found = [[normal(w) for w in row[0].split()] for row in answered]
        return measure_lists(metric, rules["at"], [[normal(w) for w in row[0].split()] for row in wanted], found), ids
    numbers = as_numbers(answered, submission.name)
    if form == "numbers":
        return measure_numbers(metric, as_numbers(wanted, answers.name), numbers), ids
    if form == "classes":
        one_hot = [[float(normal(row[0]) == label) for label in rules["labels"]] for row in wanted]
        return measure_scores("log_loss_classes" if metric == "log_loss" else metric, np.array(one_hot), numbers), ids
    positive = [[float(normal(cell) == rules["positive"]) for cell in row] for row in wanted]
    return measure_scores(metric, np.array(positive), numbers), ids


def items_of(measured: Measured, ids: list[str]) -> list[dict[str, object]]:
    """The rows as `results.json` lists them."""
    if measured.right is not None:
        return [{"id": k, "status": "CORRECT" if r else "WRONG"} for k, r in zip(ids, measured.right, strict=True)]
    return [{"id": k, "score": float(s)} for k, s in zip(ids, measured.scores or (), strict=bool(measured.scores))]


def grade_with_mlebench(rules: dict[str, Any], submission: Path) -> dict[str, Any]:
    """Score, thresholds and medals by the grader of MLE-bench that lies beside this file."""
    sys.path.insert(0, str(HERE))
    helpers, utils = importlib.import_module("mlebench.grade_helpers"), importlib.import_module("mlebench.utils")
    bench = rules["mlebench"]
    grader = helpers.Grader(name=bench["grader"], grade_fn=bench["grade_fn"])
    if not submission.is_file():
        sys.exit(f"{submission.name} is missing")
    score = grader(utils.read_csv(submission), utils.load_answers(HERE / bench["answers"]))
    if score is None:
        sys.exit(f"{submission.name}: MLE-bench's grader takes it for invalid; compare it with sample_submission.csv")
    ranked = grader.rank_score(score, utils.read_csv(HERE / "leaderboard.csv"))
    medals = {k: bool(v) if isinstance(v, (bool, np.bool_)) else float(v) for k, v in ranked.items()}
    return {
        rules["metric"]: float(score),
        "any_medal": any(medals[f"{m}_medal"] for m in ("gold", "silver", "bronze")),
        **medals,
    }


def items_beside(rules: dict[str, Any], submission: Path, score: float) -> list[dict[str, object]]:
    """The rows beside a score of MLE-bench's grader; none unless both measure the same (it rounds to five decimals)."""
    try:
        measured, ids = measure(rules, submission, HERE / rules["answers"])
    except SystemExit:
        return []
    return items_of(measured, ids) if abs(measured.value - score) < 1e-5 else []


def main() -> None:
    """Writes the metric and the items."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen-dir", type=Path, required=True)
    folder = parser.parse_args().gen_dir
    rules = json.loads((HERE / "grading.json").read_text(encoding="utf-8"))
    submission = folder / "submission.csv"
    # Warnings of scikit-learn about rare classes would end up as the evaluator's last line.
    warnings.simplefilter("ignore")
    results = grade_with_mlebench(rules, submission) if rules.get("mlebench") else {}
    if not results:
        measured, ids = measure(rules, submission, HERE / rules["answers"])
        results = {rules["metric"]: float(measured.value), "items": items_of(measured, ids)}
    elif rules["form"]:
        results["items"] = items_beside(rules, submission, results[rules["metric"]])
    if not results.get("items"):
        results.pop("items", None)
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    print(f"{rules['metric']} {results[rules['metric']]:.6g}")


if __name__ == "__main__":
    main()
