"""The tasks of the command line; each is short and imports what only it needs."""

from __future__ import annotations

import sys
from typing import Any

from invoke import Context, task  # type: ignore[attr-defined]
from invoke.exceptions import Exit

HELP = {
    "product": "what is released: a name or a folder with product.yaml",
    "ref": "branch, tag, full or short commit id, pr/N, or worktree (uncommitted files of a local source)",
    "source": "git URL or path to take the product from, instead of its own",
    "platform": "operating systems, comma-separated: names or folders with platform.yaml",
    "scenario": "what is tried, comma-separated: names or folders with scenario.yaml",
    "token-hook": "managed-token hook: local, command, ... or one of your own (itb token hooks)",
    "keep": "keep the testbed afterwards: never, failed or always",
    "jobs": "how many cells (product x platform) run at the same time",
    "runs": "folder of run directories (default: runs)",
    "engine": "container engine: podman or docker",
    "progress": "how progress is shown: auto, live, plain or quiet",
    "json": "print the result as one JSON object",
    "run": "name of the run, or a unique part of it (default: the newest)",
}


def _help(*names: str, **more: str) -> dict[str, str]:
    return {name: HELP[name] for name in names} | more


def _flags(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("c", "json", "run")}


_COMMON = ("product", "ref", "source", "platform", "runs", "engine", "progress", "json")


@task(auto_shortflags=False, help=_help(*_COMMON, "scenario", "token-hook", "keep", "jobs"))
def run(
    c: Context,
    product: str = "",
    ref: str = "",
    source: str = "",
    platform: str = "",
    scenario: str = "",
    token_hook: str = "",
    keep: str = "",
    jobs: str = "",
    runs: str = "",
    engine: str = "",
    progress: str = "",
    json: bool = False,
) -> None:
    """Validate a reference: build, serve, install, token, test, report, clean up.

    Ends with a summary and the path of the report.  Exit codes: 0 all
    passed; 1 usage; 2 a scenario failed; 3 nothing ran; 4 the build failed;
    5 the testbed failed; 6 no token; 7 the candidate did not install,
    verify or start; 130 interrupted.
    """
    flags = _flags(locals())
    from itb import commands

    _exit(commands.run(commands.settings_from(flags), as_json=json))


def _exit(code: int) -> None:
    if code:
        sys.stdout.flush()
        raise Exit(code=code)
