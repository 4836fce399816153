"""Reads the checks of a step: TAP on its standard output, JUnit XML in its results folder.

A script's output is not trusted: memory is bounded, a plan that does not
agree with the checks is a problem, and XML with a document type, which could
define entities that grow without bounds, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from itb.model import Outcome
from itb.util.text import lines_of

LIMIT = 10_000  # checks kept of one step
_CHUNK_BYTES = 4 << 20  # bytes of XML read at once
_LINE_LIMIT = 1 << 16  # bytes of a line of TAP
TEXT_LIMIT = 6_000  # characters kept of a message, or of the evidence of one check

_TAP_START = re.compile(r"^\ufeff?(?:TAP version \d|1\.\.\d)", re.MULTILINE)  # every TAP stream has one of these
_TAP_VERSION = re.compile(r"TAP version \d+")
_TAP_PLAN = re.compile(r"1\.\.(\d+)\s*(?:todo[\s\d;]*)?(?:#\s*(?:(?i:skip)\S*\s*)?(.*))?")
_TAP_LINE = re.compile(r"(not )?ok\b(?:\s+(\d+))?(?:\s+-)?\s*(.*?)(?:\s*(?<!\\)#\s*(?i:(skip|todo))\S*\s*(.*))?$")
_TAP_BAIL = re.compile(r"Bail out!\s*(.*)")


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; ``source`` is the result file it is from, ``seconds`` 0 if unknown."""

    name: str
    outcome: Outcome
    message: str = ""
    evidence: str = ""
    seconds: float = 0.0
    source: Path | None = None


@dataclass
class CheckResults:
    """The checks of a step; ``problem`` says what is wrong with the output or file that they were read from.

    ``left_out`` counts checks beyond the limit, ``skipped`` is the reason of an empty plan.
    """

    items: list[CheckResult] = field(default_factory=list)
    problem: str = ""
    left_out: int = 0
    skipped: str = ""

    def add(self, result: CheckResult) -> None:
        """Add a check; one beyond the limit is only counted, and is a problem if it failed."""
        if len(self.items) < LIMIT:
            self.items.append(result)
            return
        self.left_out += 1
        if result.outcome is Outcome.FAILED and not self.problem:
            self.problem = f"failed beyond the {LIMIT} results that are kept: {result.name}"

    def extend(self, other: CheckResults) -> None:
        """Add the checks of another source, and its problem if there is none yet."""
        for result in other.items:
            self.add(result)
        self.left_out += other.left_out
        self.problem = self.problem or other.problem
        self.skipped = self.skipped or other.skipped

    @property
    def failed(self) -> list[CheckResult]:
        """Return the checks that failed, in order."""
        return [result for result in self.items if result.outcome is Outcome.FAILED]

    def with_unique_names(self) -> Iterable[tuple[str, CheckResult]]:
        """Yield each check with a name that no other has: a second "x" becomes "x (2)"."""
        counts: dict[str, int] = {}
        for result in self.items:
            counts[result.name] = counts.get(result.name, 0) + 1
            count = counts[result.name]
            yield (result.name if count == 1 else f"{result.name} ({count})"), result


def parse_tap(text: str) -> CheckResults | None:
    """Return the checks of a TAP stream (versions 12 to 14); None if the text is not one.

    A TAP stream has a line with the version; or a plan, before the results,
    after them or after other output.  Comment lines, YAML blocks and indented
    subtests after a result are its evidence.
    """
    if not _TAP_START.search(text):
        return None
    reader = _TapReader()
    for line in lines_of(text):
        reader.feed(line.rstrip())
    return reader.close()


def parse_tap_log(kept: str, log: Path, offset: int, *, skip: str = "") -> CheckResults | None:
    """Return the checks of an output too long for memory, from its log, where it begins at ``offset`` bytes.

    ``kept`` is the beginning and end of standard output: only they tell TAP
    from the log, which has standard error too.  Lines that begin with
    ``skip`` are left out, and of each line what follows the first 64 KiB.
    """
    if parse_tap(kept) is None:
        return None
    reader, inside_line = _TapReader(is_tap=True), False
    with log.open("rb") as file:
        file.seek(offset)
        while chunk := file.readline(_LINE_LIMIT):
            line = "" if inside_line else chunk.decode("utf-8", "replace").rstrip()
            inside_line = not chunk.endswith(b"\n")
            if line and not (skip and line.startswith(skip)):
                reader.feed(line)
    return reader.close()


