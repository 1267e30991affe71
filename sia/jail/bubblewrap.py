"""The bubblewrap backend: namespaces made by bwrap(1), then Landlock and seccomp by the stage program inside."""

import shutil
from pathlib import Path

from sia.errors import HostError
from sia.jail.layout import (
    NAMESPACE_GAPS,
    TEMPORARY_BYTES,
    confinement_in_namespaces,
    inside_mounts,
    settings_files,
    stage_argv,
    system_folders,
    system_links,
)
from sia.jail.listener import as_descriptor
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.supervise import supervise


class BubblewrapJail:
    """Implements `sia.jail.protocol.Jail`."""

    name = "bubblewrap"
    gaps = NAMESPACE_GAPS

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        found = shutil.which("bwrap")
        if found is None:
            raise HostError("bwrap is not installed", "install the package bubblewrap, or take another --sandbox")
        # bwrap itself gets no environment: the jail can read /proc/1/environ.
        return supervise(command, [found, *bwrap_arguments(command)], {}, on_line, as_descriptor(command))


def bwrap_arguments(command: Command) -> list[str]:
    """All of bwrap's arguments, the command's own at the end."""
    arguments = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    arguments += ["--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "jail", "--clearenv"]
    for name, value in command.environment.items():
        arguments += ["--setenv", name, value]
    for folder in system_folders():
        arguments += ["--ro-bind", folder, folder]
    for target, place in system_links():
        arguments += ["--symlink", target, place]
    for outside, inside in settings_files():
        arguments += ["--ro-bind", outside, inside]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/dev/shm", "/tmp"):
        arguments += ["--size", str(TEMPORARY_BYTES), "--tmpfs", folder]
    for path, writable in inside_mounts(command):
        device = Path(path).is_char_device()
        arguments += ["--dev-bind" if device else "--bind" if writable else "--ro-bind", path, path]
    arguments += ["--remount-ro", "/", "--chdir", str(command.cwd), "--"]
    return arguments + stage_argv(command, confinement_in_namespaces(command))
