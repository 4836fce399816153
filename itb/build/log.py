"""Finding the cause of a failed build, in one line, in a ReleaseManager's log."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

STILL_RUNNING = "itb: still running: "  # build_ws/workspace/supervise.py writes it

_RPM_ERROR = re.compile(r"^(?:rpmbuild: )?error: (.+)$", re.MULTILINE)
# Where rpm 4.20, and where older ones put what will be the root.
_BUILDROOT = re.compile(r"^/\S*/BUILD/[^/]+/BUILDROOT(?=/)|^/\S*/BUILDROOT/[^/]+(?=/)")
# What a section's script prints besides the reason that it failed; make says only that something did.
_NOISE = re.compile(
    r"\++ |Executing\(|RPM build (?:errors|warnings)|\s*$|error: Bad exit|warning: "
    r"|make(?:\[\d+\])?: (?:\*\*\*|Entering|Leaving)"
)
_FIRST_ERROR = re.compile(r":\d+(?::\d+)?: (?:fatal )?error: |^FAILED \S+ - ")  # of a compiler, of pytest
_UNREADABLE = ("SyntaxError", "IndentationError", "TabError")  # say nothing without the place
_PLACE = re.compile(r'^\s+File "([^"]+)", line (\d+)$', re.MULTILINE)
_SPEC_LINE = re.compile(r"^(line \d+): ")
_MILESTONES = (
    (re.compile(r"Executing\((%\w+)\)"), "rpmbuild {}"),
    (re.compile(r"Processing files: (\S+)"), "packaging {}"),
    (re.compile(r"\*+ Executing (\S+) \*+"), "{}"),
    (re.compile(r"Wrote: \S*/([^/\s]+)$"), "wrote {}"),
)


@dataclass(frozen=True)
class Cause:
    """Why a build failed, in one line, and the line of its log that says so."""

    reason: str
    line: str


def milestone(line: str) -> str:
    """Return what a line of a build's log says of its progress; empty if nothing."""
    for pattern, form in _MILESTONES:
        if match := pattern.search(line):
            return form.format(match[1])
    return ""


def classify(log: str) -> Cause:
    """Return the cause of a failed build; the log is all output, in order.

    Specific causes come before general ones: rpmbuild repeats its errors,
    and a ReleaseManager repeats rpmbuild's.
    """
    for find_cause in _CAUSE_FINDERS:
        if cause := find_cause(log):
            return Cause(" ".join(cause.reason.split()), cause.line)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return Cause(lines[-1][:300], lines[-1]) if lines else Cause("it printed nothing", "")


def running_at_limit(log: str) -> list[str]:
    """Return what was running when the time was up, oldest first: "COMMAND LINE (for N s)"."""
    return [line.removeprefix(STILL_RUNNING) for line in log.splitlines() if line.startswith(STILL_RUNNING)]


def _listed(log: str, heading: str, pattern: str) -> list[str]:
    """Return the parts that ``pattern`` matches of the lines that follow a heading, each once."""
    items: list[str] = []
    inside = False
    for line in log.splitlines():
        if heading in line:
            inside = True
        elif inside and (match := re.fullmatch(pattern, line)):
            items.append(match[1])
        else:
            inside = False
    return list(dict.fromkeys(items))


def _join(items: list[str]) -> str:
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return ", ".join(items[:5]) + more


def _build_requires(log: str) -> Cause | None:
    heading = "error: Failed build dependencies:"
    missing = _listed(log, heading, r"\s+(.+) is needed by \S+")
    return Cause(f"missing BuildRequires: {_join(missing)}", heading) if missing else None


def _unpackaged(log: str) -> Cause | None:
    heading = "Installed (but unpackaged) file(s) found:"
    files = _listed(log, heading, r"\s+(/.*)")
    return Cause(f"{heading} {_join(files)}", f"error: {heading}") if files else None


def _section(log: str) -> Cause | None:
    """Return which script of the spec failed, and the last line that it printed."""
    match = re.search(r"error: Bad exit status from \S+ \((%\w+)\)", log)
    if match is None:
        return None
    begin = max(0, log.rfind(f"Executing({match[1]})", 0, match.start()))
    output = [line.strip() for line in log[begin : match.start()].splitlines() if not _NOISE.match(line)]
    # What follows from the first error comes after it: other errors, and counts of them.
    line = next((line for line in output if _FIRST_ERROR.search(line)), output[-1] if output else "")
    reason = f"{match[1]} of the spec failed{f': {line[:240]}' if line else ''}"
    return Cause(reason, line or match[0])


