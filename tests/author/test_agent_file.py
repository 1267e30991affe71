"""What is said of a target agent without running it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia.author.agent_file import imported_packages, source_problem

GOOD = "import sys\nassert '--dataset_dir' in sys.argv or '--working_dir' in sys.argv\n"


def test_agent_with_both_arguments_is_fine() -> None:
    assert source_problem(GOOD) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", "line 1"),
        ("print('--dataset_dir')\n", "--working_dir"),
        ("x = 1\n", "--dataset_dir and --working_dir"),
        ("x = '\0'\n", "does not parse"),
        ("(" * 500, "does not parse"),
    ],
)
def test_problem_is_named(text: str, words: str) -> None:
    assert words in (source_problem(text) or "")


@given(st.text(max_size=300))
def test_any_text_is_judged(text: str) -> None:
    assert source_problem(text) is not None or "--dataset_dir" in text


def test_needed_packages_are_found_wherever_they_are_imported() -> None:
    text = """
import json, numpy as np
from sklearn.pipeline import make_pipeline
def late():
    import pandas.testing
try:
    import optional_thing
except ImportError:
    import spare_thing
try:
    import needed_thing
except ValueError:
    pass
"""
    assert imported_packages(text) == ("needed_thing", "numpy", "pandas", "sklearn")
