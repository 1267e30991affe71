"""The Claude author: the real SDK with its real tools, in the jail, behind the gateway, talking to a scripted model."""

from pathlib import Path

import pytest

from tests.author.scenarios import cheat_in_vain, improve_and_survive_kills

pytestmark = [pytest.mark.slow, pytest.mark.claude]


def test_three_generations_improve_and_survive_kills_in_every_stage(tmp_path: Path) -> None:
    improve_and_survive_kills("claude", tmp_path)


def test_cheating_fails_and_is_recorded(tmp_path: Path) -> None:
    cheat_in_vain("claude", tmp_path)
