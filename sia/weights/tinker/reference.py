"""An adapter that lies at Tinker: a generation keeps where it is and what made it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sia.plainfile import read_plain

REFERENCE_FILE = "tinker_adapter.json"
MAX_BYTES = 1 << 16
_PATH = r"^tinker://[^\s]{1,1000}$"


class TinkerAdapter(BaseModel):
    """`tinker_adapter.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: str = Field(pattern=_PATH, description="the weights to sample from; what the gateway asks for")
    state: str = Field(pattern=_PATH, description="the weights to train on from")
    base_model: str = Field(description="as Tinker calls it")
    rank: int
    plan: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the training plan")


def read_reference(folder: Path) -> TinkerAdapter:
    """The reference in the adapter's folder. Raises ValueError when it is not there or damaged."""
    return TinkerAdapter.model_validate_json(read_plain(folder / REFERENCE_FILE, MAX_BYTES))


def write_reference(folder: Path, adapter: TinkerAdapter) -> None:
    """Puts the reference into the folder."""
    (folder / REFERENCE_FILE).write_text(adapter.model_dump_json(indent=2) + "\n", encoding="utf-8")
