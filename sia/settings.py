"""Settings of a run. Each is taken from the first place that has it: flag, SIA_* variable, sia.toml, default."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sia.errors import UsageError
from sia.task.manifest import Size

SETTINGS_FILE = "sia.toml"
VARIABLE_PREFIX = "SIA_"
_MISSPELT = 0.85
"""Similarity from which a variable is taken for a misspelt setting; other SIA_* variables are left alone."""
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def parse_duration(value: object) -> object:
    """Seconds of a text such as `90`, `45s`, `30m`, `2h`, `1h30m`; anything else is left for validation."""
    if not isinstance(value, str):
        return value
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value.strip():
        raise ValueError("is not a duration; write for example 90, 45s, 30m, 2h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]


class RunSettings(BaseModel):
    """What one run is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str | None = Field(default=None, description="name of a bundled task")
    task_dir: Path | None = Field(default=None, description="folder of a task of your own")
    max_gen: int = Field(default=3, ge=1, description="number of generations")
    run_id: str | None = Field(default=None, description="integer or name; default: the next free integer")
    backend: Literal["claude", "openhands", "offline"] = Field(default="claude", description="who writes the agents")
    max_turns: int = Field(default=20, ge=1, description="answers of the model that writes one agent")
    focus: Literal["harness", "weights", "auto"] = Field(default="harness", description="lever to pull")
    trainer: Literal["local", "tinker"] = Field(default="local", description="where the weights are trained")
    machine_cost: float | None = Field(default=None, gt=0, description="US dollars for an hour of training here")
    answers: Literal["any", "model"] | None = Field(
        default=None, description="whether only the target model may answer, over task.toml"
    )
    parent: Literal["best", "latest"] = Field(default="best", description="what the next generation builds on")
    candidates: int = Field(default=1, ge=1, description="agents written on one parent before the next one is chosen")
    meta_model: str = Field(default="haiku", description="model of the author")
    task_model: str = Field(default="claude-haiku-4-5-20251001", description="model of the target agent")
    max_cost: float | None = Field(default=None, gt=0, description="US dollars that the run may cost; resumes count on")
    max_tokens: int | None = Field(default=None, gt=0, description="tokens that the run may use; resumes count on")
    max_gen_cost: float | None = Field(default=None, gt=0, description="US dollars that a generation may cost")
    max_gen_tokens: int | None = Field(default=None, gt=0, description="tokens that a generation may use")
    calls_per_minute: int = Field(default=600, ge=1, description="model calls that a program may start in a minute")
    cache: bool = Field(default=False, description="answer identical model calls from earlier ones, of other runs too")
    bodies: bool = Field(default=True, description="keep what models were asked and answered, for `sia replay`")
    max_time: Seconds | None = Field(default=None, description="stop after this much work, e.g. 2h; resumes count on")
    target_score: float | None = Field(default=None, description="stop once the dev score reaches this value")
    patience: int | None = Field(default=None, ge=1, description="stop after so many generations without a new best")
    seed: int = Field(default=0, ge=0, description="of the item split and the offline author")
    sealed_fraction: float = Field(default=0.3, ge=0.0, le=0.9, description="share of items kept back until the end")
    sandbox: Literal["auto", "bubblewrap", "namespaces", "landlock", "docker", "podman", "seatbelt", "none"] = Field(
        default="auto", description="how generated programs are shut in"
    )
    limit_seconds: Seconds | None = Field(default=None, description="wall clock of a target agent, over task.toml")
    limit_cpu: Seconds | None = Field(default=None, description="CPU time of a program's processes together")
    limit_memory: Size | None = Field(default=None, description="memory of a program's processes together, e.g. 4GB")
    limit_processes: int | None = Field(default=None, ge=1, description="processes living at one time")
    limit_file: Size | None = Field(default=None, description="length of any one file that a program writes")
    limit_disk: Size | None = Field(default=None, description="everything that a program leaves on the disk")
    limit_output: Size | None = Field(default=None, description="bytes of stdout and stderr that a log keeps")
    gpu: bool = Field(default=False, description="let target agents and the evaluator see the CUDA devices")
    force: bool = Field(default=False, description="run a task that its check refuses")
    runs_dir: Path = Field(default=Path("runs"), description="folder of the run directories")
    resume: bool = Field(default=False, description="go on with an interrupted run")
    web: bool = Field(default=False, description="serve the dashboard while the run goes on")


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> RunSettings:
    """Merges flags (None: not given), SIA_* variables and ./sia.toml. Raises UsageError naming source and remedy."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value in _from_file(Path(SETTINGS_FILE)).items():
        values[name], sources[name] = value, f"{SETTINGS_FILE}: {name}"
    _refuse_misspelt(environment)
    for name in RunSettings.model_fields:
        variable = f"{VARIABLE_PREFIX}{name.upper()}"
        if environment.get(variable):
            values[name], sources[name] = environment[variable], variable
    for name, value in flags.items():
        if value is not None:
            values[name], sources[name] = value, f"--{name.replace('_', '-')}"
    try:
        settings = RunSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(
            f"{sources.get(name, name)} = {values.get(name)!r}: {first['msg'].removeprefix('Value error, ')}",
            "`sia run --help` lists the settings",
        ) from None
    return _one_task(settings, sources)


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    """A variable that is nearly a setting would be passed over, and the run would do something else."""
    for variable in environment:
        name = variable.removeprefix(VARIABLE_PREFIX).lower()
        if not variable.startswith(VARIABLE_PREFIX) or name in RunSettings.model_fields:
            continue
        if near := difflib.get_close_matches(name, RunSettings.model_fields, n=1, cutoff=_MISSPELT):
            raise UsageError(f"there is no setting {variable}", f"did you mean {VARIABLE_PREFIX}{near[0].upper()}?")


def _one_task(settings: RunSettings, sources: Mapping[str, str]) -> RunSettings:
    if not (settings.task and settings.task_dir):
        return settings
    # A flag for one beats a variable or a file for the other.
    if sources["task"].startswith("--") and not sources["task_dir"].startswith("--"):
        return settings.model_copy(update={"task_dir": None})
    if sources["task_dir"].startswith("--") and not sources["task"].startswith("--"):
        return settings.model_copy(update={"task": None})
    raise UsageError(f"both {sources['task']} and {sources['task_dir']} are given", "give one of them")


def _from_file(path: Path) -> dict[str, Any]:
    """The `[run]` table of sia.toml, or nothing."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "correct the file or move it away") from None
    for key in content:
        if key not in ("run", "providers"):
            raise UsageError(
                f"{path}: unknown table [{key}]",
                "the settings of a run stand under [run], model servers under [providers.NAME]",
            )
    table = content.get("run", {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: run is not a table", "write the settings under [run]")
    for key in table:
        if key not in RunSettings.model_fields:
            near = difflib.get_close_matches(key, RunSettings.model_fields, n=1)
            raise UsageError(
                f"{path}: unknown setting {key!r}",
                f"did you mean {near[0]!r}?" if near else "`sia run --help` lists the settings",
            )
    return table
