"""Runs a cell to its end, or does one phase of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from itb.errors import (
    ExitCode,
    InterruptedRunError,
    ItbError,
    TestbedError,
    UsageError,
    as_itb_error,
    run_exit_code,
    worst,
)
from itb.model import Outcome
from itb.phase import Phase
from itb.process.stop import AbandonedError, Ending, TimeIsUpError
from itb.report import run_report, run_result
from itb.roles import WORKSPACE
from itb.run import testbed_fault, watchdog
from itb.run.cell import Cell
from itb.run.nodes import RUN_GRAPH, plan_again
from itb.run.phases import build, down, install, test
from itb.run.phases.down import CollectedLogs
from itb.rundir.case_history import RUN_END
from itb.rundir.checkpoints import CheckpointKind

# Kinds of checkpoints that a single command does again though they are done, by its phase.
_REDONE_KINDS = {
    Phase.SERVE: {CheckpointKind.REPO},
    Phase.UP: {CheckpointKind.BOOT, CheckpointKind.CE},
    Phase.INSTALL: {CheckpointKind.INSTALLATION, CheckpointKind.INSPECTION},
    Phase.TOKEN: {CheckpointKind.TOKEN},
    Phase.TEST: {CheckpointKind.SCENARIO, CheckpointKind.TESTS},
}
# Phases whose cases a single command repeats, by its own phase.
_REDONE_PHASES = {
    Phase.SERVE: (Phase.SERVE,),
    Phase.UP: (Phase.UP,),
    Phase.INSTALL: (Phase.INSTALL, Phase.CONFIGURE, Phase.START),
    Phase.TOKEN: (Phase.TOKEN, Phase.START),
    Phase.TEST: (Phase.TEST,),
}


def run_cell(cell: Cell, ending: Ending, prepare: Callable[[], None] = lambda: None) -> int:
    """Do all nodes of a run; always write a report and, unless hosts are kept, remove everything.

    ``prepare`` is called first, such as to restore what an earlier attempt did.
    Returns the exit code, which is in ``run.json`` too.
    """
    error: ItbError | None = None
    values: Mapping[str, object] = {}
    try:
        prepare()
        # A run that is resumed after its last scenario only lacks evidence, removal and reports.
        if not cell.checkpoints.is_done(test.tested_key(cell)):
            values = _execute(cell, RUN_GRAPH.nodes, {"initial_cell": cell})
    except Exception as caught:  # noqa: BLE001 - a full disk, a mistake of itb's: a run ends with a report
        error = _as_error(cell, caught)
        if not isinstance(caught, OSError):
            _inspect_hosts(cell, ending, error)
    finally:
        code = _finish(cell, ending, error, values)
    return code


def _as_error(cell: Cell, caught: Exception) -> ItbError:
    """Return what ended a run as itb's error; of time that is up, it says if the candidate may have used it."""
    error = as_itb_error(caught)
    return cell.journal.diagnose(RUN_END.role, error) if isinstance(error, TimeIsUpError) else error


def _inspect_hosts(cell: Cell, ending: Ending, error: ItbError) -> None:
    """Inspect hosts before they are removed: the candidate may have damaged them and so ended the run."""
    if not ending.reason and not isinstance(error, InterruptedRunError):
        cell.engine.runner.stop.clear()  # it may have ended nodes that only prepare
        with suppress(Exception):  # the error that is reported is why the run ended
            install.inspect_before_removal(cell)


def build_cell(cell: Cell, ending: Ending) -> int:
    """Build the RPMs only; the hosts stay up for the next command."""
    return _step(cell, ending, lambda: _execute(cell, RUN_GRAPH.of_command(Phase.BUILD), {"initial_cell": cell}))


def run_phase(cell: Cell, ending: Ending, phase: Phase) -> int:
    """Do one more phase of a run whose directory has the values of the earlier ones.

    Returns the run's exit code.  Raises UsageError naming the command that has
    to come first; nothing of the run is changed then.
    """
    if phase is Phase.TEST:  # it may have other scenarios than the run began with
        plan_again(cell)
    cell.testbed.find_running_roles()
    names = RUN_GRAPH.of_command(phase)
    values = {"initial_cell": cell, **RUN_GRAPH.load(names, cell, where=cell.rundir.id)}
    cell.checkpoints.restore(cell.testbed.containers, again=_REDONE_KINDS[phase])
    cell.journal.reopen(again=(*_REDONE_PHASES[phase], Phase.RUN))
    cell.rundir.update(pid=os.getpid(), finished=None, exit_code=None)
    return _step(cell, ending, lambda: _execute(cell, names, values))


def _execute(cell: Cell, names: Iterable[str], values: dict[str, object]) -> dict[str, object]:
    """Do nodes and return their values.

    They are ended if the engine does not answer, a host has stopped, or their values are of no use.
    The workspace may stop: once it has built, no node needs it.
    """
    stop = cell.engine.runner.stop

    def abandon(cause: BaseException) -> None:
        stop.request(AbandonedError(f"ended, since the run could not go on: {cause}"))

    def find_stopped_host() -> str:
        return testbed_fault.qualify(cell, cell.testbed.find_stopped_host(ignored=[WORKSPACE]))

    with watchdog.monitor(cell.engine, stop, find_stopped_host):
        return RUN_GRAPH.execute(names, values, abandon=abandon)


