"""Links in a run directory: itb makes none there, and what is written to one would be written elsewhere."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from itb.errors import UsageError
from itb.util.redact import redact_name


def check(folder: Path) -> None:
    """Raise UsageError for a symbolic link in a run directory, which somebody else may have made and copied."""
    rest = [str(folder)]
    while rest:
        try:
            with os.scandir(rest.pop()) as found:
                entries = list(found)
        except OSError:  # removed meanwhile, or what may not be read: nothing is written there
            continue
        for entry in entries:
            if entry.is_symlink():
                link = redact_name(entry.path)
                raise UsageError(
                    f"{link} is a link, and a run directory has none: what is written to it would be elsewhere",
                    hint=f"look where it leads to; remove it: rm {shlex.quote(link)}",
                )
            if entry.is_dir(follow_symlinks=False):
                rest.append(entry.path)
