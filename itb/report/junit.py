"""JUnit XML of a run: one suite per cell, valid against ``reports/junit.xsd`` whatever a test printed.

The library junit-xml makes the tree.  This module corrects what the library
leaves out or gets wrong: a time of zero, wall time of the suite, characters
XML cannot hold (its own filter runs after they became character references),
and a failure without a message, which it would count as passed.
"""

from __future__ import annotations

import socket
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from junit_xml import TestCase, TestSuite

from itb.errors import ExitCode
from itb.model import Case, CommitKind, Outcome, Phase
from itb.report import self_reported
from itb.report.facts import Facts
from itb.report.verdict import Kind, Verdict, judge
from itb.util.files import write_atomically
from itb.util.text import one_line

EVIDENCE_BUDGET = 1_000_000  # characters of evidence in one suite; beyond it only paths


def write(path: Path, runs: Iterable[Facts]) -> None:
    """Write one JUnit file with a suite per run."""
    root = ET.Element("testsuites", {"name": "itb"})
    for facts in runs:
        root.append(_suite(facts, judge(facts)))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", _seconds(sum(float(suite.get("time", "0")) for suite in root)))
    ET.indent(root, " ")
    write_atomically(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _suite(facts: Facts, verdict: Verdict) -> ET.Element:
    """Return the suite of a run."""
    used: Counter[str] = Counter()
    budget = EVIDENCE_BUDGET
    elements, self_reported_ids = [], {id(case) for case in self_reported.cases(facts)}
    for case in [*facts.cases, *_missing(facts, verdict)]:
        budget -= len(case.evidence)
        elements.append(_case(facts, case, used, evidence=budget >= 0))
        if id(case) in self_reported_ids:
            elements[-1].stdout = "\n".join(filter(None, [elements[-1].stdout, f"({self_reported.REMARK})"]))
    suite = TestSuite(
        one_line(f"{facts.state.product}.{facts.state.platform}"),
        elements,
        hostname=socket.gethostname(),
        timestamp=_stamp(facts.state.started),
        properties=properties(facts, verdict),
    )
    element: ET.Element = suite.build_xml_doc()
    element.attrib.pop("disabled", None)
    element.set("time", _seconds(facts.seconds))
    return element


def _missing(facts: Facts, verdict: Verdict) -> list[Case]:
    """Return a case for a run that did not go well although no case says so: never a silent pass."""
    if verdict.good or facts.bad:
        return []
    return [
        Case(
            phase=Phase.RUN,
            role="itb",
            name="the run came to its end",
            outcome=Outcome.SKIPPED if verdict.kind is Kind.NOTHING else Outcome.ERROR,
            message=one_line(f"{verdict.headline}. {verdict.reason}"),
            started=facts.state.started + facts.seconds,
            seconds=0,
            exit_code=verdict.exit_code or ExitCode.PASSED,
        )
    ]


def _case(facts: Facts, case: Case, used: Counter[str], *, evidence: bool) -> TestCase:
    """Return a case as junit-xml takes it; ``used`` counts the names there are so far."""
    classname = one_line(f"{facts.state.product}.{facts.state.platform}.{case.phase}.{case.role or 'itb'}")
    name = unique(case.name, classname, used)
    # a time of zero would be left out
    element = TestCase(name, classname, elapsed_sec=max(case.seconds, 1e-6), timestamp=_stamp(case.started))
    message = case.message or "no reason was given"
    body = _body(facts, case, evidence=evidence)
    code = ExitCode.known(case.exit_code)
    kind = code.label if code else ""
    if case.outcome is Outcome.FAILED:
        element.add_failure_info(message, body, kind or "failure")
    elif case.outcome is Outcome.ERROR:
        element.add_error_info(message, body, kind or "error")
    elif case.outcome is Outcome.SKIPPED:
        element.add_skipped_info(message)
    elif case.message:
        element.stdout = case.message
    return element


def unique(name: str, classname: str, used: Counter[str]) -> str:
    """Return a name no other case of the class has: the second ``x`` becomes ``x (2)``."""
    candidate, number = name, 1
    while used[f"{classname}\0{candidate}"]:
        number += 1
        candidate = f"{name} ({number})"
    used[f"{classname}\0{candidate}"] += 1
    return candidate


def _body(facts: Facts, case: Case, *, evidence: bool) -> str:
    """Return the text of a failure or an error: its evidence, and where the whole log is."""
    parts = [case.evidence.strip("\n")] if evidence else ["(left out: this report has evidence enough)"]
    if case.log:
        parts.append(f"full log: {facts.rundir.path / case.log}")
    return "\n\n".join(part for part in parts if part)


def properties(facts: Facts, verdict: Verdict) -> dict[str, str]:
    """Return the suite's properties: what was tested, on what, with what; only what is known."""
    state, known = facts.state, dict[str, str]()
    known |= {"run": facts.rundir.id, "rundir": str(facts.rundir.path), "product": state.product}
    known |= {"platform": state.platform, "reference": state.ref, "scenarios": " ".join(state.scenarios)}
    known |= {
        "verdict": verdict.kind,
        "exit_code": "" if verdict.exit_code is None else str(verdict.exit_code),
        "tool.version": state.tool_version,
    }
    known |= {
        "resumed": "; ".join(facts.resumed),
        "entered_by_hand": "; ".join(facts.entered),
        "not_reached": " ".join(verdict.not_reached),
        "own_word": self_reported.summary_line(facts),
        "platform.note": one_line(facts.notes.platform_note),
    }
    if variant := state.settings.get("variant"):
        known |= {"variant": " ".join(map(str, variant))}
    if commit := facts.commit:
        known |= {"commit": commit.id, "commit.tree": commit.tree, "commit.date": commit.date}
        known |= {"commit.subject": one_line(commit.subject, 200), "commit.describe": commit.describe}
        if previous := facts.previous:
            known |= {"upgraded_from": f"{previous.describe} {previous.id}".strip()}
        if commit.kind is CommitKind.PUBLISHED:
            known |= {"published": commit.source, "published.version": commit.describe}
        known |= {"source": commit.source, "version": commit.version, "rc": str(commit.rc or "")}
    if facts.build:
        known |= {f"rpm.{rpm.name}.{rpm.arch}": f"{rpm.nevra} sha256:{rpm.sha256}" for rpm in facts.build.rpms}
    if facts.repo:
        known |= {"repository": facts.repo.id, "repository.key": facts.repo.key_fingerprint}
        if facts.build and facts.build.published:
            known |= {"repository.url": facts.repo.url}
            known |= {"repository.signatures": "checked" if facts.repo.gpgcheck else "NOT CHECKED"}
    for host in facts.testbed.hosts if facts.testbed else ():
        known |= {f"image.{host.role}": f"{host.image} {host.image_id}"}
        known |= {f"privileges.{host.role}": host.privileges}
    for role, packages in (facts.installed.packages if facts.installed else {}).items():
        known |= {f"installed.{role}": " ".join(p.nevra for p in packages if p.candidate)}
        known |= {f"installed.{role}.count": str(len(packages))}
    if token := facts.token:
        known |= {
            "token.provider": token.provider,
            "token.issuer": token.issuer,
            "token.subject": token.subject,
        }
        known |= {"token.audience": " ".join(token.audience), "token.scopes": " ".join(token.scopes)}
        known |= {"token.expires": _stamp(token.expires), "token.jti": token.jti}
        known |= {"token.signature": "verified" if token.verified else "unverified"}
    return {one_line(name, 200): one_line(value, 50_000) for name, value in known.items() if value.strip()}


def _stamp(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.3f}"
