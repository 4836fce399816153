"""Reads the log of a build: how far it is, and in one line why it failed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

STILL_RUNNING = "itb: still running: "  # build_ws/workspace/supervise.py writes it

_RPM_ERROR = re.compile(r"^(?:rpmbuild: )?error: (.+)$", re.MULTILINE)
# The build root of rpm 4.20, and that of older versions.
_BUILDROOT = re.compile(r"^/\S*/BUILD/[^/]+/BUILDROOT(?=/)|^/\S*/BUILDROOT/[^/]+(?=/)")
# Lines of a section's script that do not give the reason of its failure.
_NOISE = re.compile(
    r"\++ |Executing\(|RPM build (?:errors|warnings)|\s*$|error: Bad exit|warning: "
    r"|make(?:\[\d+\])?: (?:\*\*\*|Entering|Leaving)"
)
_FIRST_ERROR = re.compile(r":\d+(?::\d+)?: (?:fatal )?error: |^FAILED \S+ - ")  # of a compiler, of pytest
_SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")  # of no use without their place
_PLACE = re.compile(r'^[ \t]+File "([^"\n]+)", line (\d+)$', re.MULTILINE)
_SPEC_LINE = re.compile(r"^(line \d+): ")
_MILESTONES = (
    (re.compile(r"Executing\((%\w+)\)"), "rpmbuild {}"),
    (re.compile(r"Processing files: (\S+)"), "packaging {}"),
    (re.compile(r"\* Executing (\S+) \*"), "{}"),
    (re.compile(r"Wrote: \S*/([^/\s]+)$"), "wrote {}"),
)


@dataclass(frozen=True)
class BuildFailure:
    """The reason why a build failed, and the line of its log that the reason was read from."""

    reason: str
    line: str


def milestone(line: str) -> str:
    """Return the milestone that a line of a build's log reports; empty if it reports none."""
    for pattern, form in _MILESTONES:
        if match := pattern.search(line):
            return form.format(match[1])
    return ""


def find_failure(log: str) -> BuildFailure:
    """Return why a build failed, from its whole output.

    Specific reasons come before general ones: rpmbuild repeats its errors,
    and a ReleaseManager repeats rpmbuild's.
    """
    for finder in _FAILURE_FINDERS:
        if failure := finder(log):
            return BuildFailure(" ".join(failure.reason.split()), failure.line)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return BuildFailure(lines[-1][:300], lines[-1]) if lines else BuildFailure("it printed nothing", "")


def running_at_limit(log: str) -> list[str]:
    """Return the processes that ran at the time limit, oldest first: "COMMAND LINE (for N s)"."""
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


def _build_requires(log: str) -> BuildFailure | None:
    heading = "error: Failed build dependencies:"
    missing = _listed(log, heading, r"\s+(\S.*) is needed by \S+")
    return BuildFailure(f"missing BuildRequires: {_join(missing)}", heading) if missing else None


def _unpackaged(log: str) -> BuildFailure | None:
    heading = "Installed (but unpackaged) file(s) found:"
    files = _listed(log, heading, r"\s+(/.*)")
    return BuildFailure(f"{heading} {_join(files)}", f"error: {heading}") if files else None


def _section(log: str) -> BuildFailure | None:
    """Return the script of the spec that failed, with its first error or else its last line."""
    match = re.search(r"error: Bad exit status from \S+ \((%\w+)\)", log)
    if match is None:
        return None
    begin = max(0, log.rfind(f"Executing({match[1]})", 0, match.start()))
    output = [line.strip() for line in log[begin : match.start()].splitlines() if not _NOISE.match(line)]
    # The first error is the cause of those after it.
    line = next((line for line in output if _FIRST_ERROR.search(line)), output[-1] if output else "")
    reason = f"{match[1]} of the spec failed{f': {line[:240]}' if line else ''}"
    return BuildFailure(reason, line or match[0])


