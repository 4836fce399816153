"""The logs of a run: the text files in its directory that tell what happened, by the place they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from itb.roles import ITB
from itb.rundir.directory import PREVIOUS, RunDir
from itb.util.redact import is_text

_SAMPLE_BYTES = 4096
_NO_LOGS = (".rpm", ".json", ".repo")


@dataclass(frozen=True)
class Log:
    """A log: ``place`` is a role, a scenario, ``build``, ``previous`` or ``itb``; ``name`` is its path there."""

    place: str
    name: str
    path: Path

    @property
    def size(self) -> int:
        """Return how many bytes it has now; 0 if it is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def list_logs(rundir: RunDir) -> list[Log]:
    """Return the logs of a run: of its build, of each scenario's steps, of each host, and itb's own."""
    logs = [*_below(rundir.build, "build"), *_below(rundir.previous.build, PREVIOUS)]
    for top in (rundir.results, rundir.path / "setup", rundir.path / "hosts"):
        for folder in sorted(top.iterdir()) if top.is_dir() else ():
            logs += _below(folder, folder.name)
    own = rundir.path / "commands.log"
    return [*logs, Log(ITB, own.name, own)] if own.is_file() else logs


def _below(folder: Path, place: str) -> Iterator[Log]:
    """Yield the text files below a folder, without packages and their metadata."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix not in _NO_LOGS and _is_text(path):
            yield Log(place, str(path.relative_to(folder)), path)


def _is_text(path: Path) -> bool:
    """Return whether a file begins with text; an empty file does not count."""
    try:
        with path.open("rb") as file:
            start = file.read(_SAMPLE_BYTES)
    except OSError:
        return False
    return bool(start) and is_text(start)


def select_by_name(logs: list[Log], name: str) -> list[Log]:
    """Return the logs with this path or file name; if there are none, those whose path contains it."""
    exact = [log for log in logs if name in (log.name, Path(log.name).name)]
    return exact or [log for log in logs if name in log.name]
