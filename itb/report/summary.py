"""The end of a run in a terminal: verdict, seconds of each phase, failures, where the reports are, what next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from itb.model import Case, Commit, CommitKind, Outcome, Phase
from itb.report import own_word
from itb.report.facts import Facts, base_phase, busy, phases
from itb.report.verdict import Kind, Verdict, culprit
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
    """True where a moving picture does not belong: no terminal, a dumb one, CI, or no Unicode."""
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
    for case in _worst_first(facts, verdict)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        parts += [
            Text(),
            Text.assemble("  ", (MARKS[case.outcome], STYLES[case.outcome]), f" {where}  ", (case.name, "bold")),
            Padding(Text(case.message or "no reason was given"), (0, 0, 0, 4)),
        ]
        if case.log:
            parts.append(Padding(Text(_near(facts.rundir.path / case.log), "dim", overflow="fold"), (0, 0, 0, 4)))
    if (more := len(facts.bad) - SHOWN_FAILURES) > 0:
        parts.append(Text(f"  and {more} more, see the reports", "dim"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(overflow="fold")
    for title, value in _ends(facts, verdict):
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
        table.add_row(name, duration(busy(cases)), counts)
    for name in verdict.not_reached:
        table.add_row(Text(name, "dim"), Text("–", "dim"), Text("not reached", "dim"))
    return table


def plain_lines(facts: Facts, verdict: Verdict) -> Iterable[str]:
    """Return the summary as lines of text."""
    yield f"{verdict.kind.upper()}: {verdict.headline}"
    yield f"  {candidate(facts)}, {duration(verdict.seconds)}, exit code {verdict.exit_code}"
    if verdict.blame and not verdict.good:
        yield f"  {verdict.blame}"
    for name in phases(facts.cases):
        cases = [case for case in facts.cases if base_phase(case) == name]
        counts = ", ".join(
            f"{number} {outcome}"
            for outcome in Outcome
            if (number := sum(case.outcome is outcome for case in cases))
        )
        yield f"  {name:<10} {duration(busy(cases)):>12}  {counts}"
    for name in verdict.not_reached:
        yield f"  {name:<10} {'-':>12}  not reached"
    for case in _worst_first(facts, verdict)[:SHOWN_FAILURES]:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        yield f"{PLAIN_MARKS[case.outcome]} {where} {case.name}: {case.message or 'no reason was given'}"
        if case.log:
            yield f"  log: {_near(facts.rundir.path / case.log)}"
    if (more := len(facts.bad) - SHOWN_FAILURES) > 0:
        yield f"and {more} more, see the reports"
    for title, value in _ends(facts, verdict):
        yield f"{title + ':':<8} {value}"


def _worst_first(facts: Facts, verdict: Verdict) -> list[Case]:
    first = culprit(facts, verdict.exit_code)
    return sorted(facts.bad, key=lambda case: case is not first)


def _ends(facts: Facts, verdict: Verdict) -> list[tuple[str, str]]:
    rows = [(title, _near(path)) for title, path in (("JUnit", facts.rundir.junit), ("HTML", facts.rundir.html))]
    rows += [("note", line) for line in (*facts.resumed, *facts.problems)]
    if verdict.good and (line := own_word.line(facts)):
        rows.append(("note", line))
    if facts.notes.platform_note and verdict.good:
        rows.append(("note", facts.notes.platform_note))
    for title, command, _ in next_commands(facts, verdict):
        rows.append((title, command))
    return rows


def next_commands(facts: Facts, verdict: Verdict) -> list[tuple[str, str, str]]:
    """Return what a person may want to type now: (title, command, why)."""
    first = culprit(facts, verdict.exit_code)
    run, runs = facts.rundir.id, _runs_words(facts)
    found = []
    if facts.state.kept:
        # A run that was only built has hosts, but no testbed.
        booted = [case.role for case in facts.cases if case.phase == Phase.UP and case.role != "network"]
        roles = [host.role for host in facts.testbed.hosts] if facts.testbed else booted
        role = first.role if first and first.role in roles else (roles or ["frontend"])[0]
        found.append(("look", ["itb", "shell", run, role, *runs], "a shell on a host of this run"))
        found.append(("remove", ["itb", "down", "--run", run, *runs], "remove the hosts"))
    elif not verdict.good and verdict.kind is not Kind.RUNNING:
        if facts.commit and verdict.kind in (Kind.INTERRUPTED, Kind.ERROR):
            found.append(("go on", ["itb", "run", "--resume", run, *runs], "what is done is not repeated"))
        again = [*_again(facts), *runs, "--keep", "failed"]
        found.append(("again", again, "again, keeping the hosts when it fails"))
    return [(title, shlex.join(words), why) for title, words, why in found]


def reproduce(facts: Facts) -> str:
    """Return the command that tests the same commit again."""
    return shlex.join(_again(facts))


def _again(facts: Facts) -> list[str]:
    state, commit, given = facts.state, facts.commit, facts.state.settings
    product = _from_here(facts, given.get("product") or state.product)
    words = ["itb", "run", "--product", product, "--platform", _platform(facts)]
    if commit and commit.kind is CommitKind.PUBLISHED:
        words += _published_words(facts, commit)
    elif ref := commit.id if commit and commit.kind is not CommitKind.WORKTREE else state.ref:
        words += ["--ref", ref]
    if given.get("source"):
        words += ["--source", _from_here(facts, given["source"], bare=True)]
    if given.get("variant"):
        words += ["--variant", ",".join(given["variant"])]
    for name, usual in (("builder", "rpmbuild"), ("token_hook", "local"), ("engine", "podman")):
        if given.get(name, usual) != usual:
            words += [f"--{name.replace('_', '-')}", _from_here(facts, given[name])]
    if facts.previous:
        words += ["--upgrade-from", facts.previous.id or facts.previous.describe]
    scenarios = given.get("scenario") or state.scenarios
    if scenarios:
        words += ["--scenario", ",".join(_from_here(facts, name) for name in scenarios)]
    return words


def _platform(facts: Facts) -> str:
    """The run's platform as it was asked for: by its name or its folder."""
    where, name = Path(facts.state.cwd), facts.state.platform
    asked = facts.state.settings.get("platform") or ()
    return next((_from_here(facts, item) for item in asked if (where / item).resolve().name == name), name)


def _from_here(facts: Facts, given: str, *, bare: bool = False) -> str:
    """A name as it was given, a path so that it leads to the same file from here.

    Settings that know no names take a path without a slash too (``bare``).
    """
    if "/" not in given and given not in (".", "..") and not bare:
        return given
    path = Path(facts.state.cwd, given)
    return _near(path) if path.exists() and Path.cwd() != Path(facts.state.cwd) else given


def _runs_words(facts: Facts) -> list[str]:
    """The flag that finds the run, where it is not in the usual place."""
    runs = facts.rundir.path.parent
    return [] if runs == Path.cwd() / "runs" else ["--runs", _near(runs)]


def _published_words(facts: Facts, commit: Commit) -> list[str]:
    """The flags that install the same published packages again."""
    settings = facts.state.settings
    words = ["--from-repo", _from_here(facts, commit.source)]
    pin = commit.describe or str(settings.get("nevra") or "")
    words += ["--nevra", pin] if pin else []
    words += ["--repo-key", _from_here(facts, settings["repo_key"], bare=True)] if settings.get("repo_key") else []
    return [*words, "--allow-unsigned"] if settings.get("allow_unsigned") else words


def _near(path: Path) -> str:
    """Return a path as short as it works from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative
