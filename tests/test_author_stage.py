"""What the author stage does with a workspace in which a program has run."""

import os
from pathlib import Path

import pytest

from sia.stages.author import hand_over


@pytest.mark.parametrize("left", ["nothing", "link", "pipe", "folder", "closed folder"])
def test_repair_text_replaces_what_the_author_left_at_its_name(left: str, tmp_path: Path) -> None:
    staging, victim = tmp_path / "staging", tmp_path / "victim"
    workspace = staging / "workspace"
    workspace.mkdir(parents=True)
    victim.write_text("mine")
    target = workspace / "repair.txt"
    if left == "link":
        target.symlink_to(victim)
    elif left == "pipe":
        os.mkfifo(target)
    elif left.endswith("folder"):
        target.mkdir()
        (target / "inner").touch()
    if left == "closed folder":
        target.chmod(0)
        workspace.chmod(0o500)
    hand_over("it does not parse", "repair.txt", staging, workspace)
    assert not target.is_symlink()
    assert target.read_text() == "it does not parse"
    assert victim.read_text() == "mine"
