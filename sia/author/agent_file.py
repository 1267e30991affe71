"""What can be said of a target agent without running it."""

import ast
import sys
from collections.abc import Iterator

ARGUMENTS = ("--dataset_dir", "--working_dir")


def source_problem(text: str) -> str | None:
    """Why `text` cannot be a target agent, in words; None when it looks like one."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f"it does not parse: line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"it does not parse: {error or type(error).__name__}"
    missing = [argument for argument in ARGUMENTS if argument not in text]
    return f"it does not take {' and '.join(missing)}" if missing else None


def imported_packages(text: str) -> tuple[str, ...]:
    """Top-level names of what a program that parses cannot do without, the standard library left out.

    What it imports inside a `try` that catches the failure, or to make up for it, is optional.
    """
    names = {name.partition(".")[0] for name in _imports(ast.parse(text))}
    return tuple(sorted(names - sys.stdlib_module_names))


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module
    if isinstance(node, ast.Try) and any(_catches_import(handler) for handler in node.handlers):
        children: list[ast.AST] = [*node.orelse, *node.finalbody]
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from _imports(child)


def _catches_import(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}
    return bool(caught & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
