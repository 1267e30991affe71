"""Descriptions of similar tasks, written by a model: they widen what an author of agents prepares for."""

from collections.abc import Callable
from dataclasses import dataclass

PROMPT = """Below is the description of a machine-learning task. Write three short descriptions of OTHER tasks of the same
kind, in Markdown: a heading and five sentences each, saying what a row is, what is predicted, the columns of
submission.csv, the metric and what is difficult. Vary the field, the kinds of columns and the metric. Invent them: do not
describe the given task again, and state no answers. Begin with the line "# Tasks of the same kind".

"""
MAX_CHARACTERS = 20_000


def sample_writer() -> Callable[[str, Callable[[str], None]], str]:
    raise NotImplementedError
