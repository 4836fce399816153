"""Reads RPM files in a clean container: what the workspace says of them, the candidate may have said.

Also compares the content of a source package with the files of the commit.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from posixpath import basename

from pydantic import ValidationError

from itb.config.product import SourceRpm
from itb.containers.engine import MOUNT, Engine
from itb.data import shipped
from itb.errors import TestbedError
from itb.model import Commit, Record, Rpm
from itb.process.request import Request
from itb.process.runner import Runner
from itb.util import files
from itb.util.text import count

_SCRATCH = "/srv/unpacked"
_SCRATCH_SIZE = 1 << 30  # bytes a source package may unpack to, besides four times the size of the commit's files
_MOST_SCRATCH = 4 << 30  # of these bytes in all: they are memory, and how large a commit is decides the candidate
_OUTPUT_LIMIT = 64 << 20  # bytes
_LISTED = 100  # differences of one kind in the evidence of a case
_INSIDE = "//"  # between the name of an archive and the path of a file in it
# What a ReleaseManager fills in: __VERSION__, @VERSION@; no more than a version or a release can be.
_PLACEHOLDER = re.compile(r"(__[A-Za-z]\w*?__|@[A-Za-z]\w*@)")
_FILLED_IN = r"[A-Za-z0-9._~+^-]*"


class Header(Record):
    """The header of a package: ``source`` is the file name of its source package, empty for one.

    ``header`` is its SHA-256, which with its payload's checksum in it stands for the content of a sound package.
    ``said`` is what rpm says of its digests and signatures, ``problem`` why the header cannot be read.
    """

    name: str = ""
    epoch: int = 0
    version: str = ""
    release: str = ""
    arch: str = ""
    header: str = ""
    source: str = ""
    problem: str = ""
    said: str = ""

    @property
    def is_sound(self) -> bool:
        """Return whether the package is what it was when its digests were written."""
        return not self.problem and self.said.endswith(" OK") and "NOT" not in self.said

    @property
    def file_name(self) -> str:
        """Return the name that a file of this package has."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch if self.source else 'src'}.rpm"

    @property
    def is_signed(self) -> bool:
        """Return whether it is sound and has a valid signature of the key that was known."""
        return self.is_sound and "signatures" in self.said


class Reading(Record):
    """What ``clean_rpm.py`` of ``build_ws/hosts`` has read; it explains the fields."""

    keys: tuple[str, ...] = ()
    packages: tuple[Header, ...]
    content: dict[str, str] = {}
    specs: dict[str, str] = {}
    refused: str = ""


@dataclass(frozen=True)
class CleanImage:
    """An image in which nothing of the candidate has run, and the labels of its containers."""

    engine: Engine
    image: str
    labels: Mapping[str, str]


def read(
    clean: CleanImage, folder: Path, rpms: Sequence[Rpm], *, source: str = "", source_size: int = 0, key: str = ""
) -> Reading:
    """Read packages of a folder, and the content of the source package with the file name ``source``.

    ``source_size`` is the size of the commit's files in bytes, ``key`` the name of a file in the folder
    with the key the packages are signed with.  Raises TestbedError if there is no result.
    """
    request = _request(MOUNT, rpms, source=source, key=key)
    limits = clean.engine.runner.limits
    size = f"{_SCRATCH}:size={min(_SCRATCH_SIZE + 4 * source_size, _MOST_SCRATCH)}"
    with tempfile.TemporaryDirectory(prefix=".read-", dir=folder.parent) as temporary:
        # By a file: the output of a command is redacted, and a file may be called "token".
        output = Path(temporary) / "reading.json"
        request = replace(request, timeout=limits("read-rpms"), stdout_to=output, stdout_limit=_OUTPUT_LIMIT)
        clean.engine.run_once(
            clean.image, request, labels=clean.labels, folder=str(folder.resolve()), scratch=size
        )
        return parse(output.read_bytes())


