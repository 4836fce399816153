"""The scripts of ``scenarios/lib`` that steps of any scenario may name: ``script: lib/NAME.sh``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from itb.data import shipped
from itb.errors import UsageError
from itb.util import yamlfile

PREFIX = "lib/"


def folder() -> Path:
    """Return the folder of the library."""
    return shipped.folder("scenarios") / "lib"


def steps() -> dict[str, Path]:
    """Return the scripts that a step may name, by that name: those that begin with ``#!``.

    The others are only sourced by scripts; as a step they would do nothing and pass.
    """
    files = sorted(folder().glob("*.sh"))
    return {f"{PREFIX}{path.name}": path for path in files if path.read_bytes().startswith(b"#!")}


def check(script: str, what: str, own: Path) -> None:
    """Refuse a script that is not in its scenario's folder ``own`` unless it is a step of the library.

    Raises UsageError that begins with ``what`` and names the nearest step.
    """
    known = list(steps())
    if not script.startswith(PREFIX):
        raise UsageError(f"{what} {script!r} is not a file in {own}")
    if script not in known:
        hint = yamlfile.nearest(script, known) or f"; known: {', '.join(known)}"
        raise UsageError(f"{what} {script!r} is not a file in {own}, and itb's library has no such step{hint}")


def script_file(own: Path, script: str) -> Path:
    """Return the file that a step's ``script`` names: one of its scenario's folder ``own``, else the library's.

    Raises KeyError for a name that :func:`check` would have refused.
    """
    path = own / script
    return path if path.is_file() or not script.startswith(PREFIX) else steps()[script]


def borrowed(own: Path, scripts: Iterable[str]) -> dict[str, Path]:
    """Return those of these scripts that are the library's, by name."""
    files = {script: script_file(own, script) for script in sorted(scripts)}
    return {script: path for script, path in files.items() if path != own / script}


def checksum(own: Path, scripts: Iterable[str]) -> str:
    """Return a SHA-256 over a scenario's folder and the scripts its steps take from the library."""
    files = borrowed(own, scripts)
    digest = hashlib.sha256(shipped.checksum(own).encode())
    for script, path in files.items():
        digest.update(f"\0{script}\0".encode() + path.read_bytes())
    return digest.hexdigest() if files else shipped.checksum(own)
