"""The messages that end a command, and the reasons for a missing score, found by reading the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import sia.errors

ROOT = Path(__file__).parent.parent
ERRORS = {
    name
    for name, value in vars(sia.errors).items()
    if isinstance(value, type) and issubclass(value, sia.errors.SiaError) and value is not sia.errors.SiaError
}
REASONS = {"ScoreFailure", "_Malformed"}
"""What is recorded as a generation's failure."""
GAP = "…"
"""Stands for what a message is filled with."""


def messages_of_source() -> dict[str, str]:
    """Every message, with a gap for each part that varies, to where it is raised."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "sia").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS | REASONS:
                for template in _templates(_problem(node)):
                    if template.strip(f"{GAP} :;,()"):
                        found.setdefault(template, f"{file.relative_to(ROOT)}:{node.lineno}")
    return found


def _problem(call: ast.Call) -> ast.expr:
    """The argument that says what is wrong: the first, but for TaskError, whose first is the file."""
    assert isinstance(call.func, ast.Name)
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if "reason" in named:
        return named["reason"]
    position = 1 if call.func.id == "TaskError" else 0
    return call.args[position] if len(call.args) > position else named["problem"]


def _templates(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can have."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.JoinedStr(values=parts):
            yield _joined("".join(p.value if isinstance(p, ast.Constant) else GAP for p in parts))
        case ast.IfExp(body=first, orelse=second):
            yield from _templates(first)
            yield from _templates(second)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            for start in _templates(left):
                for end in _templates(right):
                    yield _joined(start + end)
        case _:
            yield GAP


def _joined(text: str) -> str:
    while GAP * 2 in text:
        text = text.replace(GAP * 2, GAP)
    return text