class _TapReader:
    """Reads a TAP stream line by line."""

    def __init__(self, *, is_tap: bool = False) -> None:
        self.results = CheckResults()
        self._is_tap = is_tap
        self._lines = 0
        self._planned: int | None = None
        self._count = 0
        self._current: CheckResult | None = None
        self._evidence: list[str] = []
        self._size = 0

    def feed(self, line: str) -> None:
        line = line[:4000].removeprefix("\ufeff")
        self._lines += bool(line)
        if plan := _TAP_PLAN.fullmatch(line):
            self._plan(int(plan[1]), plan[2])
        elif _TAP_VERSION.fullmatch(line):
            self._is_tap = True
        elif bail := _TAP_BAIL.match(line):
            self.results.problem = f"bailed out: {bail[1] or 'without a reason'}"
        elif match := _TAP_LINE.fullmatch(line):
            self._flush()
            self._count += 1
            self._current = _tap_result(match, self._count)
        elif self._current is not None and line.strip() and self._size < TEXT_LIMIT:
            self._evidence.append(line.removeprefix("# "))
            self._size += len(line)

    def _plan(self, number: int, reason: str | None) -> None:
        self._is_tap = self._is_tap or self._lines == 1
        if self._planned is None:
            self._planned = number
        elif not self.results.problem:
            self.results.problem = f"a second plan: 1..{number} after 1..{self._planned}"
        if number == 0:
            self.results.skipped = reason or "its plan is empty"

    def close(self) -> CheckResults | None:
        self._flush()
        if not self._is_tap and (self._planned is None or not self._count):
            return None
        if self._planned is not None and self._planned != self._count and not self.results.problem:
            self.results.problem = f"{self._planned} checks were planned, {self._count} were made"
        elif self._planned is None and not self.results.problem:
            self.results.problem = "its output ended before the plan"
        return self.results

    def _flush(self) -> None:
        result = self._current
        if result is None:
            return
        evidence = "\n".join(self._evidence)[:TEXT_LIMIT]
        message = result.message
        if result.outcome is Outcome.FAILED and not message:
            message = _find_reason(self._evidence) or f"not ok: {result.name}"
        self.results.add(CheckResult(result.name, result.outcome, message, evidence, _tap_seconds(self._evidence)))
        self._current, self._evidence, self._size = None, [], 0


def _tap_result(match: re.Match[str], number: int) -> CheckResult:
    is_bad, _, name, directive, reason = match.groups()
    name = (name or "").replace("\\#", "#").strip() or f"check {number}"
    directive = (directive or "").lower()
    if directive == "skip":
        return CheckResult(name, Outcome.SKIPPED, reason or "skipped without a reason")
    if directive == "todo" and is_bad:
        return CheckResult(name, Outcome.SKIPPED, f"expected to fail: {reason or 'to do'}")
    return CheckResult(name, Outcome.FAILED if is_bad else Outcome.PASSED)


def _find_reason(lines: list[str]) -> str:
    """Return the reason of a failed check: the message in its YAML block, or its first comment line."""
    for line in lines:
        key, colon, value = line.strip().partition(":")
        if colon and key == "message":
            return value.strip().strip("'\"")
    useful = (line.strip() for line in lines if line.strip() not in ("---", "...", "#"))
    return next(useful, "")[:500]


def _tap_seconds(lines: list[str]) -> float:
    for line in lines:
        key, colon, value = line.strip().partition(":")
        if colon and key == "duration_ms":
            try:
                return float(value) / 1000
            except ValueError:
                return 0.0
    return 0.0


class _DoctypeError(Exception):
    pass


