"""Sub-results of a scenario's script: TAP on its standard output, JUnit XML in its results folder.

What a script prints is judged, never trusted: memory is bounded, a plan that
was not kept is a problem, and XML with a document type (the door of entity
attacks) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from itb.model import Outcome

LIMIT = 10_000  # results kept of one step
_PIECE = 4 << 20  # bytes of XML read at once
_LONGEST = 1 << 16  # bytes of a line of TAP
TEXT_LIMIT = 6_000  # characters kept of one message or one result's evidence

_TAP_SIGN = re.compile(r"^\ufeff?(?:TAP version \d|1\.\.\d)", re.MULTILINE)  # without one it is none
_TAP_VERSION = re.compile(r"TAP version \d+")
_TAP_PLAN = re.compile(r"1\.\.(\d+)\s*(?:todo[\s\d;]*)?(?:#\s*(?:(?i:skip)\S*\s*)?(.*))?")
_TAP_LINE = re.compile(r"(not )?ok\b(?:\s+(\d+))?(?:\s+-)?\s*(.*?)(?:\s*(?<!\\)#\s*(?i:(skip|todo))\S*\s*(.*))?$")
_TAP_BAIL = re.compile(r"Bail out!\s*(.*)")


@dataclass(frozen=True)
class SubResult:
    """One result; ``seconds`` is 0 where the script does not say."""

    name: str
    outcome: Outcome
    message: str = ""
    evidence: str = ""
    seconds: float = 0.0


@dataclass
class SubResults:
    """The results of one source; ``problem`` says what is wrong with the source itself."""

    items: list[SubResult] = field(default_factory=list)
    problem: str = ""
    left_out: int = 0
    skipped: str = ""

    def add(self, item: SubResult) -> None:
        """Keep a result as long as there is room; a failure that has no room is a problem."""
        if len(self.items) < LIMIT:
            self.items.append(item)
            return
        self.left_out += 1
        if item.outcome is Outcome.FAILED and not self.problem:
            self.problem = f"failed beyond the {LIMIT} results that are kept: {item.name}"

    def extend(self, other: SubResults) -> None:
        """Take over another source's results and problem."""
        for item in other.items:
            self.add(item)
        self.left_out += other.left_out
        self.problem = self.problem or other.problem
        self.skipped = self.skipped or other.skipped

    @property
    def failed(self) -> list[SubResult]:
        """The results that failed, in order."""
        return [item for item in self.items if item.outcome is Outcome.FAILED]

    def named(self) -> Iterable[tuple[str, SubResult]]:
        """Yield results with names that differ: a second "x" becomes "x (2)"."""
        seen: dict[str, int] = {}
        for item in self.items:
            seen[item.name] = seen.get(item.name, 0) + 1
            count = seen[item.name]
            yield (item.name if count == 1 else f"{item.name} ({count})"), item


def parse_tap(text: str) -> SubResults | None:
    """Return the results of a TAP stream (versions 12 to 14); None if the text is not one.

    It is one if there is a line with the version, or a plan, at the start, at
    the end or after other words, and results it is the plan of.  Comment lines
    and YAML blocks after a result are its evidence, subtests (indented) too.
    """
    if not _TAP_SIGN.search(text):
        return None
    reader = _Tap()
    for line in text.splitlines():
        reader.feed(line.rstrip())
    return reader.close()


def parse_tap_log(kept: str, log: Path, offset: int, *, skip: str = "") -> SubResults | None:
    """Do the same with an output too long to be kept in memory, from its log, where it begins at ``offset`` bytes.

    ``kept`` is how the output began and ended: the log has standard error
    too.  Lines that begin with ``skip`` do not count; of a line the first 64 KiB do.
    """
    if parse_tap(kept) is None:
        return None
    reader, inside = _Tap(sure=True), False
    with log.open("rb") as file:
        file.seek(offset)
        while piece := file.readline(_LONGEST):
            line = "" if inside else piece.decode("utf-8", "replace").rstrip()
            inside = not piece.endswith(b"\n")
            if line and not (skip and line.startswith(skip)):
                reader.feed(line)
    return reader.close()


class _Tap:
    """Collects a TAP stream line by line."""

    def __init__(self, *, sure: bool = False) -> None:
        self.results = SubResults()
        self._sure = sure  # that this is TAP
        self._lines = 0
        self._planned: int | None = None
        self._seen = 0
        self._current: SubResult | None = None
        self._evidence: list[str] = []
        self._size = 0

    def feed(self, line: str) -> None:
        line = line[:4000].removeprefix("\ufeff")
        self._lines += bool(line)
        if plan := _TAP_PLAN.fullmatch(line):
            self._plan(int(plan[1]), plan[2])
        elif _TAP_VERSION.fullmatch(line):
            self._sure = True
        elif bail := _TAP_BAIL.match(line):
            self.results.problem = f"bailed out: {bail[1] or 'without a reason'}"
        elif found := _TAP_LINE.fullmatch(line):
            self._flush()
            self._seen += 1
            self._current = _tap_result(found, self._seen)
        elif self._current is not None and line.strip() and self._size < TEXT_LIMIT:
            self._evidence.append(line.removeprefix("# "))
            self._size += len(line)

    def _plan(self, number: int, reason: str | None) -> None:
        self._sure = self._sure or self._lines == 1
        if self._planned is None:
            self._planned = number
        elif not self.results.problem:
            self.results.problem = f"a second plan: 1..{number} after 1..{self._planned}"
        if number == 0:
            self.results.skipped = reason or "its plan is empty"

    def close(self) -> SubResults | None:
        self._flush()
        if not self._sure and (self._planned is None or not self._seen):
            return None
        if self._planned is not None and self._planned != self._seen and not self.results.problem:
            self.results.problem = f"{self._planned} checks were planned, {self._seen} were made"
        elif self._planned is None and not self.results.problem:
            self.results.problem = "its output ended before the plan"
        return self.results

    def _flush(self) -> None:
        item = self._current
        if item is None:
            return
        evidence = "\n".join(self._evidence)[:TEXT_LIMIT]
        message = item.message
        if item.outcome is Outcome.FAILED and not message:
            message = _first_word(self._evidence) or f"not ok: {item.name}"
        self.results.add(SubResult(item.name, item.outcome, message, evidence, _tap_seconds(self._evidence)))
        self._current, self._evidence, self._size = None, [], 0


