"""Starts an author's program: `python -P boot.py MODULE WORKSPACE`, with any interpreter that has what MODULE imports.

The program sees some files of this package, and in some jails the folders around them can be neither listed nor be put
on the path of another environment. So this finds the package's parts by their names. Standard library only.
"""

import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
NAME = os.path.basename(PACKAGE)  # noqa: PTH119


class Finder:
    """Finds this package and its direct parts; the import system does the rest."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        top, _, part = name.partition(".")
        if top != NAME or "." in part:
            return None
        place = os.path.join(PACKAGE, part) if part else PACKAGE  # noqa: PTH118
        inside = os.path.join(place, "__init__.py")  # noqa: PTH118
        if os.path.exists(inside):  # noqa: PTH110
            return importlib.util.spec_from_file_location(name, inside, submodule_search_locations=[place])
        if os.path.exists(f"{place}.py"):  # noqa: PTH110
            return importlib.util.spec_from_file_location(name, f"{place}.py")
        return None


def main() -> None:
    """Runs MODULE as the main program."""
    # Behind the others: the packages of the interpreter's own environment come first.
    sys.meta_path.append(Finder)
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
