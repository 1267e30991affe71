"""The training of an adapter: its plan and outcome as text, and the curves of its steps."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from sia.report.text import open_file, plain, shortened

ADAPTER_DIR = "adapter"
PLAN_FILE = "training.json"
OUTCOME_FILE = "outcome.json"
STEP_FILES = ("metrics.jsonl", "training.log")
"""Where the lines of the steps are looked for: the first that has some."""
MAX_LOG_BYTES = 16 << 20
MAX_POINTS = 5_000
STEP_NAMES = ("step", "update", "iteration", "epoch")


@dataclass(frozen=True)
class Training:
    """What training left."""

    plan: str = ""
    outcome: str = ""
    steps: tuple[float, ...] = ()
    curves: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Value of each logged quantity at each step; None where it was not logged."""

    def __bool__(self) -> bool:
        return bool(self.plan or self.outcome or self.curves)


def read_training(run: Path, number: int) -> Training:
    """The training of generation `number`; empty when no adapter was trained. Raises nothing."""
    folder = f"gen_{number}/{ADAPTER_DIR}"
    logs = (_curves(_read(run, f"{folder}/{name}")) for name in STEP_FILES)
    steps, curves = next((found for found in logs if found[0]), ((), {}))
    plan, outcome = (_pretty(_read(run, f"{folder}/{name}")) for name in (PLAN_FILE, OUTCOME_FILE))
    return Training(plan, outcome, steps, curves)


def _read(run: Path, name: str) -> str:
    try:
        with open_file(run, name) as file:
            return file.read(MAX_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _pretty(text: str) -> str:
    try:
        return shortened(plain(json.dumps(json.loads(text), indent=1, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return shortened(plain(text))


def _curves(log: str) -> tuple[tuple[float, ...], dict[str, tuple[float | None, ...]]]:
    """The numbers in the lines of a log that are JSON objects; other lines are for people."""
    rows: list[tuple[float, dict[str, float]]] = []
    for line in log.splitlines():
        if not line.startswith("{"):
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            continue
        numbers = {
            plain(str(name))[:40]: float(value)
            for name, value in content.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e100
        }
        step = next((numbers.pop(name) for name in STEP_NAMES if name in numbers), float(len(rows) + 1))
        if numbers:
            rows.append((step, numbers))
    rows.sort(key=lambda row: row[0])
    rows = rows[:: max(1, -(-len(rows) // MAX_POINTS))]
    names = list(dict.fromkeys(name for _, numbers in rows for name in numbers))[:24]
    return tuple(step for step, _ in rows), {name: tuple(n.get(name) for _, n in rows) for name in names}
