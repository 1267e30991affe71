"""Start-up of every sandbox that works here against a plain subprocess, and against `--sandbox none`, paired.

Run as `python -m tests.benchmarks.jail --rounds 30`. In each round every backend and the plain process take their turn
in a shuffled order, so that a busy machine is busy for all of them.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sia.jail.choose import WALLS, choose_jail
from sia.jail.probe import probe
from sia.jail.process import ProcessJail
from sia.jail.protocol import Command, Jail, Limits, Mount

PROGRAM = (sys.executable, "-c", "pass")
PLAIN = "plain subprocess"


def once(jail: Jail | None, folder: Path, gateway: bool) -> float:
    """Seconds from the call to the end of a program that does nothing."""
    start = time.perf_counter()
    if jail is None:
        subprocess.run(PROGRAM, check=True, env={})
        return time.perf_counter() - start
    outcome = jail.run(
        Command(
            argv=PROGRAM,
            cwd=folder / "work",
            log=folder / "log",
            limits=Limits(seconds=60, memory_bytes=4 << 30, processes=256, file_bytes=1 << 30, disk_bytes=1 << 30),
            mounts=(Mount(folder / "work", writable=True), Mount(Path(sys.prefix))),
            on_listener=(lambda listener: listener.close()) if gateway else None,
        )
    )
    assert outcome.exit_status == 0
    return time.perf_counter() - start


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    jails: dict[str, Jail | None] = {PLAIN: None, "none": ProcessJail()}
    jails |= {name: jail for name, jail in WALLS.items() if probe(jail).works}
    turns = [(name, gateway) for name in jails for gateway in ((False,) if name == PLAIN else (False, True))]
    seconds: dict[tuple[str, bool], list[float]] = {turn: [] for turn in turns}
    with tempfile.TemporaryDirectory(prefix="sia-bench-") as folder:
        (Path(folder) / "work").mkdir()
        for _ in range(rounds + 1):
            for name, gateway in random.sample(turns, len(turns)):
                seconds[name, gateway].append(once(jails[name], Path(folder), gateway))
    plain = seconds[PLAIN, False][1:]
    print(f"`--sandbox auto` takes {choose_jail('auto').name}; medians of {rounds} paired rounds")
    print("| backend | start-up | above plain | ratio | with a gateway, above plain |\n|---|---|---|---|---|")
    for name in jails:
        own = seconds[name, False][1:]
        above = statistics.median(a - b for a, b in zip(own, plain, strict=True))
        ratio = statistics.median(a / b for a, b in zip(own, plain, strict=True))
        row = f"| {name} | {1000 * statistics.median(own):.0f} ms | {1000 * above:.0f} ms | {ratio:.2f} |"
        if name != PLAIN:
            with_gateway = zip(seconds[name, True][1:], plain, strict=True)
            row += f" {1000 * statistics.median(a - b for a, b in with_gateway):.0f} ms |"
        print(row)


if __name__ == "__main__":
    main()
