"""The version of this tool."""

from __future__ import annotations

try:
    from itb._version import VERSION as VERSION  # noqa: PLC0414 - written by the build
except ImportError:  # a source tree that nobody has installed
    VERSION = "0+unknown"
