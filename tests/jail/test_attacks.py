"""Every attack against every backend that works here, as this user and, where this is root, as an ordinary one.

Without a jail each attack has to succeed, or it would prove nothing. A way to a gateway is open in all of them.
"""

import json
import os
import platform
import subprocess
import sys
from functools import cache
from typing import NamedTuple

import pytest

from sia.jail.choose import WALLS
from tests.jail.attacks import ATTACKS, Attack
from tests.jail.ordinary import ROOT, ordinary_python

USERS = ("root", "ordinary user") if os.geteuid() == 0 else ("ordinary user",)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of the attacks are x86-64's"),
]


class Played(NamedTuple):
    """How an attack ended."""

    log: str
    exit_status: int | None

    @property
    def reached(self) -> bool:
        return "REACHED" in self.log


class Broken(NamedTuple):
    """Why the attacks could not be played to the end."""

    told: str


@cache
def played(backend: str, user: str) -> "dict[str, Played] | str | Broken":
    """The attacks by name, or why they cannot be played here."""
    python = ordinary_python() if user == "ordinary user" else [sys.executable]
    if python is None:
        return "no ordinary user can run Python 3.11 and read the tests here"
    argv = [*python, "-m", "tests.jail.play", backend, "/tmp"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=600, env=os.environ | {"HOME": "/"})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if not lines:
        return f"{user} cannot run the tests here: {done.stderr.strip()[-300:]}"
    if not lines[0]["works"]:
        return f"{backend} does not work here: {lines[0]['told']}"
    if done.returncode:
        return Broken(done.stderr)
    return {line["attack"]: Played(line["log"], line["exit_status"]) for line in lines[1:]}


def outcome(backend: str, user: str, attack: Attack) -> Played:
    results = played(backend, user)
    if isinstance(results, Broken):
        pytest.fail(results.told)
    if isinstance(results, str):
        pytest.skip(results)
    return results[str(attack)]


def test_there_are_enough_attacks_of_distinct_names() -> None:
    assert len({str(attack) for attack in ATTACKS}) == len(ATTACKS) >= 45


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attack_succeeds_without_a_jail(attack: Attack, user: str) -> None:
    result = outcome("none", user, attack)
    if attack.needs and not result.reached:
        pytest.skip(f"this machine does not give {attack.needs}: {result.log.strip().splitlines()[-1:]}")
    assert result.reached, result.log


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("backend", WALLS)
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attack_fails_in_the_jail(attack: Attack, backend: str, user: str) -> None:
    if backend in attack.except_on:
        pytest.skip(f"a gap of {backend} that its `gaps` and docs/security.md name")
    result = outcome(backend, user, attack)
    assert not result.reached, result.log
    assert result.exit_status is not None
    assert result.exit_status != 126, result.log