def _step(cell: Cell, ending: Ending, work: Callable[[], object]) -> int:
    """Do some work of a run whose phases are done by single commands: its hosts stay, whatever happens.

    Returns the run's exit code, which its summary names.
    """
    codes: list[int] = []
    try:
        work()
    except Exception as caught:  # noqa: BLE001 - as for a whole run
        error = _as_error(cell, caught)
        _report_error(cell, error)
        codes.append(error.exit_code)
    cell.engine.runner.stop.clear()
    codes += [case.exit_code for case in cell.journal.cases]
    if ending.signals:
        codes.append(InterruptedRunError.exit_code)
    # Before the phase test, scenarios are still to come: the verdict is "partial" then.
    is_test_reached = any(case.phase == Phase.TEST for case in cell.journal.cases)
    code = run_exit_code(codes, is_tried=_is_scenario_tried(cell) or not is_test_reached)
    cell.rundir.update(
        finished=time.time(), exit_code=code, kept=_has_hosts(cell), is_stepwise=True, ended=None
    )
    verdict = run_report.write(cell.rundir, notes=cell.notes)
    run_result.record(cell.rundir, verdict)
    assert verdict.exit_code is not None, "it has just been written"
    return verdict.exit_code


def _has_hosts(cell: Cell) -> bool:
    """Return whether the run has containers (a build from the cache needs none); True if the engine fails."""
    try:
        return bool(cell.engine.uninterruptible.containers(cell.testbed.labels))
    except ItbError:
        return True


def _finish(cell: Cell, ending: Ending, error: ItbError | None, values: Mapping[str, object]) -> int:
    """Collect evidence, remove or keep hosts, write the report; return the exit code.

    ``values`` are those of the run's nodes, if all were done.  If one step fails, the next is done all the same.
    """
    stop = cell.engine.runner.stop
    stop.clear()
    if ending.reason:
        ended = InterruptedRunError(ending.reason) if ending.signals else TimeIsUpError(ending.reason)
        with suppress(InterruptedRunError), cell.journal.case(*RUN_END):
            raise ended
    if error is not None:
        _report_error(cell, error)
    code = exit_code(cell, error)
    if cell.journal.lost:
        ending.shield(stop)
        return worst([code, down.remove(cell.journal, cell.engine)])
    failed = code not in (ExitCode.PASSED, ExitCode.INTERRUPTED)
    keep = cell.settings.keep == "always" or (cell.settings.keep == "failed" and failed)
    try:
        # Not if the testbed is at fault: an engine that hangs would hang again.
        if not ending.reason and code != TestbedError.exit_code:
            with suppress(Exception):
                build.lint_before_removal(cell)
        if ending.signals < 2:
            collected = values.get("collected_logs")
            down.collect_evidence(cell, collected if isinstance(collected, CollectedLogs) else None)
    finally:
        ending.shield(stop)
        if not keep:
            code = worst([code, down.remove(cell.journal, cell.engine)])
        code = worst([code, _conclude(cell, code, kept=keep)])
    return code


def _report_error(cell: Cell, error: ItbError) -> None:
    """Report an error as a case, unless a case reports it already: it may have come between two cases."""
    is_quoted = any(error.message in case.message for case in cell.journal.cases if case.exit_code)
    if not (error.is_reported or is_quoted) and not isinstance(error, InterruptedRunError):
        with suppress(ItbError), cell.journal.case(*RUN_END):
            raise error


def _conclude(cell: Cell, code: int, *, kept: bool) -> int:
    """Record how a run ended and write its reports; return the exit code of a failure to do so."""
    try:
        cell.rundir.update(finished=time.time(), exit_code=code, kept=kept, is_stepwise=False, ended=None)
        run_result.record(cell.rundir, run_report.write(cell.rundir, notes=cell.notes))
    except UsageError:
        cell.journal.mark_lost("it is not readable any more")
        return TestbedError.exit_code
    except OSError as error:
        cell.journal.mark_lost(f"{error.filename or 'the reports'} cannot be written: {error.strerror}")
        return TestbedError.exit_code
    except Exception as error:  # noqa: BLE001 - the exit code must not say less than run.json
        with suppress(ItbError, OSError):
            cell.rundir.update(exit_code=worst([code, TestbedError.exit_code]))
        cell.journal.mark_lost(f"the reports cannot be written: {as_itb_error(error).message}")
        return TestbedError.exit_code
    return ExitCode.PASSED


def exit_code(cell: Cell, error: ItbError | None = None) -> int:
    """Return the run's exit code by its cases so far; 3 if nothing failed but no scenario step ran."""
    codes = [case.exit_code for case in cell.journal.cases]
    if error is not None:
        codes.append(error.exit_code)
    return run_exit_code(codes, is_tried=_is_scenario_tried(cell))


def _is_scenario_tried(cell: Cell) -> bool:
    """Return whether a step of a scenario was tried: services that are still up are no test of the candidate."""
    names = tuple(f"{scenario.name}: " for scenario in cell.scenarios)
    steps = [case for case in cell.journal.cases if case.phase == Phase.TEST and case.name.startswith(names)]
    return any(case.outcome is not Outcome.SKIPPED for case in steps)
