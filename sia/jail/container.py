"""The docker and podman backends, on request: one container a program, of an image that lends only its root folder.

The engine's socket is never mounted. The program's libraries are the machine's own, mounted read-only.
"""

import os
import resource
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
from sia.jail.watch import size

IMAGE_VARIABLE = "SIA_CONTAINER_IMAGE"
IMAGE = "debian:stable-slim"
REMOVE_SECONDS = 30.0
KILLED = 137
"""What an engine's client ends with when the program was killed."""
MOST = 1 << 15
"""Open files and processes that a program may have at most; podman gives itself no more."""
GAPS = (
    "who may use the engine has the rights of root on this machine; the jailed program may not use it",
    "a container goes on after kill -9 of the orchestrator, until its program ends",
    "at the memory limit the kernel kills one process of the container, not all",
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
            entrance = Path(folder, "door") if command.on_listener else None
            config = confinement_in_namespaces(command, str(entrance or ""))
            try:
                with door(entrance, command.on_listener) if entrance and command.on_listener else nullcontext():
                    argv = [engine, *container_arguments(command, config, container, entrance)]
                    outcome = supervise(_watched(command), argv, engine_environment(), on_line)
                return _with_memory_limit(outcome, command)
            finally:
                # The engine's client may have been killed; its container was not.
                remove = [engine, "rm", "--force", container]
                subprocess.run(remove, capture_output=True, timeout=REMOVE_SECONDS, check=False)


def _watched(command: Command) -> Command:
    """The command with what is watched from outside: memory and processes would be the engine's client's, too."""
    return replace(command, limits=replace(command.limits, memory_bytes=None, processes=None))


def _with_memory_limit(outcome: Outcome, command: Command) -> Outcome:
    """The outcome, with a likely cause where something killed the program: not every engine can tell for sure."""
    if outcome.exit_status != KILLED or command.limits.memory_bytes is None:
        return outcome
    cause = f"a kill, most likely at its memory limit of {size(command.limits.memory_bytes)}"
    return replace(outcome, exit_status=None, stopped_by=cause, events=(*outcome.events, f"stopped by {cause}"))


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
    arguments += ["--ulimit", "core=0:0", *_own_limits(), "--shm-size", str(TEMPORARY_BYTES)]
    arguments += ["--tmpfs", f"/tmp:rw,nosuid,nodev,size={TEMPORARY_BYTES}"]
    for variable, value in command.environment.items():
        arguments += ["--env", f"{variable}={value}"]
    mounts = [(folder, folder, False) for folder in program_folders()]
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


def program_folders() -> list[str]:
    """The machine's programs and libraries, but for /usr/sbin: docker puts the container's first process there."""
    others = [folder for folder in system_folders() if folder not in ("/usr", "/sbin")]
    return others + [str(path) for path in sorted(Path("/usr").iterdir()) if path.is_dir() and path.name != "sbin"]


def _own_limits() -> list[str]:
    """This process's limits, or less: an engine without privileges may not set its usual ones, which are higher."""
    arguments = []
    for name, kind in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
        limits = [MOST if limit == resource.RLIM_INFINITY else min(limit, MOST) for limit in resource.getrlimit(kind)]
        arguments += ["--ulimit", f"{name}={limits[0]}:{limits[1]}"]
    return arguments
