"""Writes the HTML report of a run: its verdict first, then its cases, what was tested and the timeline.

Logs are too long for that one file: the lines it links to are in pages beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote as url_quote

from itb.model import HostInfo, InstalledPackage, Quote, Token
from itb.report import next_commands, page_cases, self_reported, summary, text_pages
from itb.report.case_list import failure_sentence
from itb.report.case_reasons import group_by_reason
from itb.report.page_cases import PageCase
from itb.report.quotes import path_inside
from itb.report.run_data import RunData
from itb.report.template import render
from itb.report.timeline import draw
from itb.report.verdict import Verdict, sort_failures
from itb.util.files import write_atomically
from itb.util.text import clean, duration
from itb.util.when import utc

KEPT_FILES = 60  # evidence files listed per host
Evidence = tuple[str, list[str], int]  # a role, its files in the run directory, the number of those not listed
LOCK = "lock.yaml"  # has a page of its own: browsers offer to save a YAML file


@dataclass(frozen=True)
class HostPackages:
    """The packages of a role's host: those of the candidate, and the NEVRAs of the others by origin."""

    role: str
    total: int
    candidate: Sequence[InstalledPackage]
    origins: Sequence[tuple[str, Sequence[str]]]


def write(path: Path, run_data: RunData, verdict: Verdict) -> None:
    """Write the report of a run to a file, and the pages of logs that it links to into the run directory."""
    cases = page_cases.page_cases(run_data)
    evidence = evidence_files(run_data.rundir.path)
    pages = text_pages.write(run_data.rundir.path, _lines_by_file(cases, evidence))
    links = _Links(run_data.rundir.path, path.parent, pages)
    page = render("report.html.j2", links=links, **view(run_data, verdict, cases))
    write_atomically(path, page.encode("utf-8", "replace"))


def write_overview(path: Path, runs: Sequence[tuple[RunData, Verdict]]) -> None:
    """Write a page with a line for each run, which links to its report."""
    page = render(
        "overview.html.j2",
        runs=runs,
        candidate=summary.candidate,
        link=lambda target: url_quote(os.path.relpath(target, path.parent)),
    )
    write_atomically(path, page.encode("utf-8", "replace"))


def _lines_by_file(cases: Iterable[PageCase], evidence: Iterable[Evidence]) -> dict[str, list[int]]:
    """Return the files that get a page, each with the numbers of the lines that the report links to."""
    lines: dict[str, list[int]] = {LOCK: []}
    shown = [file for _, files, _ in evidence for file in files]
    for page_case in cases:
        shown += [page_case.case.log, *(quote.file for quote in page_case.quotes)]
        for quote in page_case.quotes:
            if quote.line:
                lines.setdefault(quote.file, []).append(quote.line)
    for file in shown:
        if not text_pages.is_plain(file):
            lines.setdefault(file, [])
    return lines


def href(rundir: Path, file: str, folder: Path) -> str:
    """Return the link from a page in a folder to a file of the run directory; empty if there is no such file."""
    return f"./{url_quote(os.path.relpath(rundir / file, folder))}" if path_inside(rundir, file) else ""


@dataclass(frozen=True)
class _Links:
    """Makes the links of a report in ``folder``; ``pages`` are the pages of logs by the file that they show."""

    rundir: Path
    folder: Path
    pages: Mapping[str, str]

    def file(self, file: str) -> str:
        """Return the link to a file, or to its page if browsers may not take it for text; else empty."""
        shown = file if text_pages.is_plain(file) else self.pages.get(file, "")
        return href(self.rundir, shown, self.folder)

    def page(self, file: str) -> str:
        """Return the link to the page of a file; to the file itself if it has no page."""
        return href(self.rundir, self.pages[file], self.folder) if file in self.pages else self.file(file)

    def line(self, quote: Quote) -> str:
        """Return the link to a quoted line on the page of its log; to the log if it has no page."""
        has_page = quote.file in self.pages and quote.line
        return f"{self.page(quote.file)}#L{quote.line}" if has_page else self.file(quote.file)


