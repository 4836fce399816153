"""What ``--json`` prints of runs, and ``verdict.json`` holds: one shape, whether of one run or of several.

The records are the schema: ``reports/report.schema.json`` is made from them,
and a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter

from itb.errors import worst
from itb.model import Case, Commit, CommitKind, Outcome, Record
from itb.report import commands
from itb.report.facts import Facts, base_phase, busy_seconds, phases
from itb.report.junit import classname_of
from itb.report.passages import located
from itb.report.verdict import Kind, Verdict, sort_failures
from itb.util.files import write_atomically
from itb.version import JSON_FORMAT, VERSION


class Entry(Record):
    """A part of the document; what its fields mean is written below them, and in the schema."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Counts(Entry):
    """Numbers of cases."""

    passed: int
    failed: int
    """The product is at fault."""
    errors: int
    """The testbed, the tool or an interruption is at fault."""
    skipped: int
    """Could not be tried, or need not be."""
    not_reached: int
    """Planned, and the run did not come to them."""


class PhaseEntry(Entry):
    """A phase, in the order in which phases began; then those that were not reached."""

    name: str
    seconds: float
    """Wall time in which something of it went on."""
    counts: Counts


class CaseEntry(Entry):
    """A test case as JUnit has it, too."""

    classname: str
    """product.platform.phase.role"""
    name: str
    """The same in every run of the product, platform and scenarios."""
    phase: str
    role: str
    outcome: Outcome
    reached: bool
    """False where the run did not come to it; it is skipped then."""
    message: str
    """The cause, or what was observed, in one line."""
    log: str
    """The whole log, relative to the run's directory; empty if there is none."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    exit_code: int
    """What the case alone would make of the run's exit code."""
    tries: int
    """How many tries of it did not go well before the one that counts."""


class TryEntry(Entry):
    """A try that did not go well before the one that counts."""

    outcome: Outcome
    message: str
    evidence: str
    log: str
    started: float
    seconds: float


class SourceEntry(Entry):
    """A line that a message was read from."""

    file: str
    """Its log, relative to the run's directory; empty if only the evidence has it."""
    line: int
    """Its number from 1; 0 if it is not known."""
    text: str
    also: bool
    """Whether it tells of other trouble than the message."""


class FailureEntry(CaseEntry):
    """A case that failed or was an error, with its evidence."""

    sources: tuple[SourceEntry, ...]
    """Where the message was read from, the cause first."""
    evidence: str
    earlier_tries: tuple[TryEntry, ...]


class CommitEntry(Entry):
    """What was tested."""

    id: str
    """40 digits; empty for published packages."""
    tree: str
    kind: CommitKind
    """What the reference was found to be."""
    describe: str
    """As git describe says it; of published packages, version and release."""
    date: str
    subject: str
    source: str
    """Repository it is of."""
    version: str
    rc: int
    """Number of the release candidate; 0 for none."""


class CommandEntry(Entry):
    """A command that a person may want to type now."""

    title: str
    command: str
    why: str


class RunEntry(Entry):
    """A run: product x platform x scenarios."""

    run: str
    directory: str
    product: str
    platform: str
    reference: str
    """As it was asked for; empty for the product's default."""
    version: str
    """Of the candidate, as its packages have it; empty if it was not found."""
    commit: CommitEntry | None
    """Null if it was not found."""
    scenarios: tuple[str, ...]
    tool_version: str
    """The itb that made the run."""
    verdict: Kind
    exit_code: int | None
    """Null while it goes on."""
    headline: str
    reason: str
    """The case that decided, and its message; empty if all went well."""
    blame: str
    """Whom the exit code speaks of."""
    counts: Counts
    started: float
    finished: float | None
    """Seconds since the epoch; null while it goes on or if its process died."""
    seconds: float
    kept: bool
    """Its hosts are still up."""
    resumed: tuple[str, ...]
    """When it was taken up again, and what that repeated."""
    problems: tuple[str, ...]
    """What of its directory could not be read."""
    phases: tuple[PhaseEntry, ...]
    phases_not_reached: tuple[str, ...]
    failed: tuple[FailureEntry, ...]
    """The cases that failed or were errors, that which decided the verdict first."""
    cases: tuple[CaseEntry, ...]
    """Every case, in order of start, then those that were not reached."""
    junit: str
    html: str
    reproduce: str
    """The command that tests the same again; empty where nothing says of what product it was."""
    next: tuple[CommandEntry, ...]


class ReportDocument(Entry):
    """Runs and what they come to together."""

    format: Literal[1]
    tool_version: str
    """The itb that wrote this."""
    verdict: Kind
    """The worst of the runs'."""
    exit_code: int | None
    """The worst; null while one goes on."""
    runs: tuple[RunEntry, ...]
    junit: str
    """Of all runs in one file: a run's own if there is one."""
    html: str


class ErrorEntry(Entry):
    """What ended a command."""

    message: str
    hint: str
    """What to do next; empty if nothing can be said."""
    exit_code: int


