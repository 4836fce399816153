"""Finds the commit of itb itself: that of the checkout it runs from, or that it was built from."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import git
from itb.version import COMMIT


def read(runner: Runner) -> str:
    """Return twelve digits of the checkout's commit, with ``-dirty`` if files of it were changed.

    An installed itb returns the commit that it was built from, or nothing if
    that is not known.
    """
    top = Path(str(files("itb"))).resolve().parent
    if not (top / ".git").exists() or not shutil.which("git"):
        return COMMIT[:12]
    argv = ["git", "-C", str(top), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    request = Request(argv, env=git.environment(user_config=False), clean_env=True, check=False)
    return runner.run(request).stdout.strip()
