"""The ``itb`` program: Invoke tasks, errors as one clear message, exit codes of the contract."""

from __future__ import annotations

import sys

from invoke import Collection, Program  # type: ignore[attr-defined]

from itb import __version__, tasks
from itb.errors import ItbError


def main() -> None:
    """Run a task; an error is its message, its hint on a second line, and its exit code."""
    program = Program(name="itb", binary="itb", version=__version__, namespace=Collection.from_module(tasks))
    try:
        program.run()
    except ItbError as error:
        print(f"itb: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"     {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
