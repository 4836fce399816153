"""JUnit XML of a run: one suite per cell, valid against ``reports/junit.xsd`` whatever a test printed.

What is valid there is so by the schema of Jenkins' xunit plugin, too.  The
library junit-xml makes the tree.  This module corrects what the library
leaves out or gets wrong: a time of zero, wall time of the suite, characters
XML cannot hold (its own filter runs after they became character references),
and a failure without a message, which it would count as passed.
"""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from junit_xml import TestCase, TestSuite

from itb.errors import ExitCode
from itb.model import Case, CommitKind, Outcome
from itb.report import self_reported
from itb.report.facts import Facts
from itb.report.passages import inside, located, place
from itb.report.verdict import Verdict, judge
from itb.util import when
from itb.util.files import write_atomically
from itb.util.text import one_line

EVIDENCE_BUDGET = 1_000_000  # characters of evidence in one suite; beyond it only paths
_LEFT_OUT = "(left out: this report has evidence enough)"


def write(path: Path, runs: Iterable[Facts]) -> None:
    """Write one JUnit file with a suite per run."""
    root = ET.Element("testsuites", {"name": "itb"})
    for facts in runs:
        root.append(_suite(facts, judge(facts)))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", _seconds(sum(float(suite.get("time", "0")) for suite in root)))
    ET.indent(root, " ")
    write_atomically(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _suite(facts: Facts, verdict: Verdict) -> ET.Element:
    """Return the suite of a run."""
    used: Counter[str] = Counter()
    budget = EVIDENCE_BUDGET
    test_cases, shown, self_reported_ids = [], [], {id(case) for case in self_reported.cases(facts)}
    for case in facts.all_cases:
        budget -= len(case.evidence) + sum(len(each.evidence) for each in case.tries)
        shown.append((case, budget >= 0))
        test_cases.append(_case(facts, case, used, evidence=budget >= 0))
        remark = f"({self_reported.REMARK})" if id(case) in self_reported_ids else ""
        lines = [test_cases[-1].stdout, remark, *_attachments(facts, case)]
        test_cases[-1].stdout = "\n".join(filter(None, lines))
    suite = TestSuite(
        one_line(f"{facts.state.product}.{facts.state.platform}"),
        test_cases,
        hostname=socket.gethostname(),
        timestamp=when.iso(facts.state.started),
        properties=properties(facts, verdict),
    )
    element: ET.Element = suite.build_xml_doc()
    element.attrib.pop("disabled", None)
    element.set("time", _seconds(facts.seconds))
    for test_case, (case, evidence) in zip(element.iter("testcase"), shown, strict=True):
        _add_tries(test_case, case, evidence=evidence)
    return element


def _case(facts: Facts, case: Case, used: Counter[str], *, evidence: bool) -> TestCase:
    """Return a case as junit-xml takes it; ``used`` counts the names there are so far."""
    classname = classname_of(facts, case)
    # a time of zero would be left out
    test_case = TestCase(unique(case.name, classname, used), classname, elapsed_sec=max(case.seconds, 1e-6))
    message = _inert(case.message) or "no reason was given"
    body = _body(facts, case, evidence=evidence)
    if case.outcome is Outcome.FAILED:
        test_case.add_failure_info(message, body, _type(case))
    elif case.outcome is Outcome.ERROR:
        test_case.add_error_info(message, body, _type(case))
    elif case.outcome is Outcome.SKIPPED:
        test_case.add_skipped_info(message)
    elif case.message:
        test_case.stdout = message
    return test_case


def classname_of(facts: Facts, case: Case) -> str:
    """Return what JUnit calls the class of a case: product, platform, phase and role."""
    return one_line(f"{facts.state.product}.{facts.state.platform}.{case.phase}.{case.role or 'itb'}")


def _type(case: Case) -> str:
    code = ExitCode.known(case.exit_code)
    return code.label if code else str(case.outcome)


def unique(name: str, classname: str, used: Counter[str]) -> str:
    """Return a name no other case of the class has.

    Names of one run differ; those that a script has chosen may become the
    same where characters that cannot be shown are left out.
    """
    candidate, number = name, 1
    while used[f"{classname}\0{candidate}"]:
        number += 1
        candidate = f"{name} ({number})"
    used[f"{classname}\0{candidate}"] += 1
    return candidate


def _body(facts: Facts, case: Case, *, evidence: bool) -> str:
    """Return the text of a failure or an error: its evidence, other trouble, and where the message is from.

    Logs are named by their paths in the run directory, with the line.
    """
    quotes = located(facts.rundir.path, case)
    also = [f"also: {quote.text}" for quote in quotes if quote.also]
    sources = dict.fromkeys(f"log: {place(quote)}" for quote in quotes if quote.file)
    log = [f"full log: {case.log}"] if case.log else []
    parts = [_inert(case.evidence.strip("\n")) if evidence else _LEFT_OUT]
    parts.append("\n".join(map(_inert, [*also, *sources, *log])))
    return "\n\n".join(part for part in parts if part)


def _add_tries(test_case: ET.Element, case: Case, *, evidence: bool) -> None:
    """Add the tries that did not go well before the one that counts, as surefire does and Jenkins reads them."""
    kind = "rerun" if case.is_bad else "flaky"
    tries = case.tries if case.outcome is not Outcome.SKIPPED else ()
    place = next((number for number, child in enumerate(test_case) if child.tag == "system-out"), len(test_case))
    for number, each in enumerate(tries):
        word = "Failure" if each.outcome is Outcome.FAILED else "Error"
        message = _inert(each.message) or "no reason was given"
        element = ET.Element(f"{kind}{word}", {"message": message, "type": str(each.outcome)})
        ET.SubElement(element, "stackTrace").text = _inert(each.evidence) if evidence else _LEFT_OUT
        test_case.insert(place + number, element)


def _attachments(facts: Facts, case: Case) -> list[str]:
    """Return the lines that make Jenkins attach the logs of a case that did not go well, that of the cause first.

    The format is https://plugins.jenkins.io/junit-attachments: an absolute path, on a line of its own.
    """
    files = [*(quote.file for quote in case.quotes), case.log] if case.is_bad else []
    paths = [inside(facts.rundir.path, file) for file in dict.fromkeys(files)]
    return [f"[[ATTACHMENT|{path}]]" for path in paths if path and not path.is_symlink()]


def _inert(text: str) -> str:
    """Return a text in which no line is an attachment: a candidate's words would have Jenkins read any file."""
    return text.replace("[[ATTACHMENT|", "[[ ATTACHMENT|")


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
        known |= {"token.expires": when.iso(token.expires), "token.jti": token.jti}
        known |= {"token.signature": "verified" if token.verified else "unverified"}
    return {one_line(name, 200): one_line(value, 50_000) for name, value in known.items() if value.strip()}


def _seconds(value: float) -> str:
    return f"{max(0.0, value):.3f}"
