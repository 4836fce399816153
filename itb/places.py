"""Paths as people write them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from itb.errors import UsageError


def expand(written: str) -> Path:
    """Return a path whose ``~`` or ``~user`` is that person's folder; UsageError where there is none."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        message = f"{written[:100]!r}: no home folder of this user here"
        raise UsageError(message, hint="write out the path") from None


def program(written: str) -> str:
    """Return a program's name as it is, its path absolute: what is started is started in another directory."""
    return str(expand(written).absolute()) if "/" in written else written


def settle_search_paths(environ: MutableMapping[str, str]) -> None:
    """Leave only absolute folders in the variables programs and Python modules are looked up by.

    An empty or relative one is a folder of the current directory, whosever that is.
    """
    for name, otherwise in (("PATH", os.defpath), ("PYTHONPATH", "")):
        if name in environ:
            folders = [folder for folder in environ[name].split(os.pathsep) if Path(folder).is_absolute()]
            environ[name] = os.pathsep.join(folders) or otherwise
            if not environ[name]:
                del environ[name]


def xdg(variable: str, otherwise: str) -> Path:
    """Return a folder of the XDG base directory specification, by which a relative one is to be ignored."""
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else Path.home() / otherwise
