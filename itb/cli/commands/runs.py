"""``itb list``: the runs of a folder, how each ended and why.

It imports and reads no more than it prints, since people type it often and
have hundreds of runs.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itb.cli.commands.common import print_json, whole_number
from itb.cli.commands.listing import Listing
from itb.config import settings as config_settings
from itb.errors import ExitCode, UsageError
from itb.report import run_result
from itb.report.verdict import VerdictKind
from itb.rundir.directory import RunDir, RunResult, RunState, runs_of
from itb.util import when
from itb.util.text import duration, one_line
from itb.util.yamlfile import nearest

DEFAULT_LIMIT = 30  # runs a table has unless more are asked for
_UNREADABLE = RunResult(
    kind="unreadable", cause="run.json cannot be read: itb report makes a report of what is there"
)
_LABELS = [code.label for code in ExitCode if code not in (ExitCode.PASSED, ExitCode.USAGE)]
OUTCOMES = (*map(str, VerdictKind), *_LABELS)


@dataclass(frozen=True)
class ListedRun:
    """A run, its state and how it ended; ``state`` is None where it cannot be read."""

    rundir: RunDir
    state: RunState | None
    ended: RunResult

    def document(self) -> dict[str, Any]:
        """Return the run as ``itb list --json`` prints it."""
        fields = (
            self.state.model_dump(mode="json", exclude={"settings", "definitions", "ended"}, by_alias=True)
            if self.state
            else {}
        )
        return {
            "id": self.rundir.id,
            **fields,
            "outcome": self.ended.text,
            **self.ended.model_dump(by_alias=True),
            "directory": str(self.rundir.path),
        }


@dataclass(frozen=True)
class RunFilter:
    """The runs to list; a field that is empty or None accepts all.

    ``ref`` is a reference, a pattern of references or the beginning of a
    commit; ``outcome`` are kinds of verdicts or labels of exit codes;
    ``since`` is in seconds since the epoch.
    """

    product: tuple[str, ...] = ()
    ref: str = ""
    platform: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    since: float | None = None

    def accepts(self, state: RunState, rundir: RunDir) -> bool:
        """Return whether the filter accepts a run, as far as ``run.json`` alone tells."""
        if self.since is not None and state.started < self.since:
            return False
        for value, patterns in ((state.product, self.product), (state.platform, self.platform)):
            if patterns and not any(fnmatch.fnmatchcase(value, pattern) for pattern in patterns):
                return False
        return not self.ref or fnmatch.fnmatchcase(state.ref, self.ref) or _is_of_commit(rundir.id, self.ref)

    def accepts_outcome(self, ended: RunResult) -> bool:
        """Return whether the filter accepts a run that ended like this."""
        return not self.outcome or ended.kind in self.outcome or ended.where in self.outcome


def _is_of_commit(run: str, beginning: str) -> bool:
    """Return whether a run is of a commit that begins like this; its name has eight digits of its commit."""
    digits = beginning.lower()
    if len(digits) < 4 or not set(digits) <= set("0123456789abcdef"):
        return False
    return any(part.startswith(digits[:8]) for part in run.split("-")[1:] if len(part) == 8)


def list_runs(flags: Mapping[str, Any], options: Mapping[str, str | None], *, as_json: bool) -> None:
    """Print the runs that the options choose, newest first."""
    limit = _limit(options.get("limit"), as_json=as_json)
    run_filter = _run_filter(options)
    folder = config_settings.load(flags)[0].runs_dir
    listed = list(matching_runs(folder, run_filter))
    shown = listed[:limit] if limit else listed
    if as_json:
        print_json([run.document() for run in shown])
        return
    if not listed:
        is_empty = next(runs_of(folder), None) is None
        print(f"no run in {folder} yet: itb run makes one" if is_empty else f"no run in {folder} is like that")
        return
    table(shown).print()
    if more := len(listed) - len(shown):
        print(f"and {more} older: itb list --limit 0")


def check_no_filter(what: str, options: Mapping[str, str | None]) -> None:
    """Raise UsageError for options that choose among runs where something else is listed."""
    flags = [f"--{name}" for name, value in options.items() if value]
    if flags:
        raise UsageError(f"list {what}: {', '.join(flags)}: about runs only")


def _run_filter(options: Mapping[str, str | None]) -> RunFilter:
    outcome = _names(options, "outcome")
    for name in outcome:
        if name not in OUTCOMES:
            hint = nearest(name, list(OUTCOMES)) or f"; known: {', '.join(dict.fromkeys(OUTCOMES))}"
            raise UsageError(f"--outcome: unknown outcome {name[:60]!r}{hint}")
    since = options.get("since")
    return RunFilter(
        product=_names(options, "product"),
        ref=options.get("ref") or "",
        platform=_names(options, "platform"),
        outcome=outcome,
        since=when.since(since, option="--since") if since else None,
    )


def _names(options: Mapping[str, str | None], option: str) -> tuple[str, ...]:
    """Return the names that an option lists; UsageError if one of them is empty."""
    text = options.get(option)
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if not all(names):
        raise UsageError(f"list: --{option}: one of {text!r} is empty", hint="a variable that is not set, perhaps")
    return names


def _limit(text: str | None, *, as_json: bool) -> int:
    """Return how many runs are printed, 0 for all: programs get all unless they ask for fewer."""
    if not text:
        return 0 if as_json else DEFAULT_LIMIT
    return whole_number(text, option="list: --limit", hint="0 lists all")


def is_named(runs: Path, text: str) -> bool:
    """Return whether a text is the path of a run, or a part of the name of one in this folder."""
    return (Path(text) / "run.json").is_file() or any(text in rundir.id for rundir in runs_of(runs))


def read_states(runs: Path) -> Iterator[tuple[RunDir, RunState]]:
    """Yield each run of a folder whose state can be read, with its state, newest first."""
    for rundir in runs_of(runs):
        with suppress(UsageError):
            yield rundir, rundir.state


def matching_runs(runs: Path, run_filter: RunFilter) -> Iterator[ListedRun]:
    """Yield the runs of a folder that a filter accepts, newest first; an empty filter accepts unreadable runs."""
    for rundir in runs_of(runs):
        try:
            state = rundir.state
        except UsageError:
            if run_filter == RunFilter():
                yield ListedRun(rundir, None, _UNREADABLE)
            continue
        if run_filter.accepts(state, rundir):
            ended = run_result.read(rundir, state)
            if run_filter.accepts_outcome(ended):
                yield ListedRun(rundir, state, ended)


def table(listed: Sequence[ListedRun]) -> Listing:
    """Return the table of runs that ``itb list`` prints."""
    headings = ("run", "outcome", "reference", "started (UTC)", "took", "hosts", "cause")
    listing = Listing(*headings, labels=False)
    for run in listed:
        state, cause = run.state, one_line(run.ended.cause, 160)
        if state is None:
            listing.add(run.rundir.id, run.ended.text, "", "", "", "", cause)
            continue
        took = duration(state.finished - state.started) if state.finished else ""
        started = when.minute(state.started)
        hosts = "kept" if state.kept else ""
        listing.add(run.rundir.id, run.ended.text, state.ref, started, took, hosts, cause)
    return listing
