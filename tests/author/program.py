"""Author programs started by themselves in a workspace, without jail and gateway, straight at a scripted model."""

import os
import subprocess
from pathlib import Path

from sia.author import brief as contract
from sia.author.brief import AuthorLimits, Brief, Budget, CalledModel, TaskBrief
from sia.author.program import AuthorProgram
from sia.author.transcript import Entry, read_transcript

MODELS = {
    "claude": CalledModel(name="claude-haiku-4-5-20251001", dialect="anthropic"),
    "openhands": CalledModel(name="gpt-4.1-mini", dialect="openai"),
}


def make_workspace(folder: Path, backend: str, **limits: float | CalledModel) -> Path:
    """A workspace with everything that an author program reads."""
    workspace = folder / "workspace"
    workspace.mkdir()
    brief = Brief(
        generation=1,
        max_generations=3,
        seed=0,
        task=TaskBrief(name="task", public_dir=folder, seconds=60),
        budget=Budget(generations=3),
        limits=AuthorLimits.model_validate({"model": MODELS[backend], **limits}),
    )
    (workspace / contract.BRIEF_FILE).write_text(brief.model_dump_json())
    (workspace / contract.PROMPT_FILE).write_text("Write it.")
    (workspace / contract.SYSTEM_FILE).write_text("You write programs.")
    return workspace


def start_program(author: AuthorProgram, workspace: Path, url: str) -> tuple[int, str]:
    """Exit status and last line."""
    done = subprocess.run(
        author.argv(workspace),
        cwd=workspace,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "token",
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": "token",
            "GOOGLE_GEMINI_BASE_URL": url,
            "GEMINI_API_KEY": "token",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1]


def transcript(workspace: Path) -> list[Entry]:
    """What the program wrote down."""
    return read_transcript((workspace / contract.OWN_DIR / contract.TRANSCRIPT_FILE).read_text())
