"""Where the data folders are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def folder(name: str) -> Path:
    """Return the directory of a data folder: build_ws, scenarios or reports."""
    return Path(str(files(f"itb.{name}")))
