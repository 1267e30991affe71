"""Runs an evaluator on several folders, each in a process of its own that begins where its libraries are loaded.

`python forks.py REPORT EVALUATOR SECONDS TOTAL FOLDER...`, in the environment of the task. Output of folder F goes to
F.log. For each folder that was finished, REPORT gets a line of its number, exit status and seconds. The first one that
takes longer than SECONDS is killed and reported as `late`; one that a signal ends is not reported. Both end the whole,
and none is begun after TOTAL seconds.
"""

import ast
import gc
import os
import runpy
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.005


def load_libraries(evaluator: Path) -> None:
    """Runs all of the evaluator's import statements; what fails here fails in the evaluator, where it is told."""
    with suppress(SyntaxError, UnicodeDecodeError):
        for node in ast.walk(ast.parse(evaluator.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__"):
                with suppress(Exception, SystemExit):
                    exec(compile(ast.Module([node], []), str(evaluator), "exec"), {"__name__": "__main__"})


def evaluate(evaluator: Path, folder: str) -> None:
    """Becomes the evaluator, as if it was started for this folder alone."""
    os.setpgid(0, 0)
    os.chdir(folder)
    os.environ |= {"HOME": folder, "TMPDIR": folder}
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = [str(evaluator), "--gen-dir", folder]
    runpy.run_path(str(evaluator), run_name="__main__")


def wait_for(child: int, end: float) -> int | None:
    """The child's exit status, negative for a signal; None when it is still busy at `end`. Nothing of it is left."""
    status = None
    while status is None and time.monotonic() < end:
        finished, code = os.waitpid(child, os.WNOHANG)
        if finished:
            status = os.waitstatus_to_exitcode(code)
        else:
            time.sleep(LOOK_SECONDS)
    with suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    return status


def main() -> None:
    """One child after the other."""
    report, evaluator, seconds, total, *folders = sys.argv[1:]
    start = time.monotonic()
    sys.path[0] = str(Path(evaluator).parent)
    load_libraries(Path(evaluator))
    gc.freeze()  # else every child takes the libraries apart at its end, which costs more than judging
    with Path(report).open("w", buffering=1) as told:
        for number, folder in enumerate(folders):
            began = time.monotonic()
            if began - start > float(total):
                break
            child = os.fork()
            if not child:
                evaluate(Path(evaluator), folder)
                return
            status = wait_for(child, began + float(seconds))
            if status is not None and status < 0:
                break
            told.write(f"{number} {'late' if status is None else status} {time.monotonic() - began:.3f}\n")
            if status is None:
                break


if __name__ == "__main__":
    main()
