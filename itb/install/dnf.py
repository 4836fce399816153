"""Installing packages on hosts with dnf, and checking the origin, the header and the files of each."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.containers.host import Host
from itb.errors import InstallError, LogLine, TestbedError
from itb.model import Build, InstalledPackage
from itb.process import downloads
from itb.process.request import Request
from itb.process.result import Completed
from itb.rundir.journal import RunningCase
from itb.util import proxies
from itb.util.text import count, lines_of

DNF = ("dnf", "--assumeyes", "--setopt=install_weak_deps=False", "--setopt=keepcache=True")

# Faults of the testbed, since itb signs and serves; unlike those of downloads.DNF, another try does not cure them.
_TESTBED_FAULTS = re.compile(
    "GPG check FAILED|GPG signature verification error|Failed to download metadata for repo"
    # nginx may not read a file, or has none: that of the candidate's repository says the same of each package
    rf"|Status code: [45]\d\d for https://[\w.-]+{re.escape(proxies.TESTBED)}/"
)
# Printed by rpm where itb runs niced, without an end of line.
_NICE_WARNING = "warning: Unable to reset nice value: Permission denied"

# At the end of its line: before it may stand what the script has printed, in these words, too.  To be matched, not
# searched: that would try each place of the line to its end.
_SCRIPTLET = re.compile(
    r".*(?:warning|error): %(\w+)\(([^()\s]+)\) scriptlet failed, (exit status \d+|signal \d+)"
)
_BY_DNF = re.compile(r"^\s*Error in (\w+) scriptlet in rpm package (\S+)\s*$")  # one in Lua has no more than that
_TRANSACTION = re.compile(r"^Running transaction\s*$", re.MULTILINE)
# From here on all is downloaded and its signatures are checked.
_TESTING = re.compile(r"^Running transaction (?:check|test)\s*$", re.MULTILINE)
# From here on dnf repeats what packages say of themselves, which may be the words of any error.
_OF_PACKAGES = re.compile(
    r"^[ \t]*(?:Problem(?: \d+)?: |- nothing provides |Error: Unable to find a match|No match for argument: )",
    re.MULTILINE,
)
_PROGRESS_LINES = ("Running scriptlet", "Installing", "Preparing", "Upgrading", "Verifying", "Cleanup")
_PROGRESS_OF = re.compile(r"\s*(?:Running scriptlet|Installing|Upgrading|Reinstalling)\s*: (\S+)")
_NO_OWNER = re.compile(r"warning: (user|group) (\S+) does not exist - using root\s*$")
_PROBLEM_LINE = re.compile(r"^\s*(?:Problem(?: \d+)?: (.*)|- (.*))$")
_REASON_MARKS = (  # "*" is anything
    "nothing provides",
    "conflicts with file from",
    "conflicts between attempted installs",
    "obsoletes * provided by",
    "conflicts with * provided by",
    "none of the providers can be installed",
    "cannot install both",
    "requires *, but ",
    "No match for argument",
    "Unable to find a match",
    "conflicting requests",
    "is not signed",
    "does not verify",
    "Public key for",
    "GPG check FAILED",
    "No space left",
    "needs * more space",
    "filtered out by exclude",
    "Status code: * for",
)


def dnf_install(
    host: Host,
    packages: Sequence[str],
    *,
    log: Path,
    timeout: float,
    case: RunningCase | None = None,
    repositories: Sequence[str] = (),
    own: Sequence[str] = (),
    has_candidate: bool = False,
) -> None:
    """Install packages; try again after an error of a repository that may pass, but after no other error.

    ``repositories`` are used in addition to those that the host has enabled;
    ``own`` are globs of the product's packages; a host that ``has_candidate``
    already may have another dnf by now, which prints what it wants.  Raises InstallError with
    dnf's reason, also for a failed scriptlet or for files of the product
    whose owner does not exist, after which dnf exits with 0; TestbedError if
    a repository cannot be reached.
    """
    argv = [*DNF, *(f"--enablerepo={name}" for name in repositories), "install", "--", *packages]
    if case:
        case.note(f"dnf install {' '.join(packages)}")
    request = Request(argv, env=proxies.variables_for_candidate(), timeout=timeout, check=False, log=log)
    completed = host.engine.runner.retry(lambda: host.run(request), _transient_error)
    if completed.timed_out:
        raise completed.error(InstallError, completed.reason)
    if scriptlet := failed_scriptlet(completed.output) or missing_owner(completed.output, own):
        raise completed.error(InstallError, scriptlet.message, quoted=scriptlet.line)
    if not completed.ok:
        reason = dnf_reason(completed.output) or completed.reason
        names_fault = _TESTBED_FAULTS.search(_text_about_repositories(completed))
        is_testbed_fault = (_transient_error(completed) or names_fault) and not _has_begun(completed)
        error = completed.error(TestbedError if is_testbed_fault else InstallError, reason, quoted=reason)
        error.apart_from_candidate = not (has_candidate or _has_begun(completed))
        raise error


def _transient_error(completed: Completed) -> str:
    """Return the error of a repository that ended dnf, if another try may cure it, or the empty string."""
    if completed.ok or completed.timed_out or _has_begun(completed):
        return ""
    is_transient = bool(downloads.DNF.search(_text_about_repositories(completed)))
    return (dnf_reason(completed.output) or completed.reason) if is_transient else ""


def _text_about_repositories(completed: Completed) -> str:
    """Return what dnf printed of repositories and downloads, without what it repeats from packages.

    A path in which files conflict, or a requirement that nothing provides, may read as a repository's error.
    """
    if _TESTING.search(completed.stdout) or _has_begun(completed):
        return ""
    return "\n".join(_OF_PACKAGES.split(stream, maxsplit=1)[0] for stream in (completed.stdout, completed.stderr))


def _has_begun(completed: Completed) -> bool:
    """Return whether rpm's transaction began: all that is downloaded was there and checked.

    From then on scriptlets may print what a mirror's failure looks like, and end dnf.
    """
    return bool(_TRANSACTION.search(completed.stdout))


@dataclass(frozen=True)
class FailedScriptlet:
    """A scriptlet that failed: a message with its name and last output, and the line of dnf's output to quote."""

    message: str
    line: str


