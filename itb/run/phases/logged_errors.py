"""Errors that come again and again in the logs of a run in which all else is well, by role of the product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from itb.config.scenario import Scenario
from itb.errors import LogLine, ScenarioError, TestbedError
from itb.model import CaseKey, Remark
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.run.cell import Cell
from itb.rundir import green_runs, values
from itb.rundir.directory import JOURNAL
from itb.rundir.values import LoggedError, LoggedErrors
from itb.testbed import logs
from itb.util.text import count, one_line

REPEATED = 3  # times: what came less often may belong to how hosts start one after the other
_LENGTHS = (180, 90, 90)  # characters of each error that a message names
_NAMED = len(_LENGTHS)
Counted = Mapping[str, list[LoggedError] | str]
"""By role, the errors in its logs, or why they could not be counted."""


def _case(role: str) -> CaseKey:
    return CaseKey(Phase.TEST, role, "no error comes again and again in the logs")


def cases(cell: Cell) -> Iterable[CaseKey]:
    """Yield the case of each role of the product."""
    yield from map(_case, cell.roles)


@contextmanager
def left_out_of(cell: Cell, scenario: Scenario) -> Iterator[None]:
    """Leave out what logs say while a scenario runs that stops, breaks or replaces something on purpose."""
    if scenario.disturbs:
        in_parallel(cell.roles, lambda role: _count(cell, role, "keep"))
    try:
        yield
    finally:
        if scenario.disturbs:
            in_parallel(cell.roles, lambda role: _count(cell, role, "skip"))


def find(cell: Cell) -> Counted:
    """Count the errors in the logs of the product's hosts since the run began, or since this was called."""
    return in_parallel(cell.roles, lambda role: _count(cell, role))


def _count(cell: Cell, role: str, verb: str = "count") -> list[LoggedError] | str:
    globs, units = cell.logs[role], cell.roles[role].services
    try:
        return logs.count_errors(cell.host(role), globs, units, ignored=cell.product.ignored_errors, verb=verb)
    except TestbedError as error:
        return error.message


def report(cell: Cell, counted: Counted, *, is_red: bool) -> None:
    """Report, for each role, whether errors repeat: a failure or a warning, as the product's definition says.

    Of a run that ``is_red`` they may follow from what has failed.
    """
    errors = [error for found in counted.values() if not isinstance(found, str) for error in found]
    repeated = [error for error in errors if error.times >= REPEATED]
    cell.rundir.save(values.LOGGED_ERRORS, LoggedErrors(errors=tuple(repeated)))
    green = green_runs.last_green(cell.rundir)
    before = green.load_if_readable(values.LOGGED_ERRORS) if green else None
    known = {error.kind for error in before.errors} if before else None
    for role, found in counted.items():
        if isinstance(found, str):
            with cell.journal.case(*_case(role)) as case:
                case.skip(f"its logs could not be looked through: {found}")
            continue
        own = [error for error in repeated if error.role == role]
        rare = [error for error in errors if error.role == role and error not in own]
        _report_role(cell, role, own, rare, known=known, green=green.id if green and before else "", is_red=is_red)


def _report_role(
    cell: Cell,
    role: str,
    errors: Sequence[LoggedError],
    rare: Sequence[LoggedError],
    *,
    known: set[str] | None,
    green: str,
    is_red: bool,
) -> None:
    new = [error for error in errors if known is not None and error.kind not in known]
    errors = [*new, *(error for error in errors if error not in new)]
    evidence = "\n".join(f"{error.times} times {error.log}:{error.number or ''} {error.line}" for error in errors)
    message = describe(errors, new=len(new), green=green)
    with suppress(ScenarioError), cell.journal.case(*_case(role)) as case:
        if not errors:
            case.passed(_describe_rare(rare))
        elif is_red:
            case.skip(f"the run has failed, and what logs say may follow from that: {message}")
        elif cell.product.errors == "warn":
            case.passed(message, evidence=evidence)
            case.remark, case.quotes = Remark.WARNING, [_line(errors[0])]
        else:
            raise ScenarioError(message, evidence=evidence, quotes=[_line(errors[0])])


def describe(errors: Sequence[LoggedError], *, new: int, green: str) -> str:
    """Return the first errors with their counts and places in one line, those that are new first.

    ``new`` is how many of them the run ``green`` did not have.
    """
    named = [
        f"{error.times} times {_quoted(error, length)}" for error, length in zip(errors, _LENGTHS, strict=False)
    ]
    if new:
        named[0] = f"new since {green}: {named[0]}"
    more = [f"{count(len(errors) - _NAMED, 'more kind')}"] if len(errors) > _NAMED else []
    return "; ".join([*named, *more])


def _describe_rare(errors: Sequence[LoggedError]) -> str:
    if not errors:
        return ""
    times = "once" if errors[0].times == 1 else "twice"
    return f"{count(len(errors), 'error')} that did not repeat; {times}: {_quoted(errors[0], _LENGTHS[0])}"


def _quoted(error: LoggedError, length: int) -> str:
    place = f":{error.number}" if error.number else ""
    return f"{one_line(error.message, length)} ({one_line(error.log)}{place})"


def _line(error: LoggedError) -> LogLine:
    path = JOURNAL if error.log == str(JOURNAL) else Path(error.log)
    return LogLine(error.line, path, error.number, role=error.role)
