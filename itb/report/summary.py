"""The summary of a run in a terminal: verdict, seconds of each phase, failures, reports, next commands."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from itb.model import Commit, CommitKind, Outcome, Phase
from itb.report import self_reported
from itb.report.facts import UNKNOWN_PRODUCT, Facts, base_phase, busy_seconds, phases
from itb.report.verdict import Kind, Verdict, find_deciding_case, sort_failures
from itb.util.text import duration

SHOWN_FAILURES = 8

MARKS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.ERROR: "!", Outcome.SKIPPED: "–"}
PLAIN_MARKS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAIL", Outcome.ERROR: "ERROR", Outcome.SKIPPED: "skip"}
STYLES = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.SKIPPED: "yellow",
}
BAD = (Outcome.FAILED, Outcome.ERROR)
KIND_STYLES = {
    Kind.PASSED: "bold green",
    Kind.PARTIAL: "bold green",
    Kind.FAILED: "bold red",
    Kind.ERROR: "bold magenta",
    Kind.INTERRUPTED: "bold magenta",
    Kind.NOTHING: "bold yellow",
    Kind.RUNNING: "bold blue",
}


def candidate(facts: Facts) -> str:
    """Return what was tested in a few words: ``pocketwms 1.2.0 rc1 (v1_2_0_rc1, 1a2b3c4d5e6f) on deb13``."""
    state, commit = facts.state, facts.commit
    if commit is None:
        return f"{state.product} {state.ref} on {state.platform}"
    version = f"{commit.version} rc{commit.rc}" if commit.rc else commit.version
    if commit.kind is CommitKind.PUBLISHED:
        return f"{state.product} {commit.describe or commit.ref} of {commit.source} on {state.platform}"
    return f"{state.product} {version} ({commit.ref}, {commit.id[:12]}) on {state.platform}"


def is_plain(console: Console) -> bool:
    """Return whether a live display is out of place: no terminal, a dumb one, CI, or no Unicode."""
    if not console.is_terminal or console.is_dumb_terminal or os.environ.get("CI"):
        return True
    return "utf" not in (console.encoding or "").lower()


def show(console: Console, facts: Facts, verdict: Verdict, *, plain: bool | None = None) -> None:
    """Print the summary of a run; ``plain`` has no colour and no symbols, None leaves it to :func:`is_plain`."""
    if is_plain(console) if plain is None else plain:
        for line in plain_lines(facts, verdict):
            # print() of a text that the stream's encoding lacks would raise
            encoding = console.encoding or "utf-8"
            print(line.encode(encoding, "backslashreplace").decode(encoding), file=console.file)
    else:
        console.print(render(facts, verdict))


def render(facts: Facts, verdict: Verdict) -> RenderableType:
    """Return the summary for rich."""
    style = KIND_STYLES[verdict.kind]
    parts: list[RenderableType] = [
        Text(),
        Text.assemble((f" {verdict.kind.upper()} ", f"{style} reverse"), " ", (verdict.headline, style)),
        Text.assemble((f"{candidate(facts)}, {duration(verdict.seconds)}", "dim")),
    ]
    if verdict.blame and not verdict.good:
        parts.append(Text(verdict.blame, "dim"))
    parts += [Text(), Padding(_phases(facts, verdict), (0, 0, 0, 2))]
    for case in sort_failures(facts, verdict.exit_code)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        parts += [
            Text(),
            Text.assemble("  ", (MARKS[case.outcome], STYLES[case.outcome]), f" {where}  ", (case.name, "bold")),
            Padding(Text(case.message or "no reason was given"), (0, 0, 0, 4)),
        ]
        if case.log:
            log = Text(_shorten(facts.rundir.path / case.log), "dim", overflow="fold")
            parts.append(Padding(log, (0, 0, 0, 4)))
    if (more := len(facts.bad) - SHOWN_FAILURES) > 0:
        parts.append(Text(f"  and {more} more, see the reports", "dim"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for title, value in _closing_rows(facts, verdict):
        rows.add_row(title, Text(value))
    parts += [Text(), Padding(rows, (0, 0, 0, 2))]
    return Group(*parts)


def _phases(facts: Facts, verdict: Verdict) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for name in phases(facts.cases):
        cases = [case for case in facts.cases if base_phase(case) == name]
        counts = Text()
        for outcome in Outcome:
            if number := sum(case.outcome is outcome for case in cases):
                counts.append(f"{number} {MARKS[outcome]}  ", STYLES[outcome])
        table.add_row(name, duration(busy_seconds(cases)), counts)
    for name in verdict.not_reached:
        table.add_row(Text(name, "dim"), Text("–", "dim"), Text("not reached", "dim"))
    return table


def plain_lines(facts: Facts, verdict: Verdict) -> Iterable[str]:
    """Return the summary as lines of text."""
    yield f"{verdict.kind.upper()}: {verdict.headline}"
    code = "" if verdict.exit_code is None else f", exit code {verdict.exit_code}"
    yield f"  {candidate(facts)}, {duration(verdict.seconds)}{code}"
    if verdict.blame and not verdict.good:
        yield f"  {verdict.blame}"
    for name in phases(facts.cases):
        cases = [case for case in facts.cases if base_phase(case) == name]
        counts = ", ".join(
            f"{number} {outcome}"
            for outcome in Outcome
            if (number := sum(case.outcome is outcome for case in cases))
        )
        yield f"  {name:<10} {duration(busy_seconds(cases)):>12}  {counts}"
    for name in verdict.not_reached:
        yield f"  {name:<10} {'-':>12}  not reached"
    for case in sort_failures(facts, verdict.exit_code)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        yield f"{PLAIN_MARKS[case.outcome]} {where} {case.name}: {case.message or 'no reason was given'}"
        if case.log:
            yield f"  log: {_shorten(facts.rundir.path / case.log)}"
    if (more := len(facts.bad) - SHOWN_FAILURES) > 0:
        yield f"and {more} more, see the reports"
    for title, value in _closing_rows(facts, verdict):
        yield f"{title + ':':<8} {value}"


def show_failed(console: Console, facts: Facts, verdict: Verdict) -> None:
    """Print every case that failed with all its evidence, the one that decided the verdict first."""
    lines = [f"{verdict.kind.upper()}: {verdict.headline}", f"  {candidate(facts)}"]
    for case in sort_failures(facts, verdict.exit_code):
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        lines += ["", f"{PLAIN_MARKS[case.outcome]} {where} {case.name} ({duration(case.seconds)})"]
        lines.append(f"  {case.message or 'no reason was given'}")
        lines += [f"  | {line}" for line in case.evidence.splitlines()]
        lines += [f"  log: {_shorten(facts.rundir.path / case.log)}"] if case.log else []
    if not facts.bad:
        lines += ["", f"no case of run {facts.rundir.id} failed"]
    for line in lines:
        style = STYLES[Outcome.FAILED] if line.startswith(tuple(PLAIN_MARKS[bad] for bad in BAD)) else ""
        console.print(Text(line, style), soft_wrap=True)


def _closing_rows(facts: Facts, verdict: Verdict) -> list[tuple[str, str]]:
    """Return (title, text) of the rows at the end of a summary: reports, notes, next commands."""
    reports = (("JUnit", facts.rundir.junit), ("HTML", facts.rundir.html))
    rows = [(title, _shorten(path)) for title, path in reports]
    rows += [("note", line) for line in (*facts.resumed, *facts.entered, *facts.problems)]
    if verdict.good and (line := self_reported.summary_line(facts)):
        rows.append(("note", line))
    if facts.notes.platform_note and verdict.good:
        rows.append(("note", facts.notes.platform_note))
    for title, command, _ in next_commands(facts, verdict):
        rows.append((title, command))
    return rows


def next_commands(facts: Facts, verdict: Verdict) -> list[tuple[str, str, str]]:
    """Return the commands a person may want to type now: (title, command, why)."""
    deciding_case = find_deciding_case(facts, verdict.exit_code)
    run, runs = facts.rundir.id, _runs_words(facts)
    commands = []
    if facts.state.kept:
        # A run that was only built has hosts, but no testbed.
        booted = [case.role for case in facts.cases if case.phase == Phase.UP and case.role != "network"]
        roles = [host.role for host in facts.testbed.hosts] if facts.testbed else booted
        role = deciding_case.role if deciding_case and deciding_case.role in roles else (roles or ["frontend"])[0]
        commands.append(("look", ["itb", "shell", run, role, *runs], "a shell on a host of this run"))
        commands.append(("remove", ["itb", "down", "--run", run, *runs], "remove the hosts"))
    elif not verdict.good and verdict.kind is not Kind.RUNNING:
        if facts.commit and verdict.kind in (Kind.INTERRUPTED, Kind.ERROR):
            commands.append(("go on", ["itb", "run", "--resume", run, *runs], "what is done is not repeated"))
        if facts.state.product != UNKNOWN_PRODUCT:
            again = [*_same_run(facts), *runs, "--keep", "failed"]
            commands.append(("again", again, "again, keeping the hosts when it fails"))
    return [(title, shlex.join(words), why) for title, words, why in commands]


def reproduce(facts: Facts) -> str:
    """Return the command that tests the same commit again; empty where nothing says of what product it is."""
    return shlex.join(_same_run(facts)) if facts.state.product != UNKNOWN_PRODUCT else ""


def _same_run(facts: Facts) -> list[str]:
    """Return the command line of a run of the same commit with the same settings."""
    state, commit, settings = facts.state, facts.commit, facts.state.settings
    product = _from_here(facts, settings.get("product") or state.product)
    words = ["itb", "run", "--product", product, "--platform", _platform(facts)]
    if commit and commit.kind is CommitKind.PUBLISHED:
        words += _published_words(facts, commit)
    elif ref := commit.id if commit and commit.kind is not CommitKind.WORKTREE else state.ref:
        words += ["--ref", ref]
    if settings.get("source"):
        words += ["--source", _from_here(facts, settings["source"], bare=True)]
    if settings.get("variant"):
        words += ["--variant", ",".join(settings["variant"])]
    for name, default in (("builder", "rpmbuild"), ("token_hook", "local"), ("engine", "podman")):
        if settings.get(name, default) != default:
            words += [f"--{name.replace('_', '-')}", _from_here(facts, settings[name])]
    if facts.previous:
        words += ["--upgrade-from", facts.previous.id or facts.previous.describe]
    scenarios = settings.get("scenario") or state.scenarios
    if scenarios:
        words += ["--scenario", ",".join(_from_here(facts, name) for name in scenarios)]
    return words


def _platform(facts: Facts) -> str:
    """Return the run's platform as it was asked for: by its name or its folder."""
    folder, name = Path(facts.state.cwd), facts.state.platform
    asked = facts.state.settings.get("platform") or ()
    return next((_from_here(facts, value) for value in asked if (folder / value).resolve().name == name), name)


