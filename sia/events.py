"""What happens during a run, as it happens: the loop emits, the command line shows, `--json` prints."""

from collections.abc import Callable
from typing import Literal

from sia.store.records import Frozen, GenerationRecord, RunRecord, Stage


class RunStarted(Frozen):
    """A run begins or goes on."""

    event: Literal["run_started"] = "run_started"
    run_id: str
    path: str
    task: str
    metric: str | None
    max_gen: int
    seed: int
    jail: str = ""
    jail_gaps: tuple[str, ...] = ()
    done: tuple[GenerationRecord, ...] = ()
    best: int | None = None


class Progress(Frozen):
    """A line of preparation: data, environment."""

    event: Literal["progress"] = "progress"
    text: str


class StageStarted(Frozen):
    """A stage of a generation begins."""

    event: Literal["stage_started"] = "stage_started"
    generation: int
    stage: Stage


class StageOutput(Frozen):
    """The latest line that the program of a stage wrote; at a bounded rate."""

    event: Literal["stage_output"] = "stage_output"
    generation: int
    stage: Stage
    line: str


class GenerationFinished(Frozen):
    """A generation was decided."""

    event: Literal["generation_finished"] = "generation_finished"
    record: GenerationRecord
    best: int | None


class RunFinished(Frozen):
    """The run came to its end, or was interrupted."""

    event: Literal["run_finished"] = "run_finished"
    record: RunRecord


Event = RunStarted | Progress | StageStarted | StageOutput | GenerationFinished | RunFinished
Emit = Callable[[Event], None]