def failed_scriptlet(output: str) -> FailedScriptlet | None:
    """Return the first scriptlet that failed, or None."""
    lines = output.replace(_NICE_WARNING, "").splitlines()
    for number, line in enumerate(lines):
        match = _SCRIPTLET.match(line)
        if match:
            before = [text.strip() for text in lines[max(0, number - 3) : number]]
            own_lines = [text for text in before if text and not text.startswith(_PROGRESS_LINES)]
            kind, package, status = match.groups()
            last_output = f": {own_lines[-1]}" if own_lines else ""
            message = f"%{kind} scriptlet of {package} failed, {status}{last_output}"
            return FailedScriptlet(message, own_lines[-1] if own_lines else match[0])
    failed = next(filter(None, map(_BY_DNF.match, lines)), None)
    return FailedScriptlet(f"{failed[1]} scriptlet of {failed[2]} failed", failed[0]) if failed else None


def missing_owner(output: str, own: Sequence[str]) -> FailedScriptlet | None:
    """Return that an owner of files of packages (globs) does not exist, and why; None if all of them do."""
    package, said = "", ""
    for line in output.replace(_NICE_WARNING, "").splitlines():
        if progress := _PROGRESS_OF.match(line):
            if progress[1] != package:
                package, said = progress[1], ""
        elif missing := _NO_OWNER.match(line):
            if any(fnmatch.fnmatch(package, glob) for glob in own):
                message = f"{missing[1]} {missing[2]} does not exist, and root has its files of {package}"
                return FailedScriptlet(f"{message}: {said}" if said else message, said or line.strip())
        elif line.strip():
            said = line.strip()
    return None