def read_here(runner: Runner, folder: Path, rpms: Sequence[Rpm], *, key: str = "") -> Reading:
    """Read packages of a folder with the machine's own rpm, where there is no clean image."""
    request = replace(_request(folder, rpms, key=key), timeout=runner.limits("read-rpms"))
    return parse(runner.run(request).stdout.encode())


def _request(folder: Path | str, rpms: Sequence[Rpm], *, source: str = "", key: str = "") -> Request:
    script = (shipped.folder("build_ws") / "hosts" / "clean_rpm.py").read_text(encoding="utf-8")
    paths = [f"{folder}/{name}" if name else "-" for name in (key, source)]
    files_of = [f"{folder}/{rpm.file}" for rpm in rpms]
    return Request(
        ["python3", "-I", "-c", script, *paths, _SCRATCH, *files_of],
        alias=["clean_rpm.py", *(rpm.file for rpm in rpms)],
        about=f"read {count(len(rpms), 'RPM')}",
    )


def parse(text: bytes) -> Reading:
    """Return what ``clean_rpm.py`` has printed; raise TestbedError if that cannot be read."""
    try:
        return Reading.model_validate_json(text)
    except ValidationError as error:
        raise TestbedError(f"what rpm says of the RPMs cannot be read: {error.errors()[0]['msg']}") from None


def problems(rpms: Sequence[Rpm], headers: Sequence[Header], source_rpm: Rpm | None) -> list[str]:
    """Return what is wrong with packages as their headers have it; ``rpms`` is what the workspace said of them."""
    found = []
    for rpm, header in zip(rpms, headers, strict=True):
        facts = (header.name, header.epoch, header.version, header.release)
        if not header.is_sound:
            found.append(f"{rpm.file} is broken: {header.problem or header.said}")
        elif facts != (rpm.name, rpm.epoch, rpm.version, rpm.release) or header.arch != rpm.arch:
            found.append(f"{rpm.file} is {'-'.join(map(str, facts))}.{header.arch}, and was called {rpm.nevra}")
        elif rpm == source_rpm and header.source:
            found.append(f"{rpm.file} is no source package")
        elif source_rpm and rpm != source_rpm and header.source != source_rpm.file:
            source = header.source or "no source package"
            found.append(f"{rpm.file} was built from {source}, not {source_rpm.file}")
    return found


def name_problem(commit: Commit, source_rpm: Rpm, rpms: Sequence[Rpm]) -> str:
    """Return why a source package cannot be the one of these packages of a commit; empty if it can."""
    names = {rpm.name for rpm in rpms}
    if not any(f"{name}-".startswith(f"{source_rpm.name}-") for name in {*names, commit.product}):
        return f"{source_rpm.file}: its name is not that of {', '.join(sorted(names))}"
    versions = {(rpm.epoch, rpm.version, rpm.release) for rpm in rpms}
    if source_rpm.version != commit.version or source_rpm.release not in {release for _, _, release in versions}:
        return f"{source_rpm.file}: its version is not {commit.version}-{rpms[0].release}"
    return ""


def tree(folder: Path) -> dict[str, str]:
    """Return what the files of a checkout are, as ``clean_rpm.py`` says it, by their path."""
    found = {}
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder and ".git" in folders:
            folders.remove(".git")
        for path in (Path(parent, name) for name in [*names, *folders]):
            name = _plain(path.relative_to(folder))
            if path.is_symlink():
                found[name] = f"link:{_plain(os.readlink(path))}"  # noqa: PTH115 - a Path would leave out "./"
            elif path.is_file():
                found[name] = files.sha256(path)
    return found


