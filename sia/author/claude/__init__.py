"""The author that is Claude, by way of the Claude Agent SDK."""
