"""What the loop itself costs: `python -m tests.benchmarks.loop [--generations 1000] [--runs 1000]`.

Programs of the runs are the tests' scripted ones. Every figure is paired with a yardstick taken in the same process.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sia.settings import RunSettings
from tests.support import agent_with_accuracy, make_task, play

ROOT = Path(__file__).parents[2]


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def settings(runs: Path, **more: object) -> RunSettings:
    return RunSettings.model_validate({"runs_dir": runs, "backend": "offline", **more})


def overhead(folder: Path) -> None:
    """A generation against its three programs started by hand, one after the other."""
    count = 20
    task = make_task(folder / "task", {1: agent_with_accuracy(60)})
    loop = seconds(lambda: play(task, settings(folder / "runs", max_gen=count))) / count
    workspace, public = folder / "runs" / "run_1", task / "data" / "public"
    brief = next((workspace / "gen_2").glob("feedback_agent_prompt.txt"))
    programs = [
        [sys.executable, "-c", "import tests.scripted_author, sia.author.brief"],
        [sys.executable, str(workspace / "gen_1" / "target_agent.py"), "--dataset_dir", str(public)],
        [sys.executable, str(task / "data" / "private" / "evaluate.py"), "--gen-dir", str(workspace / "gen_1")],
    ]
    programs[1] += ["--working_dir", str(folder)]
    bare = statistics.median(
        sum(seconds(lambda a=argv: subprocess.run(a, cwd=ROOT, capture_output=True)) for argv in programs)  # type: ignore[misc]
        for _ in range(10)
    )
    print(f"generation / its programs alone      {loop / bare:6.2f}   ({loop * 1e3:.0f} ms, {bare * 1e3:.0f} ms)")
    print(f"length of the 20th prompt            {brief.stat().st_size:6d} bytes")


def long_run(folder: Path, generations: int) -> None:
    """Does generation 1,000 cost what generation 10 did? And how much memory does the orchestrator take?"""
    task = make_task(folder / "task", {1: agent_with_accuracy(60)})
    argv = [sys.executable, "-m", "tests.play_run", str(task), str(folder / "runs"), "1", str(generations)]
    stamps = []
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "generation_finished":
                stamps.append(time.perf_counter())
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    steps = [b - a for a, b in itertools.pairwise(stamps)]
    tenth = max(5, len(steps) // 10)
    ratio = statistics.median(steps[-tenth:]) / statistics.median(steps[:tenth])
    print(
        f"last tenth / first tenth of {generations}     {ratio:6.2f}   ({statistics.median(steps) * 1e3:.0f} ms each)"
    )
    peak = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    bare = subprocess.run([sys.executable, "-c", peak], capture_output=True, text=True, check=True)
    ratio, size = usage.ru_maxrss / int(bare.stdout), usage.ru_maxrss >> 10
    print(f"memory / an empty Python's           {ratio:6.2f}   ({size} MiB)")
    context = folder / "runs" / "run_1" / "context.md"
    print(f"context.md at the end                {context.stat().st_size:6d} bytes")


def second_start(folder: Path) -> None:
    """Start of a second run on a bundled task until the target agent's first instruction, against `python -c pass`."""

    def first_instruction(run_id: str) -> float:
        argv = [sys.executable, "-m", "sia", "--task", "spaceship-titanic", "--backend", "offline", "--max-gen", "1"]
        start = time.perf_counter()
        with subprocess.Popen(
            [*argv, "--run-id", run_id, "--json"], cwd=folder, stdout=subprocess.PIPE, text=True
        ) as p:
            assert p.stdout is not None
            for line in p.stdout:
                event = json.loads(line)
                if event["event"] == "stage_started" and event["stage"] == "author":
                    prepared = time.perf_counter() - start
                if event["event"] == "stage_started" and event["stage"] == "run":
                    elapsed = time.perf_counter() - start
            print(f"  run {run_id}: prepared after {prepared:.2f} s, the agent starts after {elapsed:.2f} s")
        return prepared

    first_instruction("warm")
    second = min(first_instruction(str(n)) for n in range(3))
    bare = min(seconds(lambda: subprocess.run([sys.executable, "-c", "pass"])) for _ in range(5))
    print(f"second run's preparation / python    {second / bare:6.2f}   ({second * 1e3:.0f} ms, {bare * 1e3:.0f} ms)")


def listing(folder: Path, runs: int) -> None:
    """`sia runs` over many runs against `sia runs` over one, and `sia --help` against `python -c pass`."""
    task = make_task(folder / "task", {1: agent_with_accuracy(60)})
    play(task, settings(folder / "one", max_gen=1, run_id="1"))
    source = (folder / "one" / "run_1" / "run.json").read_text()
    for number in range(1, runs + 1):
        run = folder / "many" / f"run_{number}"
        run.mkdir(parents=True)
        (run / "run.json").write_text(source.replace('"run_id": "1"', f'"run_id": "{number}"'))

    def sia(*arguments: str) -> float:
        argv = [sys.executable, "-m", "sia", *arguments]
        return min(seconds(lambda: subprocess.run(argv, capture_output=True, check=True)) for _ in range(5))

    one, many = sia("runs", "--runs-dir", str(folder / "one")), sia("runs", "--runs-dir", str(folder / "many"))
    print(f"sia runs over {runs} / over 1          {many / one:6.2f}   ({many * 1e3:.0f} ms, {one * 1e3:.0f} ms)")
    bare = min(seconds(lambda: subprocess.run([sys.executable, "-c", "pass"])) for _ in range(5))
    told = sia("--help")
    print(f"sia --help / python                  {told / bare:6.2f}   ({told * 1e3:.0f} ms, {bare * 1e3:.0f} ms)")


def main() -> None:
    """Runs all of them in temporary folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=1000)
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    for measure, more in (
        (overhead, ()),
        (second_start, ()),
        (listing, (arguments.runs,)),
        (long_run, (arguments.generations,)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), *more)  # type: ignore[operator]


if __name__ == "__main__":
    main()