def dnf_reason(output: str) -> str:
    """Return the line of dnf's output that says why it failed, or the empty string."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in _REASON_MARKS:
        for line in lines:
            if _has_mark(line, mark):
                return re.sub(r"^(?:Error: |- |\[(?:MIRROR|FAILED)\] )", "", line).strip()
    for line in lines:
        match = _PROBLEM_LINE.match(line)
        if match and match.group(1):
            return match.group(1)
    errors = [line for line in lines if line.startswith("Error")]
    return errors[-1].removeprefix("Error: ") if errors else ""


def _has_mark(line: str, mark: str) -> bool:
    """Return whether a line has the parts of a mark, one after the other."""
    place = 0
    for part in mark.split("*"):
        place = line.find(part, place) + len(part)
        if place < len(part):
            return False
    return True


def installed_packages(host: Host, globs: Sequence[str]) -> tuple[InstalledPackage, ...]:
    """Return every package of a host with the repository it came from, sorted by name.

    ``candidate`` marks those whose name matches one of the product's globs.
    """
    listing = host.run(Request(
        ["dnf", "--quiet", "--cacheonly", "repoquery", "--installed",
         "--queryformat", "%{name} %{epoch}:%{version}-%{release}.%{arch} %{from_repo}\n"],
        about="list installed packages",
    ))
    packages = []
    for line in lines_of(listing.stdout):
        name, _, rest = line.strip().partition(" ")
        evra, _, origin = rest.partition(" ")
        if not evra:
            continue
        nevra = f"{name}-{evra.removeprefix('0:')}"
        is_candidate = any(fnmatch.fnmatch(name, glob) for glob in globs)
        packages.append(InstalledPackage(nevra=nevra, origin=origin.strip() or "image", candidate=is_candidate))
    return tuple(sorted(packages, key=lambda package: package.nevra))


def check_origin(packages: Sequence[InstalledPackage], build: Build, repo_id: str, required: Sequence[str]) -> str:
    """Check that each product package is the candidate's, from its repository; return a summary for the report.

    ``required`` are the names of packages that must be installed.  Raises
    InstallError naming each package that is not the candidate's or missing.
    """
    candidate_nevras = {rpm.nevra for rpm in build.rpms}
    candidates = [package for package in packages if package.candidate]
    wrong = [
        f"{package.nevra} (from {package.origin})"
        for package in candidates
        if package.nevra not in candidate_nevras or package.origin != repo_id
    ]
    if wrong:
        raise InstallError(
            f"not the candidate's: {', '.join(wrong)}", evidence="offered:\n" + "\n".join(sorted(candidate_nevras))
        )
    names = {package.nevra.rsplit("-", 2)[0] for package in packages}
    absent = [name for name in required if name not in names]
    if absent:
        raise InstallError(f"asked for but not installed: {', '.join(absent)}")
    return f"{count(len(candidates), 'package')}: {', '.join(package.nevra for package in candidates)}"


def check_headers(host: Host, packages: Sequence[InstalledPackage], build: Build) -> None:
    """Compare the headers of the installed packages with those of the repository's packages.

    A header holds the checksum of its payload.  Packages of a build whose
    headers are not known are not compared.  Raises InstallError naming each
    package that differs.
    """
    headers = {rpm.nevra: rpm.header for rpm in build.rpms if rpm.header}
    names = [package.nevra for package in packages if package.candidate and package.nevra in headers]
    if not names:
        return
    query = ["rpm", "--query", "--queryformat", "%{SHA256HEADER}\n", *names]
    completed = host.run(Request(query, about="compare headers"))
    installed = dict(zip(names, completed.stdout.split(), strict=True))
    wrong = [name for name in names if installed[name] != headers[name]]
    if wrong:
        raise InstallError(
            f"installed is not what {build.published} holds: {', '.join(wrong)}",
            evidence="\n".join(f"{name}\n  there {headers[name]}\n  here  {installed[name]}" for name in wrong),
            quotes=[LogLine(wrong[0])],
        )


_CONFIG_FILE = re.compile(r"\S{9} +c /")  # rpm(8), "Verify options": flags, then the attribute of the file


def verify_files(
    host: Host, packages: Sequence[InstalledPackage], *, configured: bool = False, log: Path | None = None
) -> None:
    """Verify the product's packages with ``rpm -V``; raise InstallError naming the first deviating file.

    On a host that is already ``configured``, configuration files may differ.
    """
    names = [package.nevra for package in packages if package.candidate]
    if not names:
        return
    completed = host.run(Request(["rpm", "--verify", *names], check=False, log=log))
    lines = [line.strip() for line in completed.output.splitlines() if line.strip()]
    if configured:
        deviations = [line for line in lines if not _CONFIG_FILE.match(line)]
        if lines and not deviations:
            return
        lines = deviations
    if lines or not completed.ok:
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        deviation = explain_verify(lines[0]) if lines else completed.reason
        raise completed.error(InstallError, f"{deviation}{more}", quoted=lines[0] if lines else "")


def explain_verify(line: str) -> str:
    """Return the meaning of a line of ``rpm -V`` (flags: rpm(8), "Verify options")."""
    meanings = {
        "S": "size", "M": "mode", "5": "content", "D": "device", "L": "link target",
        "U": "owner", "G": "group", "T": "time", "P": "capabilities",
    }  # fmt: skip
    flags, _, rest = line.partition(" ")
    attributes = [name for letter, name in meanings.items() if letter in flags and len(flags) == 9]
    return f"{rest.split()[-1]}: {', '.join(attributes)} differ ({flags})" if attributes and rest.split() else line
