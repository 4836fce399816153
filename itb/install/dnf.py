"""Candidate packages onto hosts: dnf, where each package came from, its files, its configuration."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path

from itb.containers.host import Host
from itb.errors import InstallError, TestbedError
from itb.model import Build, InstalledPackage
from itb.process import retry
from itb.process.request import Request
from itb.process.result import Completed
from itb.rundir.journal import Trial

DNF = ("dnf", "--assumeyes", "--setopt=install_weak_deps=False", "--setopt=keepcache=True")

# The testbed's as what passes (passing.DNF) is, but no second try cures them: itb itself signs and serves.
_OURS = ("GPG check FAILED", "GPG signature verification error", "Failed to download metadata for repo")
_NICE = "warning: Unable to reset nice value: Permission denied"  # rpm's, where itb runs niced; ends no line

_SCRIPTLET = re.compile(
    r"(?:warning|error): %(\w+)\(([^)]+)\) scriptlet failed, (exit status \d+|signal \d+)"
)
_DNF_SAYS = ("Running scriptlet", "Installing", "Preparing", "Upgrading", "Verifying", "Cleanup")
_PROBLEM = re.compile(r"^\s*(?:Problem(?: \d+)?: (.*)|- (.*))$")
_DECISIVE = (
    "nothing provides",
    "conflicts with file from",
    "conflicts between attempted installs",
    "No match for argument",
    "Unable to find a match",
    "conflicting requests",
    "is not signed",
    "does not verify",
    "Public key for",
    "GPG check FAILED",
    "No space left",
    "needs .* more space",
    "filtered out by exclude",
)


def dnf_install(
    host: Host,
    packages: Sequence[str],
    *,
    log: Path,
    timeout: float,
    trial: Trial | None = None,
    repositories: Sequence[str] = (),
) -> None:
    """Install packages; a repository's passing trouble is tried again, anything else is the verdict.

    ``repositories`` are used besides those the host has enabled.
    Raises InstallError with dnf's reason, also when a scriptlet failed
    (dnf exits 0 then), TestbedError when the repository stayed unreachable.
    """
    argv = [*DNF, *(f"--enablerepo={name}" for name in repositories), "install", "--", *packages]
    if trial:
        trial.note(f"dnf install {' '.join(packages)}")
    request = Request(argv, timeout=timeout, check=False, log=log)
    done = host.engine.runner.again(lambda: host.run(request), _passing)
    if done.timed_out:
        raise InstallError(
            f"dnf install {' '.join(packages)}: no end within {timeout:.0f} s", evidence=done.output, log=log
        )
    failed = failed_scriptlet(done.output)
    if failed:
        raise InstallError(failed, evidence=done.output, log=log)
    if not done.ok:
        reason = dnf_reason(done.output) or done.reason
        ours = _passing(done) or any(mark in done.output for mark in _OURS)
        kind_of_error = TestbedError if ours else InstallError
        raise kind_of_error(reason, evidence=done.output, log=log)


def _passing(done: Completed) -> str:
    """Return the repository's trouble that ended dnf, if another try may cure it."""
    transient = not done.ok and not done.timed_out and bool(retry.DNF.search(done.output))
    return (dnf_reason(done.output) or done.reason) if transient else ""


def failed_scriptlet(output: str) -> str:
    """Say which scriptlet failed and what it said last; the empty string if none did."""
    lines = output.replace(_NICE, "").splitlines()
    for number, line in enumerate(lines):
        found = _SCRIPTLET.search(line)
        if found:
            said = [text.strip() for text in lines[max(0, number - 3) : number]]
            words = [text for text in said if text and not text.startswith(_DNF_SAYS)]
            kind, package, status = found.groups()
            return f"%{kind} scriptlet of {package} failed, {status}" + (f": {words[-1]}" if words else "")
    return ""