class ErrorDocument(Entry):
    """What ``--json`` prints of a command that came to no result."""

    format: Literal[1]
    error: ErrorEntry


def document(runs: Sequence[tuple[Facts, Verdict]], *, folder: Path | None = None) -> ReportDocument:
    """Return the document of runs; ``folder`` is where the reports of all of them are, if there are several."""
    entries = tuple(_run(facts, verdict) for facts, verdict in runs)
    codes = [entry.exit_code for entry in entries if entry.exit_code is not None]
    code = worst(codes) if len(codes) == len(entries) else None
    deciding = [entry.verdict for entry in entries if entry.exit_code == code] or [Kind.RUNNING]
    return ReportDocument(
        format=JSON_FORMAT,
        tool_version=VERSION,
        verdict=max(deciding, key=[*Kind].index),
        exit_code=code,
        runs=entries,
        junit=str(folder / "junit.xml") if folder else entries[0].junit,
        html=str(folder / "report.html") if folder else entries[0].html,
    )


def write(path: Path, report: ReportDocument) -> None:
    """Write a document to a file."""
    write_atomically(path, report.model_dump_json(indent=1).encode() + b"\n")


def schema() -> dict[str, Any]:
    """Return the JSON schema of the document, and of the one there is instead if a command fails."""
    documents: TypeAdapter[Any] = TypeAdapter(ReportDocument | ErrorDocument)
    title = f"itb report, format {JSON_FORMAT}"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **documents.json_schema(mode="serialization")}


def _run(facts: Facts, verdict: Verdict) -> RunEntry:
    state, commit = facts.state, facts.commit
    failed = sort_failures(facts, verdict.exit_code)
    return RunEntry(
        run=facts.rundir.id,
        directory=str(facts.rundir.path),
        product=state.product,
        platform=state.platform,
        reference=state.ref,
        version=_version(commit),
        commit=CommitEntry(**commit.model_dump(include=set(CommitEntry.model_fields))) if commit else None,
        scenarios=state.scenarios,
        tool_version=state.tool_version,
        verdict=verdict.kind,
        exit_code=verdict.exit_code,
        headline=verdict.headline,
        reason=verdict.reason,
        blame=verdict.blame,
        counts=_counts(facts.cases, facts.unreached),
        started=state.started,
        finished=state.finished,
        seconds=facts.seconds,
        kept=state.kept,
        resumed=facts.resumed,
        problems=facts.problems,
        phases=_phases(facts),
        phases_not_reached=verdict.not_reached,
        failed=tuple(
            FailureEntry(
                **_case(facts, case, reached=True),
                sources=tuple(SourceEntry(**dict(quote)) for quote in located(facts.rundir.path, case)),
                evidence=case.evidence,
                earlier_tries=tuple(TryEntry(**each.model_dump()) for each in case.tries),
            )
            for case in failed
        ),
        cases=tuple(
            CaseEntry(**_case(facts, case, reached=reached))
            for cases, reached in ((facts.cases, True), (facts.unreached, False))
            for case in cases
        ),
        junit=str(facts.rundir.junit),
        html=str(facts.rundir.html),
        reproduce=commands.reproduce(facts),
        next=tuple(
            CommandEntry(title=title, command=command, why=why)
            for title, command, why in commands.next_commands(facts, verdict, anywhere=True)
        ),
    )


def _version(commit: Commit | None) -> str:
    if commit is None or (commit.kind is CommitKind.PUBLISHED and not commit.describe):  # not chosen yet
        return ""
    return f"{commit.version} rc{commit.rc}" if commit.rc else commit.version


def _case(facts: Facts, case: Case, *, reached: bool) -> dict[str, Any]:
    return {
        "classname": classname_of(facts, case),
        "name": case.name,
        "phase": case.phase,
        "role": case.role,
        "outcome": case.outcome,
        "reached": reached,
        "message": case.message,
        "log": case.log,
        "started": case.started,
        "seconds": case.seconds,
        "exit_code": case.exit_code,
        "tries": len(case.tries),
    }


def _phases(facts: Facts) -> tuple[PhaseEntry, ...]:
    entries = []
    for name in phases(facts.all_cases):
        cases = [case for case in facts.cases if base_phase(case) == name]
        unreached = [case for case in facts.unreached if base_phase(case) == name]
        entries.append(PhaseEntry(name=name, seconds=busy_seconds(cases), counts=_counts(cases, unreached)))
    return tuple(entries)


def _counts(cases: Sequence[Case], unreached: Sequence[Case]) -> Counts:
    count = {outcome: sum(case.outcome is outcome for case in cases) for outcome in Outcome}
    return Counts(
        passed=count[Outcome.PASSED],
        failed=count[Outcome.FAILED],
        errors=count[Outcome.ERROR],
        skipped=count[Outcome.SKIPPED],
        not_reached=len(unreached),
    )
