"""The evaluator that is copied into prepared tasks: values as scikit-learn has them, items that add up to them."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss, mean_absolute_error, roc_auc_score

from sia.prepare import evaluate
from sia.prepare.evaluate import measure_labels, measure_lists, measure_numbers, measure_scores
from sia.prepare.metrics import METRICS, find_metric, recognise_metric
from sia.score.measure import Measurement, measure
from sia.score.results import Results, parse_results
from sia.score.split import SplitRule

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.integers(0, 8).map(lambda k: k / 8)), min_size=2, max_size=60)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=50)


def columns(rows: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    truth, answer = zip(*rows, strict=True)
    return np.array(truth, dtype=float)[:, None], np.array(answer, dtype=float)[:, None]


@given(ROWS)
def test_auc_is_the_mean_of_its_items_with_ties_too(rows: list[tuple[float, float]]) -> None:
    truth, answer = columns(rows)
    assume(0 < truth.sum() < len(truth))
    measured = measure_scores("auc", truth, answer)
    assert measured.scores is not None
    assert math.isclose(measured.value, roc_auc_score(truth[:, 0], answer[:, 0]), abs_tol=1e-12)
    assert math.isclose(float(np.mean(measured.scores)), measured.value, abs_tol=1e-9)
    assert all(0.0 <= score <= 1.0 for score in measured.scores)


@given(ROWS)
def test_log_loss_is_the_mean_of_its_items(rows: list[tuple[float, float]]) -> None:
    truth, answer = columns(rows)
    measured = measure_scores("log_loss", truth, answer)
    clipped = np.clip(answer[:, 0], evaluate.SMALLEST, 1 - evaluate.SMALLEST)
    assert measured.scores is not None
    assert math.isclose(measured.value, log_loss(truth[:, 0], clipped, labels=[0, 1]), rel_tol=1e-9)
    assert math.isclose(float(np.mean(measured.scores)), measured.value, rel_tol=1e-6, abs_tol=1e-9)


def test_log_loss_of_classes_takes_rows_that_do_not_add_up_to_one() -> None:
    truth = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    measured = measure_scores("log_loss_classes", truth, np.array([[2.0, 1.0, 1.0], [0.25, 0.25, 0.5]]))
    assert measured.value == pytest.approx(math.log(2))
    assert measured.scores == pytest.approx([math.log(2), math.log(2)])


@given(PAIRS, st.sampled_from(["mse", "mae", "mape", "smape", "r2"]))
def test_metrics_of_numbers_that_are_means_add_up(pairs: list[tuple[float, float]], metric: str) -> None:
    truth, answer = columns(pairs)
    assume(truth.std() > 1e-3)
    measured = measure_numbers(metric, truth, answer)
    assert measured.scores is not None
    assert math.isclose(float(np.mean(measured.scores)), measured.value, rel_tol=1e-6, abs_tol=1e-6)
    if metric == "mae":
        assert math.isclose(measured.value, mean_absolute_error(truth, answer), rel_tol=1e-9)


@given(PAIRS)
def test_rmse_is_the_root_of_the_mean_of_its_items(pairs: list[tuple[float, float]]) -> None:
    measured = measure_numbers("rmse", *columns(pairs))
    assert measured.scores is not None
    assert math.isclose(math.sqrt(float(np.mean(measured.scores))), measured.value, rel_tol=1e-9, abs_tol=1e-12)


def test_rmsle_takes_negative_predictions_for_nothing() -> None:
    measured = measure_numbers("rmsle", np.array([[math.e - 1.0]]), np.array([[-5.0]]))
    assert measured.value == pytest.approx(1.0)


def test_several_columns_count_alike() -> None:
    truth, answer = np.array([[0.0, 0.0], [0.0, 0.0]]), np.array([[3.0, 1.0], [3.0, 1.0]])
    assert measure_numbers("rmse", truth, answer).value == pytest.approx(2.0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=40))
def test_quadratic_kappa(pairs: list[tuple[int, int]]) -> None:
    assume(len({number for pair in pairs for number in pair}) > 1)
    truth, answer = ([str(pair[k]) for pair in pairs] for k in (0, 1))
    wanted = cohen_kappa_score(*zip(*pairs, strict=True), weights="quadratic")
    measured = measure_labels("quadratic_kappa", truth, answer, sorted(set(truth)))
    assert measured.value == pytest.approx(wanted, nan_ok=True)


def test_f1_of_the_positive_class_counts_other_words_as_not_given() -> None:
    truth, answer = ["1", "1", "0", "0"], ["1", "maybe", "1", "0"]
    assert measure_labels("f1", truth, answer, ["0", "1"]).value == f1_score([1, 1, 0, 0], [1, 0, 1, 0])


def test_average_precision_of_ranked_lists() -> None:
    measured = measure_lists("map_at_3", 3, [["a"], ["a", "b"], ["a"]], [["b", "a"], ["a", "a", "b"], ["c"]])
    # 1/2; then 1/1 for a, nothing for a again, 2/3 for b, by two; then 0.
    assert measured.scores == pytest.approx([0.5, (1 + 2 / 3) / 2, 0.0])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Submissions are evaluated based on their **classification accuracy**, the percentage ...", "accuracy"),
        ("evaluated on Root-Mean-Squared-Error (RMSE) between the logarithm of the predicted value", "rmsle"),
        ("Root Mean Squared Logarithmic Error", "rmsle"),
        ("evaluated on area under the ROC curve between the predicted probability and the target", "auc"),
        ("using the multi-class logarithmic loss. Each row has been labeled", "log_loss"),
        ("scored based on the quadratic weighted kappa, which measures the agreement", "quadratic_kappa"),
        ("evaluated according to the Mean Average Precision @ 5 (MAP@5):", "map_at_5"),
        ("MAP@3", "map_at_3"),
        ("evaluated by the macro F1 score, not by accuracy", "macro_f1"),
        ("the mean absolute error", "mae"),
        ("the jury decides", None),
    ],
)
def test_metrics_are_recognised_in_the_words_of_competitions(text: str, name: str | None) -> None:
    found = recognise_metric(text)
    assert (found.name if found else None) == name


@given(st.text())
def test_any_words_can_be_looked_at(text: str) -> None:
    recognise_metric(text)


def graded(
    tmp_path: Path, rules: dict[str, Any], answers: list[list[str]], given: list[list[str]]
) -> dict[str, Any] | str:
    """What the evaluator would write, else the line that it ends with."""
    files = tmp_path / "answers.csv", tmp_path / "submission.csv"
    for file, rows in zip(files, (answers, given), strict=True):
        with file.open("w", newline="") as lines:
            csv.writer(lines).writerows(rows)
    try:
        measured, ids = evaluate.measure(rules, files[1], files[0])
    except SystemExit as error:
        return str(error.code)
    return {rules["metric"]: measured.value, "items": evaluate.items_of(measured, ids)}


RULES: dict[str, Any] = {
    "form": "labels",
    "id": "id",
    "targets": ["y"],
    "classes": [],
    "labels": ["false", "true"],
    "positive": "",
    "at": None,
    "answers": "answers.csv",
}
ANSWERS = [["id", "y"], *([str(k), str(k % 2 == 0)] for k in range(40))]


@pytest.mark.parametrize("name", [m.name for m in METRICS if m.form == "labels"])
def test_every_metric_of_labels_can_be_measured(tmp_path: Path, name: str) -> None:
    answers = [["id", "y"], *([str(k), str(k % 2)] for k in range(40))]
    given = [["id", "y"], *([str(k), f"{k % 2 if k % 5 else 1 - k % 2}.0"] for k in range(40))]
    found = graded(tmp_path, {**RULES, "labels": ["0", "1"], "metric": name}, answers, given)
    results = parse_results(json.dumps(found).encode())
    assert isinstance(results, Results)
    measurement = measure(results, name, "max", SplitRule(0, 0.3))
    assert isinstance(measurement, Measurement), measurement
    assert 0.5 < measurement.all.value < 1.0
    assert measurement.sealed is not None


def test_spellings_of_truth(tmp_path: Path) -> None:
    words = ["TRUE", "0", "1.0", "false"]
    given = [["id", "y"], *([str(k), words[k % 4] if k % 2 == 0 else words[1 + 2 * (k % 4 == 3)]] for k in range(40))]
    found = graded(tmp_path, {**RULES, "metric": "accuracy"}, ANSWERS, given)
    assert isinstance(found, dict)
    assert found["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (ANSWERS[:-1], "1 rows are missing and 0 have an unknown id"),
        ([*ANSWERS, ["99", "True"]], "0 rows are missing and 1 have an unknown id"),
        ([*ANSWERS, ANSWERS[1]], "its id occurs twice"),
        ([["id", "z"], *ANSWERS[1:]], "column 'y' is missing"),
        ([], "column 'id' is missing"),
    ],
)
def test_bad_submissions_are_one_line_without_an_answer(tmp_path: Path, given: list[list[str]], words: str) -> None:
    line = graded(tmp_path, {**RULES, "metric": "accuracy"}, ANSWERS, given)
    assert isinstance(line, str)
    assert words in line
    assert "\n" not in line
    assert "True" not in line


def test_names_of_metrics() -> None:
    assert find_metric("MAP@7").at == 7
    assert find_metric("log-loss").name == "log_loss"
