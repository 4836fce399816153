"""One self-contained HTML file per run: outcome first, then its cases, what was tested, timeline and all the rest.

What is too long for it, and what a browser would not show, is beside it in
pages of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from itb.model import HostInfo, InstalledPackage, Quote, Token
from itb.report import commands, entries, pages, self_reported, summary
from itb.report.cases import sentence
from itb.report.entries import Entry
from itb.report.facts import Facts
from itb.report.notable import notable
from itb.report.passages import inside
from itb.report.template import render
from itb.report.timeline import draw
from itb.report.verdict import Verdict, sort_failures
from itb.util.files import write_atomically
from itb.util.text import clean, duration
from itb.util.when import utc

KEPT_FILES = 60  # evidence files listed per host
LOCK = "lock.yaml"  # which browsers offer to save


@dataclass(frozen=True)
class Role:
    """What a host holds: the candidate's packages, the others by origin, and collected evidence."""

    name: str
    total: int
    candidate: Sequence[InstalledPackage]
    origins: Sequence[tuple[str, Sequence[str]]]


def write(path: Path, facts: Facts, verdict: Verdict) -> None:
    """Write the report of a run to a file, and pages that it links to into the run directory."""
    shown = entries.entries(facts)
    written = pages.write(facts.rundir.path, _lines_by_file(shown))
    links = _Links(facts.rundir.path, path.parent, written)
    page = render("report.html.j2", links=links, **view(facts, verdict, shown))
    write_atomically(path, page.encode("utf-8", "replace"))


def write_overview(path: Path, runs: Sequence[tuple[Facts, Verdict]]) -> None:
    """Write a page with a line per run that links to the runs' reports."""
    page = render(
        "overview.html.j2",
        runs=runs,
        candidate=summary.candidate,
        link=lambda target: quote(os.path.relpath(target, path.parent)),
    )
    write_atomically(path, page.encode("utf-8", "replace"))


def _lines_by_file(shown: Iterable[Entry]) -> dict[str, list[int]]:
    """Return the files that a report has pages of, with the lines that it links to."""
    lines: dict[str, list[int]] = {LOCK: []}
    for entry in shown:
        for place in entry.quotes:
            if place.line:
                lines.setdefault(place.file, []).append(place.line)
    return lines


def href(rundir: Path, file: str, at: Path) -> str:
    """Return the link from a page in folder ``at`` to a file inside the run directory; empty without the file."""
    return f"./{quote(os.path.relpath(rundir / file, at))}" if inside(rundir, file) else ""


@dataclass(frozen=True)
class _Links:
    """Links of a report in folder ``at``; ``written`` are pages by the file that they show."""

    rundir: Path
    at: Path
    written: Mapping[str, str]

    def file(self, file: str) -> str:
        """Return the link to a file; empty without the file."""
        return href(self.rundir, file, self.at)

    def page(self, file: str) -> str:
        """Return the link to the page of a file or, without one, to the file."""
        return self.file(self.written.get(file, file))

    def line(self, place: Quote) -> str:
        """Return the link to a line of a log: on its page, or else to the log."""
        has_page = place.file in self.written and place.line
        return f"{self.page(place.file)}#L{place.line}" if has_page else self.file(place.file)


def view(facts: Facts, verdict: Verdict, shown: Sequence[Entry]) -> dict[str, Any]:
    """Return what the template shows."""
    entry_of = {id(entry.case): entry for entry in shown}
    return {
        "facts": facts,
        "verdict": verdict,
        "candidate": summary.candidate(facts),
        "bad": [entry_of[id(case)] for case in sort_failures(facts, verdict.exit_code)],
        "sentence": sentence,
        "place": clean_place,
        "phases": entries.by_phase(facts, shown, verdict.not_reached),
        "short_name": entries.short_name,
        "statuses": dict.fromkeys(entry.status for entry in shown),
        "case_roles": sorted({entry.case.role for entry in shown if entry.case.role}),
        "notable": notable(facts.cases),
        "timeline": draw(facts),
        "self_reported": self_reported.summary_line(facts),
        "hosts": facts.testbed.hosts if facts.testbed else (),
        "privileges_of": group_privileges(facts.testbed.hosts if facts.testbed else ()),
        "images": group_images(facts),
        "roles": group_packages(facts),
        "evidence": evidence_files(facts.rundir.path),
        "token_life": token_life(facts.token, facts.state.started),
        "commands": commands.next_commands(facts, verdict, anywhere=True),
        "reproduce": commands.reproduce(facts),
        "missing": missing(facts),
        "lock": LOCK,
    }


def clean_place(place: Quote) -> str:
    """Return where a quote is in words: ``hosts/factory/journal.txt, line 12``."""
    return f"{place.file}, line {place.line}" if place.line else place.file


def group_privileges(hosts: Iterable[HostInfo]) -> list[tuple[str, str]]:
    """Return what containers may do as (roles, privileges): each kind of privileges once."""
    roles_of: dict[str, list[str]] = {}
    for host in hosts:
        if host.privileges:
            roles_of.setdefault(host.privileges, []).append(host.role)
    return [(", ".join(roles), privileges) for privileges, roles in roles_of.items()]


def group_images(facts: Facts) -> list[tuple[str, str, str]]:
    """Return the images hosts were made from as (roles, image, id)."""
    roles_of: dict[tuple[str, str], list[str]] = {}
    for host in facts.testbed.hosts if facts.testbed else ():
        roles_of.setdefault((host.image, host.image_id), []).append(host.role)
    return [(", ".join(roles), image, digest) for (image, digest), roles in roles_of.items()]


def group_packages(facts: Facts) -> list[Role]:
    """Return the packages of each host, the candidate's apart."""
    roles = []
    for role, packages in (facts.installed.packages if facts.installed else {}).items():
        origins: dict[str, list[str]] = {}
        for package in packages:
            if not package.candidate:
                origins.setdefault(package.origin or "unknown origin", []).append(package.nevra)
        ordered = sorted(origins.items(), key=lambda origin: -len(origin[1]))
        candidate = [package for package in packages if package.candidate]
        roles.append(Role(role, len(packages), candidate, [(name, sorted(nevras)) for name, nevras in ordered]))
    return roles


def evidence_files(rundir: Path) -> list[tuple[str, list[str], int]]:
    """Return, per role, the collected files (relative to the run directory) and how many more there are."""
    folders = []
    for folder in sorted((rundir / "hosts").glob("*/")):
        files = sorted(str(path.relative_to(rundir)) for path in folder.rglob("*") if path.is_file())
        if files:
            shown = [clean(name) for name in files[:KEPT_FILES]]
            folders.append((clean(folder.name), shown, max(0, len(files) - KEPT_FILES)))
    return folders


def token_life(token: Token | None, started: float) -> str:
    """Return how long a token was good for, and from the run's start on."""
    if token is None:
        return ""
    whole, left = token.expires - token.issued, token.expires - started
    rest = f"{duration(left)} after the run began" if left > 0 else "before the run began"
    return f"{utc(token.expires)}, {rest}; {duration(whole)} in all"


def missing(facts: Facts) -> list[str]:
    """Return in words the facts that this report lacks."""
    absent = {
        "commit": facts.commit is None and "the reference was not resolved to a commit",
        "build": facts.build is None and "no RPMs are on record",
        "repo": facts.repo is None and "no repository was served",
        "testbed": facts.testbed is None and "no hosts are on record",
        "installed": facts.installed is None and "no package lists are on record",
        "token": facts.token is None and "no token is on record",
    }
    return [*facts.problems, *(reason for reason in absent.values() if reason)]
