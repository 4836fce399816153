"""The version of this tool."""

from __future__ import annotations

from typing import Literal

try:
    from itb._version import VERSION as VERSION  # noqa: PLC0414 - written by the build
except ImportError:  # a source tree that nobody has installed
    VERSION = "0+unknown"

JSON_FORMAT: Literal[1] = 1  # of what --json prints and verdict.json holds; within one, fields are only added
