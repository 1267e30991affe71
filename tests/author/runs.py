"""Whole runs of the command line with a scripted model behind it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sia.store.catalog import generations_of
from tests.scripted_model import ScriptedModel

PASSED_ON = ("PIP_", "UV_", "PYENV_", "SIA_CACHE", "XDG_")
KEY = "the-users-real-key"
MODELS = {"claude": "haiku", "openhands": "gemini/gemini-2.5-flash"}


def start(cwd: Path, model: ScriptedModel, backend: str, *arguments: str) -> "subprocess.Popen[str]":
    """`sia` in `cwd`, with a user's keys and every provider at the scripted model."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        **{name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)},
        "ANTHROPIC_BASE_URL": model.url,
        "ANTHROPIC_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{model.url}/v1",
        "OPENAI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": model.url,
        "GEMINI_API_KEY": KEY,
    }
    command = ["--backend", backend, "--meta-model", MODELS[backend], "--json", *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", "sia", *command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """Its output, once it ended well."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


def kill_in(process: "subprocess.Popen[str]", generation: int, stage: str) -> None:
    """Kills the run as soon as it announces the stage."""
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "stage_started" and (event["generation"], event["stage"]) == (generation, stage):
            process.kill()
            break
    process.wait(timeout=60)
    process.stdout.close()
    assert process.returncode == -9, "".join(told)


def dev_scores(run: Path) -> list[float]:
    """Of all generations; each has one."""
    return [record.score.value for record in generations_of(run) if record.score]


def agents(run: Path) -> list[str]:
    """The sources of all generations' agents."""
    return [(run / f"gen_{r.generation}" / "target_agent.py").read_text() for r in generations_of(run)]


def stage_lines(output: str, generation: int, stage: str) -> list[str]:
    """What a stage said while it ran."""
    events: Sequence[dict[str, object]] = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [
        str(e["line"])
        for e in events
        if e["event"] == "stage_output" and e["generation"] == generation and e["stage"] == stage
    ]
