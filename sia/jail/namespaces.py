"""The backend of own user namespaces: the same layout as bubblewrap's, built by the program `enter.py`."""

from pathlib import Path

from sia.jail.compiled import compiled
from sia.jail.enter import Layout
from sia.jail.layout import (
    NAMESPACE_GAPS,
    TEMPORARY_BYTES,
    confinement_in_namespaces,
    inside_mounts,
    settings_files,
    stage_argv,
    stage_python,
    system_folders,
    system_links,
)
from sia.jail.listener import as_descriptor
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.supervise import supervise

ENTER = Path(__file__).with_name("enter.py")


class NamespacesJail:
    """Implements `sia.jail.protocol.Jail`."""

    name = "namespaces"
    gaps = NAMESPACE_GAPS

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        binds = [(folder, folder, False) for folder in system_folders()]
        binds += [(outside, inside, False) for outside, inside in settings_files()]
        binds += [(path, path, writable) for path, writable in inside_mounts(command)]
        layout = Layout(tuple(binds), tuple(system_links()), TEMPORARY_BYTES, str(command.cwd))
        inner = stage_argv(command, confinement_in_namespaces(command))
        argv = [str(stage_python()), "-I", "-S", compiled(ENTER), layout.to_text(), *inner]
        return supervise(command, argv, command.environment, on_line, as_descriptor(command))