def _tap_result(found: re.Match[str], number: int) -> SubResult:
    bad, _, name, directive, reason = found.groups()
    name = (name or "").replace("\\#", "#").strip() or f"check {number}"
    word = (directive or "").lower()
    if word == "skip":
        return SubResult(name, Outcome.SKIPPED, reason or "skipped without a reason")
    if word == "todo" and bad:
        return SubResult(name, Outcome.SKIPPED, f"expected to fail: {reason or 'to do'}")
    return SubResult(name, Outcome.FAILED if bad else Outcome.PASSED)


def _first_word(lines: list[str]) -> str:
    """The line of a result's comments that says why, the YAML block's message first."""
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


def parse_junit(path: Path) -> SubResults:
    """Return the results of a JUnit XML file, read as a stream; a document type is refused.

    An ``<error>`` counts as a failure: what a scenario's own test runner
    calls an error is not a fault of the testbed.  One that is a suite's own is
    a result too, and a suite that counts failures must list one.
    """
    reader = _Junit()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        with path.open("rb") as file:
            # Not ParseFile: for each 2 KiB it reads, expat looks at a tag that has not ended once more, which
            # takes minutes with one of 30 MB.
            while piece := file.read(_PIECE):
                parser.Parse(piece, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        reader.results.problem = f"{path.name}: not well-formed XML: {error}"
    except _DoctypeError:
        reader.results.problem = f"{path.name}: XML with a document type is refused"
    except (ValueError, LookupError) as error:  # an encoding nobody knows
        reader.results.problem = f"{path.name}: cannot be read: {error}"
    else:
        if not reader.is_junit:
            reader.results.problem = f"{path.name}: not JUnit XML (no testsuite in it)"
        elif reader.contradiction and not reader.results.problem:
            reader.results.problem = f"{path.name}: {reader.contradiction}"
    return reader.results


@dataclass
class _Suite:
    """A suite that is being read: how many failures it says it has, and lists."""

    name: str
    counted: float
    listed: int = 0


class _Junit:
    """Handlers of the XML parser; ``contradiction`` is what a suite counts and does not list."""

    def __init__(self) -> None:
        self.results = SubResults()
        self.is_junit = False
        self.contradiction = ""
        self._suites: list[_Suite] = []
        self._ends = ""  # name of the element that ends the case: its own, or that of a suite's failure
        self._case: Mapping[str, str] | None = None
        self._verdict: tuple[Outcome, str] = (Outcome.PASSED, "")
        self._text: list[str] = []
        self._size = 0
        self._listening = False

    def doctype(self, *_: object) -> None:
        raise _DoctypeError

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in ("testsuite", "testsuites"):
            self.is_junit = True
            counted = sum(_number(attributes.get(what, "")) for what in ("failures", "errors"))
            self._suites.append(_Suite(attributes.get("name", "")[:100], counted))
        elif name == "testcase":
            self._open(name, attributes)
        elif name in ("failure", "error") and self._case is None and self._suites:
            self._open(name, {"name": self._suites[-1].name or "suite"})
        if self._case is not None and name in ("failure", "error", "skipped"):
            outcome = Outcome.SKIPPED if name == "skipped" else Outcome.FAILED
            if self._verdict[0] is not Outcome.FAILED:
                self._verdict = (outcome, attributes.get("message", "")[:TEXT_LIMIT])
            self._listening = True

    def end(self, name: str) -> None:
        if name in ("failure", "error", "skipped"):
            self._listening = False
        if self._case is not None and name == self._ends:
            self._add(self._case)
            self._case = None
        elif name in ("testsuite", "testsuites"):
            self._close(self._suites.pop())

    def text(self, data: str) -> None:
        if self._listening and self._size < TEXT_LIMIT:
            self._text.append(data[: TEXT_LIMIT - self._size])
            self._size += len(data)

    def _open(self, element: str, attributes: Mapping[str, str]) -> None:
        self._ends = element
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
        where, name = attributes.get("classname", ""), attributes.get("name", "")
        full = ".".join(part for part in (where, name) if part) or "unnamed"
        self.results.add(SubResult(full[:500], outcome, message, evidence, _number(attributes.get("time", ""))))


def _number(text: str) -> float:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0
