"""What a jailed program sees of the machine: the system's programs, a synthetic /etc, Python, and the mounts."""

import os
import sys
from pathlib import Path

from sia.jail.compiled import compiled
from sia.jail.protocol import GATEWAY_PLACEHOLDER, Command
from sia.jail.stage import Confinement

STAGE = Path(__file__).with_name("stage.py")
ETC = Path(__file__).with_name("etc")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives", "/etc/ssl/certs", "/etc/mime.types")
TEMPORARY_BYTES = 1 << 30
NAMESPACE_GAPS = (
    "memory held by no process is not counted without a systemd scope: memfd, and /tmp and /dev/shm up to 1 GiB each",
    "what a model is asked can carry data out, once a gateway is connected",
)


def stage_python() -> Path:
    """The interpreter that runs the stage program, without any virtual environment around it."""
    return Path(os.path.realpath(sys.executable))


def stage_argv(command: Command, config: Confinement) -> list[str]:
    """The command behind the stage program."""
    return [str(stage_python()), "-I", "-S", compiled(STAGE), config.to_text(), *command.argv]


def system_folders() -> list[str]:
    """Folders of programs and libraries that are there."""
    return [p for p in SYSTEM if Path(p).is_dir() and not Path(p).is_symlink()]


def system_links() -> list[tuple[str, str]]:
    """Target and place of those that are links, such as /bin to usr/bin."""
    return [(str(Path(p).readlink()), p) for p in SYSTEM if Path(p).is_symlink()]


def settings_files() -> list[tuple[str, str]]:
    """Path outside and inside of what /etc holds."""
    own = [(str(file), f"/etc/{file.name}") for file in sorted(ETC.iterdir())]
    return own + [(p, p) for p in SETTINGS if Path(p).exists()]


def inside_mounts(command: Command) -> list[tuple[str, bool]]:
    """Every path of the command with whether it is writable: outer folders first, parts of the system left out."""
    wanted = {str(mount.path): mount.writable for mount in command.mounts}
    for path in (Path(sys.base_prefix), stage_python(), Path(compiled(STAGE))):
        if not any(path.is_relative_to(mounted) for mounted in wanted):
            wanted[str(path)] = False
    return sorted((path, writable) for path, writable in wanted.items() if not path.startswith("/usr/"))


def confinement_in_namespaces(command: Command, door: str = "") -> Confinement:
    """Landlock on top of a root that holds nothing else anyway: read all of it, write what is writable."""
    writable = tuple(path for path, may_write in inside_mounts(command) if may_write)
    return Confinement(
        read=("/",),
        write=(*writable, "/tmp", "/dev"),
        gateway=GATEWAY_PLACEHOLDER if command.on_listener else "",
        door=door,
    )
