"""One self-contained HTML file per run: outcome first, then failures, what was tested, timeline and all the rest.

The template escapes everything; nothing is fetched and nothing is executed
(the page forbids both itself), so that hostile output of a test stays text.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from itb.data import shipped
from itb.model import Case, InstalledPackage, Outcome, Token
from itb.report import self_reported, summary
from itb.report.facts import Facts, base_phase, busy_seconds, phases
from itb.report.timeline import draw
from itb.report.verdict import Verdict, sort_failures
from itb.util.files import write_atomically
from itb.util.text import clean, duration

SHOWN_FAILURES = 100  # failures shown with their evidence; the table of cases has all
KEPT_FILES = 60  # evidence files listed per host


@dataclass(frozen=True)
class Group:
    """Cases that are shown together; ``title`` is a scenario's name or empty."""

    title: str
    cases: Sequence[Case]


@dataclass(frozen=True)
class Phase:
    """A phase with its cases; ``seconds`` is wall time."""

    name: str
    seconds: float
    groups: Sequence[Group]
    counts: Counter[Outcome]

    @property
    def bad(self) -> bool:
        """Return whether something in it went wrong."""
        return bool(self.counts[Outcome.FAILED] or self.counts[Outcome.ERROR])


@dataclass(frozen=True)
class Role:
    """What a host holds: the candidate's packages, the others by origin, and collected evidence."""

    name: str
    total: int
    candidate: Sequence[InstalledPackage]
    origins: Sequence[tuple[str, Sequence[str]]]


def write(path: Path, facts: Facts, verdict: Verdict) -> None:
    """Write the report of a run."""
    page = _render("report.html.j2", facts.rundir.path, at=path.parent, **view(facts, verdict))
    write_atomically(path, page.encode("utf-8", "replace"))


def write_overview(path: Path, runs: Sequence[tuple[Facts, Verdict]]) -> None:
    """Write a page with a line per run that links to the runs' reports."""
    page = _render("overview.html.j2", path.parent, at=path.parent, runs=runs, candidate=summary.candidate)
    write_atomically(path, page.encode("utf-8", "replace"))


def view(facts: Facts, verdict: Verdict) -> dict[str, Any]:
    """Return the variables of the template by name."""
    return {
        "facts": facts,
        "verdict": verdict,
        "candidate": summary.candidate(facts),
        "failures": sort_failures(facts, verdict.exit_code)[:SHOWN_FAILURES],
        "more_failures": max(0, len(facts.bad) - SHOWN_FAILURES),
        "timeline": draw(facts),
        "self_reported": self_reported.summary_line(facts),
        "self_reported_cases": self_reported.cases(facts),
        "phases": group_phases(facts),
        "hosts": facts.testbed.hosts if facts.testbed else (),
        "images": group_images(facts),
        "roles": group_packages(facts),
        "evidence": evidence_files(facts.rundir.path),
        "token_life": token_life(facts.token, facts.state.started),
        "commands": summary.next_commands(facts, verdict),
        "reproduce": summary.reproduce(facts),
        "missing": missing(facts),
    }


def group_phases(facts: Facts) -> list[Phase]:
    """Return the cases by phase in order of their beginning, those of scenarios by scenario."""
    grouped = []
    for name in phases(facts.cases):
        cases = [case for case in facts.cases if base_phase(case) == name]
        groups: dict[str, list[Case]] = {}
        for case in cases:
            groups.setdefault(scenario_of(case, facts.state.scenarios), []).append(case)
        counts = Counter(case.outcome for case in cases)
        shown = [Group(title, members) for title, members in groups.items()]
        grouped.append(Phase(name, busy_seconds(cases), shown, counts))
    return grouped


def scenario_of(case: Case, scenarios: Sequence[str]) -> str:
    """Return the scenario a case belongs to, known from its phase, its log or its name; else empty."""
    _, _, rest = case.phase.partition(".")
    if rest:
        return rest
    parts = Path(case.log).parts
    if len(parts) == 3 and parts[0] == "results":
        return parts[1]
    for name in scenarios:
        if case.name.startswith((f"{name}:", f"{name}/", f"{name} ")):
            return name
    return ""


def group_images(facts: Facts) -> list[tuple[str, str, str]]:
    """Return the images hosts were made from as (roles, image, id)."""
    roles_of: dict[tuple[str, str], list[str]] = {}
    for host in facts.testbed.hosts if facts.testbed else ():
        roles_of.setdefault((host.image, host.image_id), []).append(host.role)
    return [(", ".join(roles), image, digest) for (image, digest), roles in roles_of.items()]


def short_name(case: Case, scenario: str) -> str:
    """Return a case's name without the name of the scenario it is shown under."""
    return case.name.removeprefix(f"{scenario}: ") if scenario else case.name


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


def utc(when: float) -> str:
    """Return a time as reports show it."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when))


def href(rundir: Path, log: str, at: Path) -> str:
    """Return the link from a page in folder ``at`` to a file inside the run directory; empty without the file."""
    path = rundir / log
    if not log or Path(log).is_absolute() or ".." in Path(log).parts or not path.is_file():
        return ""
    return "./" + quote(os.path.relpath(path, at))


def _render(template: str, base: Path, *, at: Path, **values: Any) -> str:
    folder = shipped.folder("reports")
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "utc": utc, "short_name": short_name}
    environment.globals |= {
        "href": lambda log: href(base, log, at),
        "link": lambda path: quote(os.path.relpath(path, at)),
        "marks": summary.MARKS,
        "Outcome": Outcome,
        # our own file, and CSS cannot be escaped as HTML is
        "css": Markup((folder / "report.css").read_text(encoding="utf-8")),
    }
    return environment.get_template(template).render(**values)
