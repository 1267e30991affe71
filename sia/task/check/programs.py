"""Submissions that are programs and deserve nothing, for evaluators that run one (`[agent] program`).

The public sample program is the one that plays by the rules. The others are made of it: what they do more happens when
they are loaded, or they do less.
"""

from collections.abc import Iterator

from sia.task.check.attacks import REACHED, SHADOW_MARK, Attack, forged_report, leave
from sia.task.check.form import sample_program
from sia.task.package import TaskPackage

_FORGING = """
import os
for folder in (".", "..", "../..", os.path.dirname(os.path.abspath(__file__))):
    try:
        open(os.path.join(folder, "results.json"), "x").write({report!r})
    except OSError:
        pass
"""
_REACHING = """
import os
for reached in {files!r} + [f"/proc/{{os.getppid()}}/environ", f"/proc/{{os.getppid()}}/mem"]:
    try:
        open(reached, "rb").read(1)
    except OSError:
        continue
    print({mark!r}, reached, flush=True)
    os.system("echo '" + {mark!r} + "' >&2")
    for folder in (".", "..", os.path.dirname(os.path.abspath(__file__))):
        try:
            open(os.path.join(folder, {name!r}), "w").write(reached)
        except OSError:
            pass
"""
_LEAVING = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
    os._exit(0)
"""


def program_attacks(task: TaskPackage) -> Iterator[Attack]:
    """Every one that can be made of the task's sample program; none without it."""
    name, sample = task.manifest.agent.program, sample_program(task)
    if name is None or sample is None:
        return
    source, report = sample.read_text(encoding="utf-8"), forged_report(task)
    files = [str(file) for file in sorted(task.private_dir.rglob("*")) if file.is_file()]
    reaching = _REACHING.format(files=files, mark=SHADOW_MARK, name=REACHED)

    def program(attack: str, text: str, trivial: bool = False) -> Attack:
        return Attack(attack, lambda folder: leave(folder / name, text.encode()), trivial, alone=True)

    yield program("sample program", source, trivial=True)
    yield program("program that forges results", source + _FORGING.format(report=report))
    yield program("program that reads the evaluator's files", source + reaching)
    yield program("program that leaves a process behind", source + _LEAVING)
    yield program("program that ends at once", "import os\nos._exit(0)\n")
    yield program("program that says it is right", f"import os\nos.write(1, {report!r}.encode())\nos._exit(0)\n")
    yield program("program that does not parse", "def (:\n")
    yield program("program that defines nothing", "VALUE = 1\n")
