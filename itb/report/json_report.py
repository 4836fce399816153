"""Makes the JSON report of one run or several, which ``--json`` prints and ``verdict.json`` holds.

Its schema, ``reports/report.schema.json``, is made from the records of this
module; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter

from itb.errors import worst
from itb.model import Case, Commit, CommitKind, Outcome, Record, Trust
from itb.report import next_commands
from itb.report.junit import classname_of
from itb.report.quotes import locate_quotes
from itb.report.run_data import RunData, base_phase, busy_seconds, phases
from itb.report.verdict import Verdict, VerdictKind, sort_failures
from itb.util.files import write_atomically
from itb.version import JSON_FORMAT, VERSION


class JsonRecord(Record):
    """Base of the objects in a JSON report; the schema takes the descriptions below their fields."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class JsonCounts(JsonRecord):
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


class JsonPhase(JsonRecord):
    """A phase, in the order in which phases began; then those that were not reached."""

    name: str
    seconds: float
    """Wall time in which any of its cases ran."""
    counts: JsonCounts


class JsonCase(JsonRecord):
    """A test case, with the same names as in JUnit XML."""

    classname: str
    """product.platform.phase.role"""
    name: str
    """The same in every run of the product, platform and scenarios."""
    phase: str
    role: str
    outcome: Outcome
    reached: bool
    """False if the run did not reach it; its outcome is then skipped."""
    message: str
    """The cause, or what was observed, in one line."""
    log: str
    """The whole log, relative to the run's directory; empty if there is none."""
    started: float
    """Seconds since the epoch."""
    seconds: float
    exit_code: int
    """The exit code that the case alone would give the run."""
    tries: int
    """Number of failed tries before the one that counts."""


class JsonTry(JsonRecord):
    """A failed try before the one that counts."""

    outcome: Outcome
    message: str
    evidence: str
    log: str
    started: float
    seconds: float


class JsonQuote(JsonRecord):
    """A line that a message was read from."""

    file: str
    """Its log, relative to the run's directory; empty if only the evidence has it."""
    line: int
    """Its number from 1; 0 if it is not known."""
    text: str
    also: bool
    """Whether it is about other trouble than the message."""


class JsonFailure(JsonCase):
    """A case that failed or was an error, with its evidence."""

    sources: tuple[JsonQuote, ...]
    """Where the message was read from, the cause first."""
    evidence: str
    earlier_tries: tuple[JsonTry, ...]


class JsonCommit(JsonRecord):
    """The commit that was tested."""

    id: str
    """40 digits; empty for published packages."""
    tree: str
    kind: CommitKind
    """The kind of the reference."""
    describe: str
    """The output of git describe; of published packages, version and release."""
    date: str
    subject: str
    source: str
    """Its repository."""
    version: str
    rc: int
    """Number of the release candidate; 0 for none."""


class JsonCommand(JsonRecord):
    """A command that a person may want to type next."""

    title: str
    command: str
    why: str


class JsonRun(JsonRecord):
    """A run of one product on one platform with some scenarios."""

    run: str
    directory: str
    product: str
    platform: str
    reference: str
    """As it was asked for; empty for the product's default."""
    version: str
    """Of the candidate, as its packages have it; empty if it was not found."""
    commit: JsonCommit | None
    """Null if it was not found."""
    scenarios: tuple[str, ...]
    tool_version: str
    """The itb that made the run."""
    trust: Trust | None
    """How far it trusted the candidate; null in runs of older versions."""
    trust_by_reference: Trust | None
    """The level by the kind of its reference; another than its trust where the user raised or lowered that."""
    verdict: VerdictKind
    exit_code: int | None
    """Null while it goes on."""
    headline: str
    reason: str
    """The case that decided, and its message; empty if all went well."""
    blame: str
    """What the exit code says of the candidate; empty for some codes."""
    counts: JsonCounts
    started: float
    finished: float | None
    """Seconds since the epoch; null while it goes on or if its process died."""
    seconds: float
    kept: bool
    """Its hosts are still up."""
    resumed: tuple[str, ...]
    """When it was resumed, and which cases that repeated."""
    problems: tuple[str, ...]
    """Files and values of its directory that could not be read."""
    warnings: tuple[str, ...]
    """Why somebody else may have changed what was tested, or it the machine."""
    phases: tuple[JsonPhase, ...]
    phases_not_reached: tuple[str, ...]
    failed: tuple[JsonFailure, ...]
    """The cases that failed or were errors, the one that decided the verdict first."""
    cases: tuple[JsonCase, ...]
    """Every case, in order of start, then those that were not reached."""
    junit: str
    html: str
    reproduce: str
    """The command that tests the same again; empty if the run's product is not known."""
    next: tuple[JsonCommand, ...]


class JsonReport(JsonRecord):
    """Runs, and the verdict on all of them."""

    format: Literal[1]
    tool_version: str
    """The itb that wrote this."""
    verdict: VerdictKind
    """The worst verdict of the runs."""
    exit_code: int | None
    """The worst exit code; null while a run goes on."""
    runs: tuple[JsonRun, ...]
    junit: str
    """One file with all runs; of a single run its own."""
    html: str