def parse_junit(path: Path) -> CheckResults:
    """Return the checks of a JUnit XML file, read as a stream; a document type is refused.

    An ``<error>`` counts as a failure: an error of the scenario's own test
    runner is not a fault of the testbed.  A failure of a whole suite is a
    check too, and a suite that counts failures must list one.
    """
    reader = _JunitReader(path)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        with path.open("rb") as file:
            # Not ParseFile: it reads 2 KiB at a time, and expat scans a tag without an end again each time,
            # which takes minutes for a tag of 30 MB.
            while chunk := file.read(_CHUNK_BYTES):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        reader.results.problem = f"{path.name}: not well-formed XML: {error}"
    except _DoctypeError:
        reader.results.problem = f"{path.name}: XML with a document type is refused"
    except (ValueError, LookupError) as error:  # an unknown encoding
        reader.results.problem = f"{path.name}: cannot be read: {error}"
    else:
        if not reader.is_junit:
            reader.results.problem = f"{path.name}: not JUnit XML (no testsuite in it)"
        elif reader.contradiction and not reader.results.problem:
            reader.results.problem = f"{path.name}: {reader.contradiction}"
    return reader.results


@dataclass
class _Suite:
    """A suite that is being read; ``counted`` is the number of failures it states, ``listed`` of those it has."""

    name: str
    counted: float
    listed: int = 0


class _JunitReader:
    """Handlers of the XML parser; ``contradiction`` names a suite that states failures and lists none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results = CheckResults()
        self.is_junit = False
        self.contradiction = ""
        self._suites: list[_Suite] = []
        self._end_tag = ""  # element whose end ends the case: testcase, or a suite's failure or error
        self._case: Mapping[str, str] | None = None
        self._verdict: tuple[Outcome, str] = (Outcome.PASSED, "")
        self._text: list[str] = []
        self._size = 0
        self._collects_text = False

    def doctype(self, *_: object) -> None:
        raise _DoctypeError

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("testsuite", "testsuites"):
            self.is_junit = True
            counted = sum(_number(attributes.get(attribute, "")) for attribute in ("failures", "errors"))
            self._suites.append(_Suite(attributes.get("name", "")[:100], counted))
        elif name == "testcase":
            self._open(name, attributes)
        elif name in ("failure", "error") and self._case is None and self._suites:
            self._open(name, {"name": self._suites[-1].name or "suite"})
        if self._case is not None and name in ("failure", "error", "skipped"):
            outcome = Outcome.SKIPPED if name == "skipped" else Outcome.FAILED
            if self._verdict[0] is not Outcome.FAILED:
                self._verdict = (outcome, attributes.get("message", "")[:TEXT_LIMIT])
            self._collects_text = True

    def end(self, name: str) -> None:
        if name in ("failure", "error", "skipped"):
            self._collects_text = False
        if self._case is not None and name == self._end_tag:
            self._add(self._case)
            self._case = None
        elif name in ("testsuite", "testsuites"):
            self._close(self._suites.pop())

    def text(self, data: str) -> None:
        if self._collects_text and self._size < TEXT_LIMIT:
            self._text.append(data[: TEXT_LIMIT - self._size])
            self._size += len(data)

    def _open(self, element: str, attributes: Mapping[str, str]) -> None:
        self._end_tag = element
        self._case, self._verdict, self._text, self._size = attributes, (Outcome.PASSED, ""), [], 0

    def _close(self, suite: _Suite) -> None:
        # How many there are is not compared: some count assertions, not cases.
        if suite.counted and not suite.listed and not self.contradiction:
            self.contradiction = f"suite {suite.name!r} counts {suite.counted:g} failures, and none is listed"
        if self._suites:
            self._suites[-1].listed += suite.listed

    def _add(self, attributes: Mapping[str, str]) -> None:
        outcome, message = self._verdict
        if outcome is Outcome.FAILED and self._suites:
            self._suites[-1].listed += 1
        evidence = "".join(self._text).strip()
        if outcome is not Outcome.PASSED and not message:
            lines = evidence.splitlines()
            message = lines[-1] if lines else "without a reason"
        classname, name = attributes.get("classname", ""), attributes.get("name", "")
        full_name = ".".join(part for part in (classname, name) if part) or "unnamed"
        seconds = _number(attributes.get("time", ""))
        self.results.add(CheckResult(full_name[:500], outcome, message, evidence, seconds, self.path))


def _number(text: str) -> float:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0
