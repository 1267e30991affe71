"""What docs/evaluators.md shows is true of the code."""

import re
import sys
from pathlib import Path

import pytest

from sia.jail.choose import choose_jail
from sia.task.check.grader import try_grader
from sia.task.package import load_task
from tests.task.test_crash_test import BY_ALL, table_task

PAGE = Path(__file__).parents[2] / "docs" / "evaluators.md"


@pytest.mark.slow
def test_the_whole_grader_passes_its_crash_test(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 1
    root = table_task(tmp_path / "task", BY_ALL)
    (root / "data" / "private" / "evaluate.py").write_text(blocks[0])
    found = try_grader(load_task(root), Path(sys.executable), choose_jail("auto"), print)
    assert {finding.level for finding in found} == {"ok"}, found


def test_named_files_exist() -> None:
    for name in re.findall(r"`((?:tasks|sia)/[\w/.-]+\.py)`", PAGE.read_text()):
        assert (PAGE.parents[1] / name).is_file(), name
