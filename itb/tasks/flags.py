"""What tasks share: help texts of flags, flags into settings, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from invoke import Task
from invoke import task as invoke_task
from invoke.exceptions import Exit

HELP = {
    "product": "what is released: a name or a folder with product.yaml",
    "ref": "branch, tag, full or short commit id, pr/N, or worktree (uncommitted files of a local source)",
    "source": "git URL or path to take the product from, instead of its own",
    "upgrade-from": "reference that scenario upgrade starts from (default: the final version before)",
    "from-repo": "install published packages instead of building: URL, directory (with a / in it), or osg, "
    "osg-testing, osg-development where the platform has them",
    "nevra": "with --from-repo: VERSION, VERSION-RELEASE or NEVRA to install (default: the newest)",
    "repo-key": "with --from-repo: URL or file of the key its packages are signed with (default: its own)",
    "allow-unsigned": "with --from-repo: do not check signatures; the reports say so",
    "platform": "operating systems, comma-separated: names or folders with platform.yaml",
    "scenario": "what is tried, comma-separated: names or folders with scenario.yaml",
    "variant": "variants of the product, comma-separated (itb show product NAME lists them)",
    "builder": "what makes the RPMs: rpmbuild, or mock, for which the workspace runs privileged (EL platforms)",
    "fresh-build": "build the candidate though its RPMs are in the cache; itb publish takes no others",
    "token-hook": "managed-token hook: local, command, ... or one of your own (itb token hooks)",
    "keep": "keep the testbed afterwards: never, failed or always",
    "jobs": "how many cells (product x platform) run at the same time",
    "runs": "folder of run directories (default: runs)",
    "cache": "folder of the cache (default: ~/.cache/itb)",
    "engine": "container engine: podman or docker",
    "progress": "how progress is shown: auto, live, plain or quiet",
    "json": "print the result as JSON",
    "resume": "go on with this run, which ended in any way: its name, a unique part of it, or its path",
    "run": "name of a run, or a unique part of it (default: the newest)",
}


def task(*names: str, **more: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """An Invoke task with these shared flags; ``help`` adds its own, everything else is Invoke's.

    No short flags: Invoke would give them by first come, and a new flag
    would change the meaning of an old command line.
    """
    texts = {name: HELP[name] for name in names} | more.pop("help", {})

    def wrap(body: Callable[..., None]) -> Task[Any]:
        return cast("Task[Any]", invoke_task(help=texts, auto_shortflags=False, **more)(body))

    return wrap


def chosen(values: dict[str, Any]) -> dict[str, Any]:
    """The settings among a task's arguments (its ``locals()``)."""
    return {key: value for key, value in values.items() if key not in ("c", "json", "run", "resume")}


def end(code: int) -> None:
    """Leave with an exit code of the contract."""
    if code:
        with suppress(OSError):  # who read it has gone; the code stands
            sys.stdout.flush()
        raise Exit(code=code)
