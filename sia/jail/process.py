"""The plain process backend: limits and a clean end, but no walls. Chosen with `--sandbox none`."""

from sia.jail.listener import open_listener
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.supervise import supervise


class ProcessJail:
    """Implements `sia.jail.protocol.Jail` with ordinary processes."""

    name = "none"
    gaps = (
        "the program can read and write every file that the user can, private data included",
        "the program can use the network",
        "the program can signal and inspect the user's other processes",
    )

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        return supervise(command, command.argv, open_listener(command)[0], on_line)
