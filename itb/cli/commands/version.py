"""``itb version``: which itb this is."""

from __future__ import annotations

import json

from itb.process.runner import Runner
from itb.source import itb_commit
from itb.version import VERSION


def show(*, as_json: bool) -> None:
    """Print itb's version, which is from when it was installed, and its commit."""
    commit = itb_commit.read(Runner())
    if as_json:
        print(json.dumps({"version": VERSION, "commit": commit or None}, indent=1))
        return
    print(f"itb {VERSION}" + (f", commit {commit}" if commit else ""))