def _rpm_error(log: str) -> BuildFailure | None:
    """Return rpm's first error, which causes the later ones; of missing files return all."""
    errors = list(dict.fromkeys(item.strip() for item in _RPM_ERROR.findall(log)))
    absent = [item for item in errors if re.match(r"(?:File|Directory) not found: ", item)]
    if absent:
        paths = [_BUILDROOT.sub("", item.split(": ", 1)[1]) for item in absent]
        return BuildFailure(f"in %files but not installed: {_join(paths)}", f"error: {absent[0]}")
    # rpm 4.20 prints this also for a %patch in a comment, and goes on.
    errors = [item for item in errors if not item.startswith("No patch number")] or errors
    if not errors:
        return None
    # rpm does not say that the line is the spec's.
    reason = _SPEC_LINE.sub(r"\1 of the spec: ", errors[0])[:300]
    return BuildFailure(reason, f"error: {errors[0]}")


def _not_attempted(log: str) -> BuildFailure | None:
    """Return why a ReleaseManager skipped the RPMs; it says so when it starts, and ends with status 0."""
    for message, meaning in (
        (
            "RPMs will not be build for this platform",
            "it does not know the operating system of the build workspace",
        ),
        ("'rpmbuild' not found", "rpmbuild is not in the build workspace"),
        ("Skipping RPM build as requested", "it was told to skip them"),
    ):
        if message in log:
            return BuildFailure(f"ReleaseManager skipped the RPMs: {meaning} ({message!r})", message)
    return None


def _skipped(log: str) -> BuildFailure | None:
    for line in log.splitlines():
        words = line.split() if "SKIPPED" in line and not line[:1].isspace() else []
        if len(words) == 2 and "RPM" in words[0] and words[1] == "SKIPPED":
            return BuildFailure(f"ReleaseManager skipped its task {words[0]} without a reason", line)
    return None


def _command(log: str) -> BuildFailure | None:
    """Return the command that failed and its last line; GlideinWMS's ReleaseManager prints its output as lists."""
    # Not by one pattern: whose lazy parts take hours on a log that has the words, but not in this order.
    _, _, rest = log.partition("Error running '")
    command, _, rest = rest.partition("'\nStdout:[")
    stdout, _, rest = rest.partition("]\nStderr:[")
    stderr, end, _ = rest.partition("]\n")
    if not end:
        return None
    stdout, stderr = f"[{stdout}]", f"[{stderr}]"
    last_line = _last_line(stderr) or _last_line(stdout)
    stream = f"Stderr:{stderr}" if _last_line(stderr) else f"Stdout:{stdout}"
    argv = re.split(r"&&|;", command)[-1].split()
    program = argv[0].rpartition("/")[2] if argv else command
    reason = f"{program}: {last_line[:240]}" if last_line else f"{program} failed, no output"
    return BuildFailure(reason, stream[:300])


def _last_line(literal: str) -> str:
    try:
        lines = ast.literal_eval(literal)
        texts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in lines]
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # nested too deep, numbers too long
        return ""
    return next((text.strip() for text in reversed(texts) if text.strip()), "")


def _traceback(log: str) -> BuildFailure | None:
    start = log.rfind("Traceback (most recent call last):")
    if start < 0:
        return None
    for line in log[start:].splitlines()[1:]:
        if line and not line.startswith((" ", "\t")):
            return BuildFailure(f"ReleaseManager stopped: {line.strip()[:300]}{_place(log, line)}", line)
    return None


def _syntax(log: str) -> BuildFailure | None:
    """Return the syntax error of a program that Python could not read; it leaves no traceback."""
    lines = [line for line in log.splitlines() if line.startswith(_SYNTAX_ERRORS)]
    return BuildFailure(f"{lines[-1][:300]}{_place(log, lines[-1])}", lines[-1]) if lines else None


def _place(log: str, line: str) -> str:
    """Return the file and line of a syntax error in brackets; empty for another exception."""
    places = _PLACE.findall(log, 0, log.rfind(line)) if line.startswith(_SYNTAX_ERRORS) else []
    return f" ({places[-1][0].rpartition('/')[2]} line {places[-1][1]})" if places else ""


def _usage(log: str) -> BuildFailure | None:
    match = re.search(r"^\S+\.py: error: (.+)$", log, re.MULTILINE)
    return BuildFailure(f"ReleaseManager refuses its arguments: {match[1][:240]}", match[0]) if match else None


_FAILURE_FINDERS: tuple[Callable[[str], BuildFailure | None], ...] = (
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