def view(run_data: RunData, verdict: Verdict, cases: Sequence[PageCase]) -> dict[str, Any]:
    """Return the variables of the template."""
    page_case_of = {id(page_case.case): page_case for page_case in cases}
    return {
        "run_data": run_data,
        "verdict": verdict,
        "candidate": summary.candidate(run_data),
        "bad_cases": [page_case_of[id(case)] for case in sort_failures(run_data, verdict.exit_code)],
        "failure_sentence": failure_sentence,
        "link_text": link_text,
        "phases": page_cases.group_by_phase(run_data, cases, verdict.phases_not_reached),
        "short_name": page_cases.short_name,
        "statuses": dict.fromkeys(page_case.status for page_case in cases),
        "case_roles": sorted({page_case.case.role for page_case in cases if page_case.case.role}),
        "case_reasons": group_by_reason(run_data.cases),
        "timeline": draw(run_data),
        "self_reported": self_reported.summary_line(run_data),
        "hosts": run_data.testbed_hosts.hosts if run_data.testbed_hosts else (),
        "privileges": group_privileges(run_data.testbed_hosts.hosts if run_data.testbed_hosts else ()),
        "images": group_images(run_data),
        "host_packages": group_packages(run_data),
        "evidence_files": evidence_files(run_data.rundir.path),
        "token_lifetime": token_lifetime(run_data.token, run_data.state.started),
        "next_commands": next_commands.next_commands(run_data, verdict, anywhere=True),
        "reproduce": next_commands.reproduce(run_data),
        "missing": missing_data(run_data),
        "lock": LOCK,
    }


def link_text(quote: Quote) -> str:
    """Return the text of the link to a quote: ``hosts/factory/journal.txt, line 12``."""
    return f"{quote.file}, line {quote.line}" if quote.line else quote.file


def group_privileges(hosts: Iterable[HostInfo]) -> list[tuple[str, str]]:
    """Return the privileges of containers as (roles, privileges), equal privileges once."""
    roles_of: dict[str, list[str]] = {}
    for host in hosts:
        if host.privileges:
            roles_of.setdefault(host.privileges, []).append(host.role)
    return [(", ".join(roles), privileges) for privileges, roles in roles_of.items()]


def group_images(run_data: RunData) -> list[tuple[str, str, str]]:
    """Return the images of the hosts as (roles, image, id)."""
    roles_of: dict[tuple[str, str], list[str]] = {}
    for host in run_data.testbed_hosts.hosts if run_data.testbed_hosts else ():
        roles_of.setdefault((host.image, host.image_id), []).append(host.role)
    return [(", ".join(roles), image, digest) for (image, digest), roles in roles_of.items()]


def group_packages(run_data: RunData) -> list[HostPackages]:
    """Return the packages of each host, the candidate's apart from the others."""
    hosts = []
    for role, packages in (run_data.installed.packages if run_data.installed else {}).items():
        origins: dict[str, list[str]] = {}
        for package in packages:
            if not package.candidate:
                origins.setdefault(package.origin or "unknown origin", []).append(package.nevra)
        ordered = sorted(origins.items(), key=lambda origin: -len(origin[1]))
        candidate = [package for package in packages if package.candidate]
        others = [(name, sorted(nevras)) for name, nevras in ordered]
        hosts.append(HostPackages(role, len(packages), candidate, others))
    return hosts


def evidence_files(rundir: Path) -> list[Evidence]:
    """Return for each role its logs and collected files (in the run directory) and how many are not listed."""
    files: dict[str, list[str]] = {}
    for top in ("setup", "hosts"):
        for folder in sorted((rundir / top).glob("*/")):
            names = sorted(str(path.relative_to(rundir)) for path in folder.rglob("*") if path.is_file())
            files.setdefault(folder.name, []).extend(names)
    return [
        (clean(role), [clean(name) for name in names[:KEPT_FILES]], max(0, len(names) - KEPT_FILES))
        for role, names in sorted(files.items())
        if names
    ]


def token_lifetime(token: Token | None, started: float) -> str:
    """Return when a token expires, how long after the run's start that is, and its whole lifetime."""
    if token is None:
        return ""
    whole, left = token.expires - token.issued, token.expires - started
    rest = f"{duration(left)} after the run began" if left > 0 else "before the run began"
    return f"{utc(token.expires)}, {rest}; {duration(whole)} in all"


def missing_data(run_data: RunData) -> list[str]:
    """Return what this report lacks: files that could not be read, and values that the run has not saved."""
    absent = {
        "commit": run_data.commit is None and "the reference was not resolved to a commit",
        "build": run_data.build is None and "no RPMs are on record",
        "repo": run_data.repo is None and "no repository was served",
        "testbed": run_data.testbed_hosts is None and "no hosts are on record",
        "installed": run_data.installed is None and "no package lists are on record",
        "token": run_data.token is None and "no token is on record",
    }
    return [*run_data.problems, *(reason for reason in absent.values() if reason)]
