"""Paths as people write them."""

from __future__ import annotations

from pathlib import Path

from itb.errors import UsageError


def expand(written: str) -> Path:
    """Return a path whose ``~`` or ``~user`` is that person's folder; UsageError where there is none."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        message = f"{written[:100]!r}: no home folder of this user here"
        raise UsageError(message, hint="write out the path") from None
