"""Command line: parses, calls, renders. Nothing imports it."""