class JsonError(JsonRecord):
    """The error that ended a command."""

    message: str
    hint: str
    """What to do next; may be empty."""
    exit_code: int


class JsonErrorReport(JsonRecord):
    """What ``--json`` prints if a command fails."""

    format: Literal[1]
    error: JsonError


def make(runs: Sequence[tuple[RunData, Verdict]], *, folder: Path | None = None) -> JsonReport:
    """Return the report of runs; ``folder`` holds their combined report, if there is one."""
    json_runs = tuple(_run(run_data, verdict) for run_data, verdict in runs)
    codes = [run.exit_code for run in json_runs if run.exit_code is not None]
    code = worst(codes) if len(codes) == len(json_runs) else None
    verdicts = [run.verdict for run in json_runs if run.exit_code == code] or [VerdictKind.RUNNING]
    return JsonReport(
        format=JSON_FORMAT,
        tool_version=VERSION,
        verdict=max(verdicts, key=[*VerdictKind].index),
        exit_code=code,
        runs=json_runs,
        junit=str(folder / "junit.xml") if folder else json_runs[0].junit,
        html=str(folder / "report.html") if folder else json_runs[0].html,
    )


def write(path: Path, report: JsonReport) -> None:
    """Write a report to a file."""
    write_atomically(path, report.model_dump_json(indent=1).encode() + b"\n")


def schema() -> dict[str, Any]:
    """Return the JSON schema of the report, and of what a command that fails prints instead."""
    reports: TypeAdapter[Any] = TypeAdapter(JsonReport | JsonErrorReport)
    title = f"itb report, format {JSON_FORMAT}"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **reports.json_schema(mode="serialization")}


def _run(run_data: RunData, verdict: Verdict) -> JsonRun:
    state, commit = run_data.state, run_data.commit
    failed = sort_failures(run_data, verdict.exit_code)
    return JsonRun(
        run=run_data.rundir.id,
        directory=str(run_data.rundir.path),
        product=state.product,
        platform=state.platform,
        reference=state.ref,
        version=_version(commit),
        commit=JsonCommit(**commit.model_dump(include=set(JsonCommit.model_fields))) if commit else None,
        scenarios=state.scenarios,
        tool_version=state.tool_version,
        trust=state.trust.level if state.trust else None,
        trust_by_reference=state.trust.reference if state.trust else None,
        verdict=verdict.kind,
        exit_code=verdict.exit_code,
        headline=verdict.headline,
        reason=verdict.reason,
        blame=verdict.blame,
        counts=_counts(run_data.cases, run_data.unreached_cases),
        started=state.started,
        finished=state.finished,
        seconds=run_data.seconds,
        kept=state.kept,
        resumed=run_data.resumption_notes,
        problems=run_data.problems,
        warnings=run_data.warnings,
        phases=_phases(run_data),
        phases_not_reached=verdict.phases_not_reached,
        failed=tuple(_failure(run_data, case) for case in failed),
        cases=tuple(
            JsonCase(**_case(run_data, case, reached=reached))
            for cases, reached in ((run_data.cases, True), (run_data.unreached_cases, False))
            for case in cases
        ),
        junit=str(run_data.rundir.junit),
        html=str(run_data.rundir.html),
        reproduce=next_commands.reproduce(run_data),
        next=tuple(
            JsonCommand(title=title, command=command, why=why)
            for title, command, why in next_commands.next_commands(run_data, verdict, anywhere=True)
        ),
    )


def _failure(run_data: RunData, case: Case) -> JsonFailure:
    return JsonFailure(
        **_case(run_data, case, reached=True),
        sources=tuple(JsonQuote(**dict(quote)) for quote in locate_quotes(run_data.rundir.path, case)),
        evidence=case.evidence,
        earlier_tries=tuple(JsonTry(**each.model_dump()) for each in case.tries),
    )


def _version(commit: Commit | None) -> str:
    if commit is None or (commit.kind is CommitKind.PUBLISHED and not commit.describe):  # not chosen yet
        return ""
    return f"{commit.version} rc{commit.rc}" if commit.rc else commit.version


def _case(run_data: RunData, case: Case, *, reached: bool) -> dict[str, Any]:
    return {
        "classname": classname_of(run_data, case),
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


def _phases(run_data: RunData) -> tuple[JsonPhase, ...]:
    json_phases = []
    for name in phases(run_data.all_cases):
        cases = [case for case in run_data.cases if base_phase(case) == name]
        unreached = [case for case in run_data.unreached_cases if base_phase(case) == name]
        json_phases.append(JsonPhase(name=name, seconds=busy_seconds(cases), counts=_counts(cases, unreached)))
    return tuple(json_phases)


def _counts(cases: Sequence[Case], unreached: Sequence[Case]) -> JsonCounts:
    count = {outcome: sum(case.outcome is outcome for case in cases) for outcome in Outcome}
    return JsonCounts(
        passed=count[Outcome.PASSED],
        failed=count[Outcome.FAILED],
        errors=count[Outcome.ERROR],
        skipped=count[Outcome.SKIPPED],
        not_reached=len(unreached),
    )
