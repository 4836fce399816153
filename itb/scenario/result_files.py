"""Fetches the result files of a step, within bounds and redacted, and reads them as JUnit XML."""

from __future__ import annotations

import errno
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from itb.containers.host import Host
from itb.process.request import Request
from itb.scenario.check_results import CheckResults, parse_junit
from itb.util.redact import is_text, redact_bytes, redact_name

TOTAL_LIMIT = 128 << 20  # bytes fetched of one step
FILE_LIMIT = 16 << 20  # bytes kept of one file
FILES_LIMIT = 1000
LEFT_OUT = "left-out.txt"
_LINK, _ELSEWHERE, _BINARY = "a link or a device", "leads elsewhere", "binary"
_HARMLESS = (_LINK, _ELSEWHERE, _BINARY)
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)

# Runs on the host with the folder as its argument: writes an archive of the
# folder to standard output, cut at the limit, and removes the folder.  Where
# there is a file or a link instead, the archive is empty.
FETCH = (
    "bash",
    "-c",
    'if [ -d "$1" ] && [ ! -L "$1" ]; then '
    f'tar --create --file=- --directory="$1" . | head --bytes={TOTAL_LIMIT}; fi; rm -rf -- "$1"',
    "fetch",
)


def fetch_results(host: Host, folder: str, destination: Path, *, private: Path | None = None) -> CheckResults:
    """Copy the files that a step left in a folder of its host, and return the checks in its JUnit files.

    ``private`` is a directory that only this user can read; it holds the unredacted archive meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="results-", dir=private) as temporary_folder:
        archive = Path(temporary_folder) / "results.tar"
        limit = host.engine.runner.limits("results")
        argv = [*FETCH, folder]
        host.run(Request(argv, stdout_to=archive, timeout=limit, about="fetch result files"))
        return read(archive, destination)


def read(archive: Path, destination: Path) -> CheckResults:
    """Unpack an archive of result files into a new folder and return the checks in its JUnit files."""
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    checks = CheckResults(problem=unpack(archive, destination))
    for path in sorted(destination.rglob("*")):
        if _is_xml(path.name) and path.is_file():
            checks.extend(parse_junit(path))
    return checks


def unpack(archive: Path, destination: Path) -> str:
    """Write the regular files of an archive below ``destination``, redacted; return the problem, if there is one.

    Links, devices, binary files and names that lead out of the folder are
    left out and named in ``left-out.txt``.  An XML file that is left out is a
    problem: it might have told of failures.
    """
    if not archive.stat().st_size:
        return "$ITB_RESULTS is no folder any more: what is there instead was not fetched"
    problem = ""
    left_out = []
    try:
        with tarfile.open(archive) as tar:
            for count, entry in enumerate(entry for entry in tar if not entry.isdir()):
                if count == FILES_LIMIT:
                    problem = problem or "too many result files"
                    break
                if reason := _unpack_one(tar, entry, destination):
                    name = str(PurePosixPath(redact_name(entry.name)))[:300]
                    left_out.append(f"{reason}: {name}\n")
                    if reason not in _HARMLESS or _is_xml(name):
                        problem = problem or f"result file {name[:100]} was left out: {reason}"
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        is_whole = archive.stat().st_size < TOTAL_LIMIT
        cause = f"cannot be read: {error}" if is_whole else f"are larger than {TOTAL_LIMIT >> 20} MiB"
        problem = f"result files {cause}"
    _write_left_out(left_out, destination)
    return problem


def _is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")


def _unpack_one(tar: tarfile.TarFile, entry: tarfile.TarInfo, destination: Path) -> str:
    """Write a file of an archive; return the reason if it is left out."""
    name = PurePosixPath(redact_name(entry.name))
    if not entry.isreg():
        return _LINK
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in entry.name:
        return _ELSEWHERE
    if entry.size > FILE_LIMIT:
        return "too large"
    source = tar.extractfile(entry)
    content = source.read() if source else b""
    return _write(destination / name, redact_bytes(content)) if is_text(content) else _BINARY


def _write_left_out(left_out: list[str], destination: Path) -> None:
    path = destination / LEFT_OUT
    while path.exists():  # the step has left a file of this name
        path = path.with_name(f"itb-{path.name}")
    if left_out:
        with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(left_out)


def _write(target: Path, content: bytes) -> str:
    """Write a file; return the reason if its name is unusable: too long, or a folder in it is a file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            return str(error.strerror)
        raise
    return ""
