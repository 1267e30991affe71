"""The docker and podman backends, on request: one container a program, of an image that lends only its root folder.

The engine's socket is never mounted. The program's libraries are the machine's own, mounted read-only.
"""

import os
import shutil
import subprocess
import tempfile
import uuid
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from sia.errors import HostError
from sia.jail.layout import (
    TEMPORARY_BYTES,
    confinement_in_namespaces,
    inside_mounts,
    settings_files,
    stage_argv,
    system_folders,
)
from sia.jail.listener import door
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.stage import Confinement
from sia.jail.supervise import supervise

IMAGE_VARIABLE = "SIA_CONTAINER_IMAGE"
IMAGE = "debian:stable-slim"
REMOVE_SECONDS = 30.0
GAPS = (
    "who may use the engine has the rights of root on this machine; the jailed program may not use it",
    "a container goes on after kill -9 of the orchestrator, until its program ends",
    "what a model is asked can carry data out, once a gateway is connected",
)


class ContainerJail:
    """Implements `sia.jail.protocol.Jail` with an engine that takes docker's arguments."""

    gaps = GAPS

    def __init__(self, engine: str) -> None:
        self.name = engine

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        engine = shutil.which(self.name)
        if engine is None:
            raise HostError(f"{self.name} is not installed", f"install {self.name}, or take another --sandbox")
        container = f"sia-{uuid.uuid4().hex[:16]}"
        # A short path: the name of a socket has to fit in 108 bytes.
        with tempfile.TemporaryDirectory(prefix="sia-") as folder:
            config = confinement_in_namespaces(command)
            entrance: Path | None = None
            if command.on_listener:
                entrance = Path(folder, "door")
                config = replace(config, door=str(entrance))
            try:
                with door(entrance, command.on_listener) if entrance and command.on_listener else nullcontext():
                    argv = [engine, *container_arguments(command, config, container, entrance)]
                    return supervise(command, argv, engine_environment(), on_line)
            finally:
                # The engine's client may have been killed; its container was not.
                remove = [engine, "rm", "--force", container]
                subprocess.run(remove, capture_output=True, timeout=REMOVE_SECONDS, check=False)


def engine_environment() -> dict[str, str]:
    """What the engine's client needs to find the engine; the program gets its own by arguments."""
    names = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST")
    return {name: os.environ[name] for name in names if name in os.environ}


def container_arguments(command: Command, config: Confinement, name: str, entrance: Path | None) -> list[str]:
    """All arguments after the engine's name, the command's own at the end."""
    limits = command.limits
    arguments = ["run", "--rm", "--init", "--name", name, "--network", "none", "--read-only", "--cap-drop", "ALL"]
    arguments += ["--security-opt", "no-new-privileges", "--hostname", "jail", "--cpus", str(os.cpu_count() or 1)]
    arguments += ["--user", f"{os.getuid()}:{os.getgid()}", "--workdir", str(command.cwd), "--entrypoint", ""]
    if limits.processes is not None:
        arguments += ["--pids-limit", str(limits.processes)]
    if limits.memory_bytes is not None:
        # The same for memory and swap together: none of it is swap.
        arguments += ["--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)]
    if limits.file_bytes is not None:
        arguments += ["--ulimit", f"fsize={limits.file_bytes}:{limits.file_bytes}"]
    arguments += ["--ulimit", "core=0:0", "--shm-size", str(TEMPORARY_BYTES)]
    arguments += ["--tmpfs", f"/tmp:rw,nosuid,nodev,size={TEMPORARY_BYTES}"]
    for variable, value in command.environment.items():
        arguments += ["--env", f"{variable}={value}"]
    mounts = [(folder, folder, False) for folder in system_folders()]
    mounts += [(outside, inside, False) for outside, inside in settings_files()]
    mounts += [(path, path, writable) for path, writable in inside_mounts(command)]
    if entrance is not None:
        mounts.append((str(entrance), str(entrance), False))
    for outside, inside, writable in mounts:
        if Path(outside).is_char_device():
            arguments += ["--device", outside]
            continue
        arguments += ["--mount", f"type=bind,src={outside},dst={inside}{'' if writable else ',readonly'}"]
    return [*arguments, os.environ.get(IMAGE_VARIABLE) or IMAGE, *stage_argv(command, config)]
