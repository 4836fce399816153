"""Result files of a step: unpacked in bounds, cleaned of secrets, read as JUnit XML."""

from __future__ import annotations

import errno
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from itb.redact import is_text, redact_bytes, redact_name
from itb.subresults import SubResults, parse_junit

TOTAL_LIMIT = 128 << 20  # bytes fetched of one step
FILE_LIMIT = 16 << 20  # bytes kept of one file
FILES_LIMIT = 1000
LEFT_OUT = "left-out.txt"
_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)

# Run on the host with the folder as its argument: writes an archive of it to
# standard output, cut at the limit, and removes it.
FETCH = (
    "bash",
    "-c",
    f'tar --create --file=- --directory="$1" . | head --bytes={TOTAL_LIMIT}; rm -rf -- "$1"',
    "fetch",
)


def read(archive: Path, destination: Path) -> SubResults:
    """Unpack an archive of result files into a new folder and return what its JUnit files say."""
    shutil.rmtree(destination, ignore_errors=True)
    destination.mkdir(parents=True)
    results = SubResults(problem=unpack(archive, destination))
    for path in sorted(destination.rglob("*.xml")):
        results.extend(parse_junit(path))
    return results


def unpack(archive: Path, destination: Path) -> str:
    """Write the regular files of an archive below ``destination``; return what was left out and why.

    Names that lead elsewhere, links and devices are not followed, and file
    contents go through redaction; what is no text is left out and named in
    ``left-out.txt``.
    """
    problem = ""
    count = 0
    try:
        with tarfile.open(archive) as tar:
            for entry in tar:
                name = PurePosixPath(redact_name(entry.name))
                if not entry.isreg() or name.is_absolute() or ".." in name.parts:
                    continue
                count += 1
                if not entry.name or "\0" in entry.name:
                    continue
                if entry.size > FILE_LIMIT or count > FILES_LIMIT:
                    problem = f"result file {name}: too large" if count <= FILES_LIMIT else "too many result files"
                    continue
                source = tar.extractfile(entry)
                target = destination / name
                content = source.read() if source else b""
                if is_text(content):
                    problem = _write(target, redact_bytes(content)) or problem
                else:
                    with (destination / LEFT_OUT).open("a", encoding="utf-8", errors="backslashreplace") as names:
                        names.write(f"binary: {name}\n")
    except (tarfile.TarError, EOFError, ValueError, OverflowError):
        problem = f"result files are larger than {TOTAL_LIMIT >> 20} MiB"
    return problem


def _write(target: Path, content: bytes) -> str:
    """Write a file; return why its name does not allow that: too long, or a file where its folder should be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except OSError as error:
        if error.errno in _NAMES:
            return f"result file {str(target.name)[:100]}: {error.strerror}"
        raise
    return ""