def _from_here(facts: Facts, value: str, *, bare: bool = False) -> str:
    """Return a name as it is, a path so that it leads to the same file from here.

    Settings that know no names take a path without a slash too (``bare``).
    """
    if "/" not in value and value not in (".", "..") and not bare:
        return value
    path = Path(facts.state.cwd, value)
    return _shorten(path) if path.exists() and Path.cwd() != Path(facts.state.cwd) else value


def _runs_words(facts: Facts) -> list[str]:
    """Return the flag that finds the run; none where it is in the default folder."""
    runs = facts.rundir.path.parent
    return [] if runs == Path.cwd() / "runs" else ["--runs", _shorten(runs)]


def _published_words(facts: Facts, commit: Commit) -> list[str]:
    """Return the flags that install the same published packages again."""
    settings = facts.state.settings
    words = ["--from-repo", _from_here(facts, commit.source)]
    pin = commit.describe or str(settings.get("nevra") or "")
    words += ["--nevra", pin] if pin else []
    words += ["--repo-key", _from_here(facts, settings["repo_key"], bare=True)] if settings.get("repo_key") else []
    return [*words, "--allow-unsigned"] if settings.get("allow_unsigned") else words


def _shorten(path: Path) -> str:
    """Return the path relative to here, unless it is far away."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative
