"""Writes runs as JUnit XML, a suite per run, valid against ``reports/junit.xsd`` whatever a test printed.

The XML is valid against the schema of Jenkins' xunit plugin, too.  The
library junit-xml makes the tree.  This module corrects what the library
leaves out or gets wrong: a time of zero, wall time of the suite, characters
XML cannot hold (its own filter runs after they became character references),
and a failure without a message, which it would count as passed.
"""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from junit_xml import TestCase, TestSuite

from itb.errors import ExitCode
from itb.model import Case, CommitKind, Outcome, Token
from itb.report import self_reported
from itb.report.quotes import file_and_line, locate_quotes, path_inside
from itb.report.run_data import RunData
from itb.report.verdict import Verdict, judge
from itb.util import when
from itb.util.files import write_atomically
from itb.util.text import one_line

EVIDENCE_BUDGET = 1_000_000  # characters of evidence in one suite; cases beyond it have paths only
_LEFT_OUT = "(left out: this report has enough evidence)"


def write(path: Path, runs: Sequence[RunData]) -> None:
    """Write one JUnit file with a suite per run."""
    root = ET.Element("testsuites", {"name": "itb"})
    for name, run_data in zip(_suite_names(runs), runs, strict=True):
        root.append(_suite(name, run_data, judge(run_data)))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", _seconds(sum(float(suite.get("time", "0")) for suite in root)))
    ET.indent(root, " ")
    write_atomically(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _suite_names(runs: Sequence[RunData]) -> list[str]:
    """Return the names of suites: product and platform, and the run's where several runs have these in common."""
    names = [one_line(f"{run_data.state.product}.{run_data.state.platform}") for run_data in runs]
    return [
        name if names.count(name) == 1 else f"{name}.{run_data.rundir.id}"
        for name, run_data in zip(names, runs, strict=True)
    ]


def _suite(name: str, run_data: RunData, verdict: Verdict) -> ET.Element:
    """Return the suite of a run."""
    used: Counter[str] = Counter()
    budget = EVIDENCE_BUDGET
    test_cases, cases, self_reported_ids = [], [], {id(case) for case in self_reported.cases(run_data)}
    for case in run_data.all_cases:
        budget -= len(case.evidence) + sum(len(each.evidence) for each in case.tries)
        cases.append((case, budget >= 0))
        test_cases.append(_case(run_data, case, used, evidence=budget >= 0))
        remark = f"({self_reported.REMARK})" if id(case) in self_reported_ids else ""
        lines = [test_cases[-1].stdout, remark, *_attachments(run_data, case)]
        test_cases[-1].stdout = "\n".join(filter(None, lines))
    suite = TestSuite(
        name,
        test_cases,
        hostname=socket.gethostname(),
        timestamp=when.iso(run_data.state.started),
        properties=properties(run_data, verdict),
    )
    element: ET.Element = suite.build_xml_doc()
    element.attrib.pop("disabled", None)
    element.set("time", _seconds(run_data.seconds))
    for test_case, (case, evidence) in zip(element.iter("testcase"), cases, strict=True):
        _add_tries(test_case, case, evidence=evidence)
    return element


def _case(run_data: RunData, case: Case, used: Counter[str], *, evidence: bool) -> TestCase:
    """Return a case as junit-xml takes it; ``used`` counts the names that earlier cases have."""
    classname = classname_of(run_data, case)
    # a time of zero would be left out
    test_case = TestCase(unique(case.name, classname, used), classname, elapsed_sec=max(case.seconds, 1e-6))
    message = _inert(case.message) or "no reason was given"
    body = _body(run_data, case, evidence=evidence)
    if case.outcome is Outcome.FAILED:
        test_case.add_failure_info(message, body, _type(case))
    elif case.outcome is Outcome.ERROR:
        test_case.add_error_info(message, body, _type(case))
    elif case.outcome is Outcome.SKIPPED:
        test_case.add_skipped_info(message)
    elif case.message:
        test_case.stdout = message
    return test_case


def classname_of(run_data: RunData, case: Case) -> str:
    """Return the JUnit class name of a case: product, platform, phase and role."""
    return one_line(f"{run_data.state.product}.{run_data.state.platform}.{case.phase}.{case.role or 'itb'}")


def _type(case: Case) -> str:
    code = ExitCode.find(case.exit_code)
    return code.label if code else str(case.outcome)


def unique(name: str, classname: str, used: Counter[str]) -> str:
    """Return a name that no other case of the class has.

    Two names that a script has chosen may become equal where characters that
    cannot be shown are left out.
    """
    candidate, number = name, 1
    while used[f"{classname}\0{candidate}"]:
        number += 1
        candidate = f"{name} ({number})"
    used[f"{classname}\0{candidate}"] += 1
    return candidate


def _body(run_data: RunData, case: Case, *, evidence: bool) -> str:
    """Return the text of a failure or an error: its evidence, other trouble, and the logs of its message.

    Logs are named by their paths in the run directory, with the line.
    """
    quotes = locate_quotes(run_data.rundir.path, case)
    also = [f"also: {quote.text}" for quote in quotes if quote.also]
    sources = dict.fromkeys(f"log: {file_and_line(quote)}" for quote in quotes if quote.file)
    log = [f"full log: {case.log}"] if case.log else []
    parts = [_inert(case.evidence.strip("\n")) if evidence else _LEFT_OUT]
    parts.append("\n".join(map(_inert, [*also, *sources, *log])))
    return "\n\n".join(part for part in parts if part)


def _add_tries(test_case: ET.Element, case: Case, *, evidence: bool) -> None:
    """Add the failed tries before the one that counts, in the format of surefire."""
    kind = "rerun" if case.is_bad else "flaky"
    tries = case.tries if case.outcome is not Outcome.SKIPPED else ()
    tags = [child.tag for child in test_case]
    position = tags.index("system-out") if "system-out" in tags else len(tags)
    for number, each in enumerate(tries):
        suffix = "Failure" if each.outcome is Outcome.FAILED else "Error"
        message = _inert(each.message) or "no reason was given"
        element = ET.Element(f"{kind}{suffix}", {"message": message, "type": str(each.outcome)})
        ET.SubElement(element, "stackTrace").text = _inert(each.evidence) if evidence else _LEFT_OUT
        test_case.insert(position + number, element)


def _attachments(run_data: RunData, case: Case) -> list[str]:
    """Return the lines that make Jenkins attach the logs of a failed case, that of the cause first.

    The format is https://plugins.jenkins.io/junit-attachments: an absolute path, on a line of its own.
    """
    files = [*(quote.file for quote in case.quotes), case.log] if case.is_bad else []
    paths = [path_inside(run_data.rundir.path, file) for file in dict.fromkeys(files)]
    return [f"[[ATTACHMENT|{path}]]" for path in paths if path and not path.is_symlink()]


def _inert(text: str) -> str:
    """Return a text without attachment lines, by which a candidate could have Jenkins read any file."""
    return text.replace("[[ATTACHMENT|", "[[ ATTACHMENT|")


def properties(run_data: RunData, verdict: Verdict) -> dict[str, str]:
    """Return the suite's properties: candidate, platform, hosts, token; what is not known is left out."""
    state, values = run_data.state, dict[str, str]()
    values |= {"run": run_data.rundir.id, "rundir": str(run_data.rundir.path), "product": state.product}
    values |= {"platform": state.platform, "reference": state.ref, "scenarios": " ".join(state.scenarios)}
    values |= {
        "verdict": verdict.kind,
        "exit_code": "" if verdict.exit_code is None else str(verdict.exit_code),
        "tool.version": state.tool_version,
    }
    values |= {
        "resumed": "; ".join(run_data.resumption_notes),
        "entered_by_hand": "; ".join(run_data.hand_entry_notes),
        "warnings": "; ".join(run_data.warnings),
        "not_reached": " ".join(verdict.phases_not_reached),
        "own_word": self_reported.summary_line(run_data),
        "platform.note": one_line(run_data.notes.platform_note),
    }
    if state.trust:
        values |= {"trust": state.trust.level, "trust.reference": state.trust.reference}
    if variant := state.settings.get("variant"):
        values |= {"variant": " ".join(map(str, variant))}
    if commit := run_data.commit:
        values |= {"commit": commit.id, "commit.tree": commit.tree, "commit.date": commit.date}
        values |= {"commit.subject": one_line(commit.subject, 200), "commit.describe": commit.describe}
        if previous_commit := run_data.previous_commit:
            values |= {"upgraded_from": f"{previous_commit.describe} {previous_commit.id}".strip()}
        if commit.kind is CommitKind.PUBLISHED:
            values |= {"published": commit.source, "published.version": commit.describe}
        values |= {"source": commit.source, "version": commit.version, "rc": str(commit.rc or "")}
    if run_data.build:
        values |= {f"rpm.{rpm.name}.{rpm.arch}": f"{rpm.nevra} sha256:{rpm.sha256}" for rpm in run_data.build.rpms}
    if run_data.repo:
        values |= {"repository": run_data.repo.id, "repository.key": run_data.repo.key_fingerprint}
        if run_data.build and run_data.build.published:
            values |= {"repository.url": run_data.repo.url}
            values |= {"repository.signatures": "checked" if run_data.repo.gpgcheck else "NOT CHECKED"}
    if run_data.isolation:
        values |= {"network": run_data.isolation.problem or run_data.isolation.description}
    for host in run_data.testbed_hosts.hosts if run_data.testbed_hosts else ():
        values |= {f"image.{host.role}": f"{host.image} {host.image_id}"}
        values |= {f"privileges.{host.role}": host.privileges}
    for role, packages in (run_data.installed.packages if run_data.installed else {}).items():
        values |= {f"installed.{role}": " ".join(p.nevra for p in packages if p.candidate)}
        values |= {f"installed.{role}.count": str(len(packages))}
    if run_data.token:
        values |= _token_properties(run_data.token)
    return {one_line(name, 200): one_line(value, 50_000) for name, value in values.items() if value.strip()}


def _token_properties(token: Token) -> dict[str, str]:
    return {
        "token.provider": token.provider,
        "token.issuer": token.issuer,
        "token.subject": token.subject,
        "token.audience": " ".join(token.audience),
        "token.scopes": " ".join(token.scopes),
        "token.expires": when.iso(token.expires),
        "token.jti": token.jti,
        "token.signature": "verified" if token.verified else "unverified",
    }


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.3f}"