def _rpm_error(log: str) -> Cause | None:
    """Return rpm's first error, of which later ones are consequences; name all files that are missing."""
    errors = list(dict.fromkeys(item.strip() for item in _RPM_ERROR.findall(log)))
    absent = [item for item in errors if re.match(r"(?:File|Directory) not found: ", item)]
    if absent:
        paths = [_BUILDROOT.sub("", item.split(": ", 1)[1]) for item in absent]
        return Cause(f"in %files but not installed: {_join(paths)}", f"error: {absent[0]}")
    # rpm 4.20 says this of a %patch in a comment too, and goes on.
    errors = [item for item in errors if not item.startswith("No patch number")] or errors
    # Of what file the line is, rpm leaves to its reader.
    return Cause(_SPEC_LINE.sub(r"\1 of the spec: ", errors[0])[:300], f"error: {errors[0]}") if errors else None


def _not_attempted(log: str) -> Cause | None:
    """Return why a ReleaseManager skipped the RPMs: it says so at its start, and exits with 0."""
    for message, meaning in (
        (
            "RPMs will not be build for this platform",
            "it does not know the operating system of the build workspace",
        ),
        ("'rpmbuild' not found", "rpmbuild is not in the build workspace"),
        ("Skipping RPM build as requested", "it was told to skip them"),
    ):
        if message in log:
            return Cause(f"ReleaseManager skipped the RPMs: {meaning} ({message!r})", message)
    return None


def _skipped(log: str) -> Cause | None:
    match = re.search(r"^(\S*RPM\S*)\s+SKIPPED\s*$", log, re.MULTILINE)
    return Cause(f"ReleaseManager skipped its task {match[1]} without a reason", match[0]) if match else None


def _command(log: str) -> Cause | None:
    """Return the command that failed and its last line: GlideinWMS's ReleaseManager prints Python lists."""
    match = re.search(r"Error running '(.*?)'\nStdout:(\[.*?\])\nStderr:(\[.*?\])\n", log, re.DOTALL)
    if match is None:
        return None
    last_line = _last_line(match[3]) or _last_line(match[2])
    stream = f"Stderr:{match[3]}" if _last_line(match[3]) else f"Stdout:{match[2]}"
    words = re.split(r"&&|;", match[1])[-1].split()
    program = words[0].rpartition("/")[2] if words else match[1]
    reason = f"{program}: {last_line[:240]}" if last_line else f"{program} failed without a word"
    return Cause(reason, stream[:300])


def _last_line(literal: str) -> str:
    try:
        lines = ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        return ""
    texts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in lines]
    return next((text.strip() for text in reversed(texts) if text.strip()), "")


def _traceback(log: str) -> Cause | None:
    start = log.rfind("Traceback (most recent call last):")
    if start < 0:
        return None
    for line in log[start:].splitlines()[1:]:
        if line and not line.startswith((" ", "\t")):
            return Cause(f"ReleaseManager stopped: {line.strip()[:300]}{_place(log, line)}", line)
    return None


def _syntax(log: str) -> Cause | None:
    """Return the mistake that kept Python from reading a program, which leaves no traceback."""
    lines = [line for line in log.splitlines() if line.startswith(_UNREADABLE)]
    return Cause(f"{lines[-1][:300]}{_place(log, lines[-1])}", lines[-1]) if lines else None


def _place(log: str, line: str) -> str:
    """Return in brackets the file and line of a mistake of syntax; empty for another exception."""
    places = _PLACE.findall(log, 0, log.rfind(line)) if line.startswith(_UNREADABLE) else []
    return f" ({places[-1][0].rpartition('/')[2]} line {places[-1][1]})" if places else ""


def _usage(log: str) -> Cause | None:
    match = re.search(r"^\S+\.py: error: (.+)$", log, re.MULTILINE)
    return Cause(f"ReleaseManager refuses its arguments: {match[1][:240]}", match[0]) if match else None


_CAUSE_FINDERS: tuple[Callable[[str], Cause | None], ...] = (
    _not_attempted,
    _build_requires,
    _unpackaged,
    _section,
    _rpm_error,
    _command,
    _traceback,
    _syntax,
    _usage,
    _skipped,
)