def dnf_reason(output: str) -> str:
    """Return the line of dnf's output that says why, or the empty string."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in _DECISIVE:
        for line in lines:
            if re.search(mark, line):
                return line.removeprefix("Error: ").removeprefix("- ").strip()
    for line in lines:
        found = _PROBLEM.match(line)
        if found and found.group(1):
            return found.group(1)
    errors = [line for line in lines if line.startswith("Error")]
    return errors[-1].removeprefix("Error: ") if errors else ""


def installed_packages(host: Host, globs: Sequence[str]) -> tuple[InstalledPackage, ...]:
    """Return every package of a host with the repository it came from, sorted by name.

    ``candidate`` marks those whose name matches one of the product's globs.
    """
    listing = host.run(Request(
        ["dnf", "--quiet", "--cacheonly", "repoquery", "--installed",
         "--queryformat", "%{name} %{epoch}:%{version}-%{release}.%{arch} %{from_repo}\n"],
        about="list installed packages",
    ))
    found = []
    for line in listing.stdout.splitlines():
        name, _, rest = line.strip().partition(" ")
        evra, _, origin = rest.partition(" ")
        if not evra:
            continue
        nevra = f"{name}-{evra.removeprefix('0:')}"
        ours = any(fnmatch.fnmatch(name, glob) for glob in globs)
        found.append(InstalledPackage(nevra=nevra, origin=origin.strip() or "image", candidate=ours))
    return tuple(sorted(found, key=lambda item: item.nevra))


def check_origin(packages: Sequence[InstalledPackage], build: Build, repo_id: str, wanted: Sequence[str]) -> str:
    """Check that each product package is the candidate's, from its repository; return what was seen.

    Raises InstallError naming each one that is not.
    """
    offered = {rpm.nevra for rpm in build.rpms}
    ours = [item for item in packages if item.candidate]
    wrong = [
        f"{item.nevra} (from {item.origin})"
        for item in ours
        if item.nevra not in offered or item.origin != repo_id
    ]
    if wrong:
        raise InstallError(
            f"not the candidate's: {', '.join(wrong)}", evidence="offered:\n" + "\n".join(sorted(offered))
        )
    names = {item.nevra.rsplit("-", 2)[0] for item in packages}
    absent = [name for name in wanted if name not in names]
    if absent:
        raise InstallError(f"asked for but not installed: {', '.join(absent)}")
    return f"{len(ours)} packages: {', '.join(item.nevra for item in ours)}"


def check_headers(host: Host, packages: Sequence[InstalledPackage], build: Build) -> None:
    """Compare what is installed with the packages of the repository, header by header.

    A header holds the checksum of its payload.  Only where the headers of a
    build are known; InstallError naming each package that is another one.
    """
    headers = {rpm.nevra: rpm.header for rpm in build.rpms if rpm.header}
    names = [item.nevra for item in packages if item.candidate and item.nevra in headers]
    if not names:
        return
    query = ["rpm", "--query", "--queryformat", "%{SHA256HEADER}\n", *names]
    seen = host.run(Request(query, about="compare headers"))
    found = dict(zip(names, seen.stdout.split(), strict=True))
    wrong = [name for name in names if found[name] != headers[name]]
    if wrong:
        raise InstallError(
            f"installed is not what {build.published} holds: {', '.join(wrong)}",
            evidence="\n".join(f"{name}\n  there {headers[name]}\n  here  {found[name]}" for name in wrong),
        )


def verify_files(host: Host, packages: Sequence[InstalledPackage]) -> None:
    """``rpm -V`` of the product's packages; InstallError naming what deviates."""
    names = [item.nevra for item in packages if item.candidate]
    if not names:
        return
    seen = host.run(Request(["rpm", "--verify", *names], check=False))
    lines = [line.strip() for line in seen.output.splitlines() if line.strip()]
    if lines or not seen.ok:
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        raise InstallError(
            f"rpm -V: {explain_verify(lines[0]) if lines else seen.reason}{more}", evidence=seen.output
        )


def explain_verify(line: str) -> str:
    """Say in words what a line of ``rpm -V`` means (flags: rpm(8), "Verify options")."""
    meanings = {
        "S": "size", "M": "mode", "5": "content", "D": "device", "L": "link target",
        "U": "owner", "G": "group", "T": "time", "P": "capabilities",
    }  # fmt: skip
    flags, _, rest = line.partition(" ")
    words = [word for letter, word in meanings.items() if letter in flags and len(flags) == 9]
    return f"{rest.split()[-1]}: {', '.join(words)} differ ({line})" if words and rest.split() else line
