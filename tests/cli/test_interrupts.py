"""Ctrl-C pressed again and again leaves a run that says that it was interrupted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support import make_task

WAITS = 60


def test_three_quick_interrupts_leave_a_run_that_can_go_on(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    argv = [sys.executable, "-m", "sia", "--task-dir", str(task), "--backend", "offline", "--sandbox", "none"]
    argv += ["--force", "--max-gen", "500", "--runs-dir", "my runs"]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + WAITS
            while not (tmp_path / "my runs" / "run_1" / "ledger.jsonl").exists() and time.monotonic() < end:
                time.sleep(0.05)
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(0.1)
            _, errors = process.communicate(timeout=WAITS)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert json.loads((tmp_path / "my runs" / "run_1" / "run.json").read_text())["status"] == "interrupted"
    assert f"--runs-dir '{tmp_path}/my runs'" in errors
