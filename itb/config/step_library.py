"""The scripts of ``scenarios/lib``, which steps of any scenario may run: ``script: lib/NAME.sh``."""

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


def check_script(script: str, what: str, scenario_folder: Path) -> None:
    """Raise UsageError for a script that is neither in the scenario's folder nor a step of the library.

    The error begins with ``what`` and names the nearest step.
    """
    known = list(steps())
    if not script.startswith(PREFIX):
        raise UsageError(f"{what} {script!r} is not a file in {scenario_folder}")
    if script not in known:
        hint = yamlfile.nearest(script, known) or f"; known: {', '.join(known)}"
        problem = f"{what} {script!r} is not a file in {scenario_folder}, and itb's library has no such step"
        raise UsageError(problem + hint)


def script_file(scenario_folder: Path, script: str) -> Path:
    """Return the file that a step's ``script`` names: one of the scenario's folder, else the library's.

    Raises KeyError for a name that :func:`check_script` would have refused.
    """
    path = scenario_folder / script
    return path if path.is_file() or not script.startswith(PREFIX) else steps()[script]


def library_scripts(scenario_folder: Path, scripts: Iterable[str]) -> dict[str, Path]:
    """Return the scripts among these that the library provides: file by name."""
    files = {script: script_file(scenario_folder, script) for script in sorted(scripts)}
    return {script: path for script, path in files.items() if path != scenario_folder / script}


def checksum(scenario_folder: Path, scripts: Iterable[str]) -> str:
    """Return a SHA-256 over a scenario's folder and the scripts its steps take from the library."""
    files = library_scripts(scenario_folder, scripts)
    digest = hashlib.sha256(shipped.checksum(scenario_folder).encode())
    for script, path in files.items():
        digest.update(f"\0{script}\0".encode() + path.read_bytes())
    return digest.hexdigest() if files else shipped.checksum(scenario_folder)
