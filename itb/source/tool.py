"""The commit of itb itself: of the checkout it runs from, or of the one it was built from."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import git
from itb.version import COMMIT


def commit(runner: Runner) -> str:
    """Return twelve digits of the commit a checkout is at now, ``-dirty`` if files of it were changed.

    Of an installed itb it is the commit that it was built from; empty where
    nothing says.
    """
    top = Path(str(files("itb"))).resolve().parent
    if not (top / ".git").exists() or not shutil.which("git"):
        return COMMIT[:12]
    argv = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return runner.run(Request(argv, env=git.environment(users=False), clean_env=True, check=False)).stdout.strip()
