"""Commands of itb, each in a process of its own, forked from one that has imported itb: a second less each.

Reads a request a line, ``{"argv", "cwd", "env", "out", "err"}``, and answers each with the exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
from typing import Any

import itb.cli.commands
from itb.__main__ import main


def become(request: dict[str, Any]) -> None:
    """Be the command that was asked for: its directory, environment, streams and arguments."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, path in enumerate((os.devnull, request["out"], request["err"])):
        stream = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = request["argv"]


def serve() -> None:
    """Answer requests until there are no more; in the process of a command, return with it to be done."""
    for module in pkgutil.iter_modules(itb.cli.commands.__path__, f"{itb.cli.commands.__name__}."):
        importlib.import_module(module.name)
    while line := sys.stdin.buffer.readline():
        child = os.fork()
        if not child:
            become(json.loads(line))
            main()
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
