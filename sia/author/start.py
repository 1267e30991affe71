"""How an author program that is a language model is started: for a first draft, or once more to repair it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ConfigDict

from sia.author import brief as contract
from sia.author.brief import Brief, CalledModel

_SAVED = "conversation.json"


class Saved(BaseModel):
    """What the first start leaves for the second."""

    model_config = ConfigDict(frozen=True)

    conversation: str
    turns: int


@dataclass(frozen=True)
class Start:
    """One start of an author program."""

    workspace: Path
    brief: Brief
    system: str
    message: str
    """What the author is told: the prompt, or what is wrong with its files."""
    resumed: Saved | None
    """The conversation that goes on; None: a new one."""

    @property
    def home(self) -> Path:
        """Folder for whatever the backend keeps."""
        return self.workspace / contract.OWN_DIR

    @property
    def temporary(self) -> Path:
        """Folder for its temporary files, out of the model's sight."""
        return self.home / "tmp"

    @property
    def model(self) -> CalledModel:
        """The model that writes. Ends the program when the brief names none."""
        return self.brief.limits.model or fail("the brief names no model")

    @property
    def turns(self) -> int:
        """Answers of the model that are left."""
        return self.brief.limits.max_turns - (self.resumed.turns if self.resumed else 0)

    def save(self, conversation: str, turns: int) -> None:
        """Notes what this start used."""
        before = self.resumed.turns if self.resumed else 0
        saved = Saved(conversation=conversation, turns=before + turns)
        (self.home / _SAVED).write_text(saved.model_dump_json(), encoding="utf-8")


def read_start(workspace: Path) -> Start:
    """Reads the workspace. Ends the program when no turn is left."""
    home = workspace / contract.OWN_DIR
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    repair = workspace / contract.REPAIR_FILE
    saved = Saved.model_validate_json((home / _SAVED).read_bytes()) if repair.exists() else None
    start = Start(
        workspace=workspace,
        brief=Brief.model_validate_json((workspace / contract.BRIEF_FILE).read_bytes()),
        system=(workspace / contract.SYSTEM_FILE).read_text(encoding="utf-8"),
        message=(repair if saved else workspace / contract.PROMPT_FILE).read_text(encoding="utf-8"),
        resumed=saved,
    )
    if start.turns < 1:
        fail(f"no turn is left of {start.brief.limits.max_turns}")
    return start


def required(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """The value of an environment variable that the orchestrator sets."""
    value = environment.get(variable)
    if not value:
        fail(f"{variable} is not set: there is no model to talk to")
    return value


def fail(reason: str) -> NoReturn:
    """Ends the program; the last line says why."""
    sys.exit("author: " + " ".join(reason.split())[:500])
