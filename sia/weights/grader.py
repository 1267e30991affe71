"""`python -m sia.weights.grader`: rewards of sampled answers, as a program in the jail.

A remote trainer runs outside the jail, because it holds the key of its service. What an author wrote, a function that
rewards or a pattern that is matched, runs here instead: with the public data and what the author left, both read-only,
no network, and no key. It reads a batch of answers and writes their rewards. Exit status 3: the reward failed, and the
last line says why.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from sia.weights.examples import Example
from sia.weights.plan import PlanError, parse_plan
from sia.weights.rewards import reward_of

FAILED = 3


class Answered(BaseModel):
    """Answers to one prompt, to be rewarded."""

    answers: list[str]
    right: str | None
    row: dict[str, str]


BATCH: TypeAdapter[list[Answered]] = TypeAdapter(list[Answered])
REWARDS: TypeAdapter[list[list[float]]] = TypeAdapter(list[list[float]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewards; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sia.weights.grader", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="training.json")
    parser.add_argument("--public", type=Path, required=True, help="folder of the task's public data")
    parser.add_argument("--author", type=Path, required=True, help="folder of what the author left beside the plan")
    parser.add_argument("--batch", type=Path, required=True, help="the answers, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="file for the rewards")
    given = parser.parse_args(arguments)
    try:
        reward = reward_of(parse_plan(given.plan.read_bytes()), given.public, given.author)
        groups = BATCH.validate_json(given.batch.read_bytes())
        rewards = [reward(group.answers, Example("", group.right, group.row)) for group in groups]
    except PlanError as error:
        print(error, flush=True)
        return FAILED
    given.out.write_text(json.dumps(rewards), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
