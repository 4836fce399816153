"""The version of this tool, and the commit it was built from."""

from __future__ import annotations

try:
    from itb import _version  # written by the build
except ImportError:  # a source tree that nobody has installed
    VERSION, COMMIT = "0+unknown", ""
else:
    VERSION = _version.VERSION
    COMMIT = getattr(_version, "COMMIT", "").removeprefix("g")  # a tree installed before has none yet