def _plain(name: str | Path) -> str:
    """Return a name without bytes that are no UTF-8, as ``clean_rpm.py`` does."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Differences:
    """The paths that differ in a source package from the commit; the product expects those of ``expected`` to."""

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    same: int = 0

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.missing)

    @property
    def summary(self) -> str:
        """Return the first differences of each kind in one line."""
        return "; ".join(
            f"{kind} {', '.join(paths[:3])}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}"
            for kind, paths in self._kinds
            if paths
        )

    @property
    def listing(self) -> str:
        """Return the differences, one a line."""
        lines = [f"{kind}: {path}" for kind, paths in (*self._kinds, ("expected", self.expected))
                 for path in paths[:_LISTED]]  # fmt: skip
        return "\n".join(lines)

    @property
    def _kinds(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("changed", self.changed), ("added", self.added), ("missing", self.missing)


def compare(folder: Path, reading: Reading, rules: SourceRpm) -> Differences:
    """Compare the content of a source package with a checkout of the commit."""
    expected_files = tree(folder)
    archive, packed = _archive(reading.content, expected_files)
    changed = [path for path, kind in packed.items() if path in expected_files and expected_files[path] != kind]
    added = [path for path in packed if path not in expected_files]
    present = {path for path, kind in packed.items() if expected_files.get(path) == kind}
    for name, kind in reading.content.items():
        if _INSIDE in name or name == archive:
            continue
        same_name = [path for path in expected_files if basename(path) == basename(name)]
        present |= {path for path in same_name if expected_files[path] == kind}
        if not same_name:
            added.append(name)
        elif not any(
            expected_files[path] == kind or _is_filled_in(folder / path, reading.specs.get(name))
            for path in same_name
        ):
            changed.append(name)
    missing = [path for path in expected_files if path not in present and path not in changed]
    by_rule = {path for path in [*changed, *added] if _matches(path, rules.generated)}
    by_rule |= {path for path in missing if _matches(path, [*rules.left_out, *rules.generated])}
    changed, added, missing = (sorted(set(paths) - by_rule) for paths in (changed, added, missing))
    return Differences(tuple(changed), tuple(added), tuple(missing), tuple(sorted(by_rule)), len(present))


def _archive(content: Mapping[str, str], expected_files: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the archive that holds most of the commit's files, and its files by their path in the source.

    Both are empty without one.  Other archives count as single files.
    """
    archives: dict[str, dict[str, str]] = {}
    for name, kind in content.items():
        archive, inside, path = name.partition(_INSIDE)
        if inside:
            archives.setdefault(archive, {})[path] = kind
    stripped = {name: _without_top(packed) for name, packed in archives.items()}
    counts = {name: len(packed.keys() & expected_files.keys()) for name, packed in stripped.items()}
    best = max(counts, key=lambda name: counts[name], default="")
    return (best, stripped[best]) if best and counts[best] else ("", {})


def _without_top(packed: Mapping[str, str]) -> dict[str, str]:
    tops = {path.partition("/")[0] for path in packed}
    has_top = len(tops) == 1 and all("/" in path for path in packed)
    return {path.partition("/")[2] if has_top else path: kind for path, kind in packed.items()}


def _is_filled_in(template: Path, text: str | None) -> bool:
    """Return whether a spec file is a template of the commit in which only versions were filled in."""
    if text is None or template.is_symlink() or not template.is_file():
        return False
    expected = template.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    lines = text.splitlines()
    if len(lines) != len(expected):
        return False
    pairs = zip(lines, expected, strict=True)
    return all(line == wanted or _line_pattern(wanted).fullmatch(line) for line, wanted in pairs)


def _line_pattern(wanted: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(wanted)  # every second one is a placeholder
    return re.compile("".join(_FILLED_IN if number % 2 else re.escape(part) for number, part in enumerate(parts)))


def _matches(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a path, a folder of it or the end of one matches, as tar --exclude sees it."""
    parts = path.split("/")
    ends = range(1, len(parts) + 1)
    return any(
        fnmatchcase("/".join(parts[start:end]), pattern)
        for pattern in patterns
        for end in ends
        for start in range(end)
    )
