"""The tools of both author backends under one name each."""

from dataclasses import dataclass

from tests.scripted_model.conversation import Call, Conversation


@dataclass(frozen=True)
class Tools:
    """Makes calls in the words of whoever asked."""

    claude: bool

    @staticmethod
    def of(conversation: Conversation) -> "Tools":
        """The tools that this conversation offers."""
        return Tools("Write" in conversation.tools)

    def write(self, path: str, text: str) -> Call:
        """Makes a file."""
        if self.claude:
            return Call("Write", {"file_path": path, "content": text})
        return Call("file_editor", {"command": "create", "path": path, "file_text": text})

    def read(self, path: str) -> Call:
        """Reads a file."""
        if self.claude:
            return Call("Read", {"file_path": path})
        return Call("file_editor", {"command": "view", "path": path})

    def run(self, command: str) -> Call:
        """Runs a command line."""
        return Call("Bash" if self.claude else "terminal", {"command": command})
