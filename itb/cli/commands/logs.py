"""``itb logs``: the logs of a run, those of its failed cases first."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from itb.cli.commands import common, following, runs
from itb.cli.commands.common import whole_number
from itb.cli.commands.following import LogQuery
from itb.cli.commands.listing import Listing
from itb.config import settings as config_settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.model import Case
from itb.report import run_report
from itb.rundir import logs as rundir_logs
from itb.rundir import values
from itb.rundir.directory import RunDir
from itb.rundir.logs import Log
from itb.util import files
from itb.util.yamlfile import nearest

_LINES = 40  # of each failed case's log
_CASES = 3  # failed cases whose logs are shown


def logs(
    flags: Mapping[str, Any], run: str, place: str, name: str, *, tail: str, follow: bool, as_json: bool
) -> None:
    """Print logs of a run: of its failed cases with a list of the others, those of a place, or one by its name.

    A place is a role, a scenario, ``build`` or ``itb``.
    """
    lines = whole_number(tail, option="logs: --tail", least=1) if tail else None
    settings = config_settings.load(flags)[0]
    query = LogQuery(*_find_run_and_place(settings, run, place, name), lines)
    if as_json:
        if follow:
            raise UsageError("logs: --follow has no end that a JSON document could have")
        _print_json(query)
    elif not follow:
        _show(query)
    elif not following.follow(settings, query):
        print(f"itb: run {query.rundir.id} has ended: nothing is added to its logs", file=sys.stderr)
        _show(query)


def _find_run_and_place(settings: Settings, run: str, place: str, name: str) -> tuple[RunDir, str, str]:
    """Return the run, place and name of a query; without a run in front of the place it is the newest."""
    if run and not name and not (Path(run) / "run.json").is_file():
        newest = RunDir.find(settings.runs_dir)
        known = places(newest)
        if run in known:
            return newest, run, place
        if not runs.is_named(settings.runs_dir, run):
            message = f"no run is called {run[:60]!r}, and run {newest.id} has no logs of it"
            raise UsageError(f"{message}{nearest(run, known)}", hint="itb list shows the runs")
    return RunDir.find(settings.runs_dir, run), place, name


def places(rundir: RunDir) -> list[str]:
    """Return the places of a run's logs, those of its hosts that are up among them."""
    testbed_hosts = rundir.load_if_readable(values.TESTBED)
    roles = [host.role for host in testbed_hosts.hosts] if testbed_hosts else []
    return list(dict.fromkeys([*(log.place for log in rundir_logs.list_logs(rundir)), *roles]))


def _logs_of(query: LogQuery) -> list[Log]:
    """Return the logs of a query; UsageError with the nearest name if there is none."""
    available = rundir_logs.list_logs(query.rundir)
    of_place = [log for log in available if query.place in ("", log.place)]
    if not of_place:
        raise _no_place(query)
    logs = rundir_logs.select_by_name(of_place, query.name) if query.name else of_place
    if not logs:
        names = [Path(log.name).name for log in of_place]
        hint = nearest(query.name, names)
        where = f"itb logs {query.rundir.id} {query.place} lists them"
        raise UsageError(
            f"run {query.rundir.id}: no log of {query.place} is called {query.name!r}{hint}", hint=where
        )
    return logs


def _no_place(query: LogQuery) -> UsageError:
    run = query.rundir.id
    if not query.place:
        return UsageError(f"run {run} has no logs yet", hint=f"itb logs {run} --follow waits for them")
    known = places(query.rundir)
    if query.place in known:
        hint = f"they are collected as it ends; until then: itb logs {run} {query.place} --follow"
        return UsageError(f"run {run} has no logs of {query.place!r} yet", hint=hint)
    suggestion = nearest(query.place, known) or f"; it has: {', '.join(known) or 'none at all'}"
    return UsageError(f"run {run} has no logs of {query.place!r}{suggestion}")


def _print_json(query: LogQuery) -> None:
    failed = {query.rundir.path / case.log for case in run_report.failed_cases(query.rundir) if case.log}
    common.print_json([
        {
            "place": log.place, "name": log.name, "path": str(log.path), "bytes": log.size,
            "failed": log.path in failed,
        }
        for log in _logs_of(query)
    ])  # fmt: skip


def _show(query: LogQuery) -> None:
    logs = _logs_of(query)
    if query.name:
        for log in logs:
            _print_log(query.rundir, log.path, query.lines, titled=len(logs) > 1)
        return
    cases = _show_failed(query)
    if query.place:
        listing = Listing("log", "bytes")
        for log in logs:
            listing.add(log.name, log.size)
        more = f"itb logs {query.rundir.id} {query.place} NAME prints one"
    else:
        listing = Listing("of", "logs", "bytes")
        for place in dict.fromkeys(log.place for log in logs):
            own = [log for log in logs if log.place == place]
            listing.add(place, len(own), sum(log.size for log in own))
        listed = [log.place for log in logs]
        place = next((case.role for case in cases if case.role in listed), listed[0])
        more = f"itb logs {query.rundir.id} {place} lists those of {place}"
    if cases:
        print()
    listing.print()
    print(more)


def _show_failed(query: LogQuery) -> list[Case]:
    """Print the logs of the failed cases, the one that decided first, and return these cases."""
    failed_cases = run_report.failed_cases(query.rundir)
    cases = [case for case in failed_cases if not query.place or _is_of(case, query.place)]
    for case in cases[:_CASES]:
        common.print_clean(f"{case.phase}.{case.role} {case.name}: {case.message}")
        path = query.rundir.path / case.log
        if case.log and path.is_file():
            _print_log(query.rundir, path, query.lines or _LINES, titled=True)
        elif case.evidence:
            following.write(f"{case.evidence}\n")
    if (more := len(cases) - _CASES) > 0:
        print(f"and {more} failed cases more: itb show {query.rundir.id} --failed")
    return cases


def _is_of(case: Case, place: str) -> bool:
    """Return whether a case belongs to a role or has its log in a place."""
    return place == case.role or place in Path(case.log).parts[:-1]


def _print_log(rundir: RunDir, path: Path, lines: int | None, *, titled: bool) -> None:
    """Print a log, or its last lines; ``titled`` says which it is and what was left out, as tail(1) does."""
    try:
        text = files.read(path).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    every_line = text.splitlines(keepends=True)
    last = every_line[-lines:] if lines else every_line
    if titled:
        left_out = f" (last {len(last)} of {len(every_line)} lines)" if len(last) < len(every_line) else ""
        common.print_clean(f"==> {rundir.relative(path)}{left_out} <==")
    following.write("".join(last))
