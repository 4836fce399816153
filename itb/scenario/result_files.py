"""Fetches the result files of a step, within bounds and redacted, and reads them as JUnit XML."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from itb.containers import archive
from itb.containers.archive import Bounds
from itb.containers.host import Host
from itb.errors import TestbedError
from itb.process.request import Request
from itb.scenario.check_results import CheckResults, parse_junit

TOTAL_LIMIT = 128 << 20  # bytes fetched of one step
FILE_LIMIT = 16 << 20  # bytes kept of one file
ENTRIES_LIMIT = 2000  # files, folders and whatever else
LEFT_OUT = "left-out.txt"
_HARMLESS = (archive.LINK, archive.ELSEWHERE, archive.BINARY)

# Runs on the host, as root, with the folder as its argument: writes an archive of the
# folder to standard output, cut at the limit, and removes the one above it, which is the
# step's.  Where there is a file or a link instead, the archive is empty; the user of a step
# may put one there at any time, so what counts is where the shell is once it has gone there.
FETCH = (
    "bash",
    "-c",
    'if cd -P -- "$1" 2>/dev/null && [ "$(pwd -P)" = "$1" ]; then '
    f'tar {" ".join(archive.FORMAT)} . | head --bytes={TOTAL_LIMIT}; fi; cd / && rm -rf -- "${{1%/*}}"',
    "fetch",
)


def fetch_results(host: Host, folder: str, destination: Path, *, private: Path | None = None) -> CheckResults:
    """Copy the files that a step left in a folder of its host, and return the checks in its JUnit files.

    The folder above it, which is the step's own, is removed from the host.
    ``private`` is a directory that only this user can read; it holds the unredacted archive meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="results-", dir=private) as temporary_folder:
        tar = Path(temporary_folder) / "results.tar"
        limit = host.engine.runner.limits("results")
        argv = [*FETCH, folder]
        request = Request(argv, stdout_to=tar, stdout_limit=TOTAL_LIMIT, timeout=limit, check=False)
        completed = host.run(request)
        if not (completed.ok or completed.cut_at):
            raise completed.error(TestbedError, f"host {host.role}: fetch result files: {completed.reason}")
        return read(tar, destination)


def read(tar: Path, destination: Path) -> CheckResults:
    """Unpack an archive of result files into a new folder and return the checks in its JUnit files."""
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    checks = CheckResults(problem=unpack(tar, destination))
    for path in sorted(destination.rglob("*")):
        if _is_xml(path.name) and path.is_file():
            checks.extend(parse_junit(path))
    return checks


def unpack(tar: Path, destination: Path) -> str:
    """Write the text files of an archive below ``destination``; return the problem, or the empty string.

    What is left out is named in ``left-out.txt``.  XML that is left out might
    have told of failures: that is a problem.
    """
    if not tar.stat().st_size:
        return "$ITB_RESULTS is no folder any more: what is there instead was not fetched"
    bounds = Bounds(total=TOTAL_LIMIT, file=FILE_LIMIT, members=ENTRIES_LIMIT)
    received = archive.receive_text(tar, destination, bounds)
    _write_left_out([f"{reason}: {name}\n" for reason, name in received.left_out], destination)
    is_whole = tar.stat().st_size < TOTAL_LIMIT
    if received.problem or not is_whole:
        cause = f"cannot be read: {received.problem}" if is_whole else f"are larger than {TOTAL_LIMIT >> 20} MiB"
        return f"result files {cause}"
    for reason, name in received.left_out:
        if reason not in _HARMLESS or _is_xml(name):
            return f"result file {name[:100]} was left out: {reason}"
    return ""


def _is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")


def _write_left_out(left_out: list[str], destination: Path) -> None:
    path = destination / LEFT_OUT
    while path.exists():  # the step has left a file of this name
        path = path.with_name(f"itb-{path.name}")
    if left_out:
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(left_out)
