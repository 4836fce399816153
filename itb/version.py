"""The version of this tool, and the commit it was built from."""

from __future__ import annotations

from typing import Literal

try:
    from itb import _version  # written by the build
except ImportError:  # a source tree that nobody has installed
    VERSION, COMMIT = "0+unknown", ""
else:
    VERSION = _version.VERSION
    COMMIT = getattr(_version, "COMMIT", "").removeprefix("g")  # a tree installed before has none yet

JSON_FORMAT: Literal[1] = 1  # of what --json prints and verdict.json holds; within one, fields are only added
