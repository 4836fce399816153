"""A whole run: phases in order where they depend on each other, at the same time where they do not."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

from itb.errors import ExitCode, InterruptedRunError, ItbError, NothingRanError, TestbedError, UsageError, worst
from itb.model import Build, CommitKind, Installed, Outcome, Phase, Record, Repo, TestbedHosts
from itb.platforms.images import PlatformImages
from itb.process.stop import Ending
from itb.report import write
from itb.run import lock_yaml, parallel, watchdog
from itb.run.cell import SERVICES, WORKSPACE, Cell
from itb.run.parallel import wait_for_all
from itb.run.phases import build as phases_build
from itb.run.phases import down, previous, published, test, token, up
from itb.run.phases import install as phases_install

R = TypeVar("R", bound=Record)


# Pieces of work that a phase asked for by name does again, though they are done.
_AGAIN = {
    Phase.SERVE: ("repo",),
    Phase.UP: ("boot.", "ce"),
    Phase.INSTALL: ("installed.", "looked."),
    Phase.TOKEN: ("token",),
    Phase.TEST: ("scenario.", "tested."),
}


def run_cell(cell: Cell, ending: Ending, first: Callable[[], None] = lambda: None) -> int:
    """Everything, once; always ends with a report and, unless kept, with nothing left.

    ``first`` is done before: taking up what an earlier attempt left.
    Returns the exit code, which is in ``run.json`` too.
    """
    error: ItbError | None = None
    try:
        first()
        with _watched(cell):
            _all_phases(cell)
    except ItbError as caught:
        error = caught
    except OSError as caught:  # the disk is full, the run directory is gone: the machine's fault
        error = TestbedError(str(caught))
    finally:
        code = _finish(cell, ending, error)
    return code


def _watched(cell: Cell) -> AbstractContextManager[None]:
    """The run ends where its engine answers no more or a host has died; the workspace may, once it has built."""
    lost = functools.partial(cell.testbed.lost, besides=[WORKSPACE])
    return watchdog.pulse(cell.engine, cell.engine.runner.stop, lost)


def build_cell(cell: Cell, ending: Ending) -> int:
    """Only the RPMs; the network and the services host stay for the next phase."""

    def work() -> None:
        images = up.prepare_platform(cell)
        if published.choose_published(cell, images).commit.kind is CommitKind.PUBLISHED:
            return
        cached = phases_build.cached_build(cell, images)
        if not previous.is_there(cell, images) or cached is None:
            up.prepare_services(cell, images, with_workspace=True)
            if cached is None:
                phases_build.build(cell, images)
            previous.build(cell, images)

    return _phase(cell, ending, work)


def go_on(cell: Cell, ending: Ending, phase: Phase) -> int:
    """One more phase of a run whose earlier phases' values are in its directory.

    Raises UsageError naming the phase that has to come first.
    """
    cell.testbed.alive()
    cell.checkpoints.take_up(cell.testbed.containers, but=_AGAIN.get(phase, ()))
    work = {
        Phase.SERVE: lambda: _serve(cell),
        Phase.UP: lambda: _raise_testbed(cell, _need(cell, "platform", PlatformImages, Phase.BUILD)),
        Phase.INSTALL: lambda: _install(cell),
        Phase.TOKEN: lambda: _token(cell),
        Phase.TEST: lambda: test.test(cell),
    }[phase]
    return _phase(cell, ending, work)


def _need(cell: Cell, name: str, kind: type[R], phase: Phase) -> R:
    """The value of an earlier phase; UsageError naming the phase if it has not been done."""
    value = cell.rundir.saved(name, kind)
    if value is None:
        run = cell.rundir.id
        raise UsageError(f"run {run}: {phase} has to come first", hint=f"itb {phase} --run {run}")
    return value


def _serve(cell: Cell) -> None:
    made = _need(cell, "build", Build, Phase.BUILD)
    key = up.prepare_services(cell, _need(cell, "platform", PlatformImages, Phase.BUILD), with_workspace=False)
    phases_build.serve(cell, made, key)
    phases_build.look_at_packages(cell)
    previous.serve(cell, key)


def _install(cell: Cell) -> None:
    made, served = _need(cell, "build", Build, Phase.BUILD), _need(cell, "repo", Repo, Phase.SERVE)
    _need(cell, "testbed", TestbedHosts, Phase.UP)
    installed = phases_install.install(cell, made, served)
    lock_yaml.write(cell, made, served, installed)
    work = [
        lambda: phases_install.start_condor(cell),
        lambda: phases_install.look_from_outside(cell, made, installed),
    ]
    parallel.in_parallel(work, lambda item: item())


def _token(cell: Cell) -> None:
    _need(cell, "installed", Installed, Phase.INSTALL)
    token.hand_out(cell)
    phases_install.start_rest(cell)


def _phase(cell: Cell, ending: Ending, work: Callable[[], None]) -> int:
    """Do some work of a run that goes on step by step: its hosts stay, whatever happens."""
    before = len(cell.journal.cases)
    codes: list[int] = []
    try:
        with _watched(cell):
            work()
    except UsageError:
        raise
    except ItbError as error:
        _tell(cell, error)
        codes.append(error.exit_code)
    cell.engine.runner.stop.clear()
    codes += [case.exit_code for case in cell.journal.cases[before:]]
    if ending.signals:
        codes.append(InterruptedRunError.exit_code)
    code = worst(codes)
    every = worst([code, *(case.exit_code for case in cell.journal.cases)])
    cell.rundir.update(finished=time.time(), exit_code=every, kept=_has_hosts(cell))
    write.write(cell.rundir, notes=cell.notes)
    return code


def _has_hosts(cell: Cell) -> bool:
    """True if there is something to keep: a build from the cache needs no host.  Unknown is a yes."""
    try:
        return bool(cell.engine.uninterruptible.containers(cell.testbed.labels))
    except ItbError:
        return True


def _all_phases(cell: Cell) -> None:
    if cell.checkpoints.is_done(test.tested(cell)):
        return  # resumed after the last scenario: what is left is what every run ends with
    checked = token.ask(cell)
    images = up.prepare_platform(cell)
    cell = published.choose_published(cell, images)
    cached = phases_build.cached_build(cell, images)
    must_build = not previous.is_there(cell, images) or cached is None
    first = [SERVICES, *([WORKSPACE] if must_build else [])]
    up.start_hosts(cell, images, [*first, *cell.testbed_roles])
    made, served, installed = _install_in_parallel(cell, images, cached, with_workspace=must_build)
    lock_yaml.write(cell, made, served, installed)
    early: list[Callable[[], object]] = [
        lambda: phases_install.start_condor(cell),
        lambda: token.hand_out(cell, checked),
        lambda: phases_install.look_from_outside(cell, made, installed),
    ]
    parallel.in_parallel(early, lambda work: work())
    # Nothing but waiting goes on while services are watched.
    late: list[Callable[[], object]] = [
        lambda: phases_install.start_rest(cell),
        lambda: phases_build.look_at_packages(cell),
    ]
    parallel.in_parallel(late, lambda work: work())
    test.test(cell)


def _install_in_parallel(
    cell: Cell, images: PlatformImages, cached: Build | None, *, with_workspace: bool
) -> tuple[Build, Repo, Installed]:
    """From started containers to an installed candidate; each part begins once what it needs is there."""
    with ThreadPoolExecutor(max_workers=7) as pool:
        staging = pool.submit(up.prepare_services, cell, images, with_workspace=with_workspace)
        rising = pool.submit(up.boot_testbed, cell, images)

        def build() -> Build:
            return cached or phases_build.build(cell, images, workspace_ready=staging.result)

        def serve() -> Repo:
            return phases_build.serve(cell, building.result(), staging.result())

        def provide_previous() -> None:
            building.result()  # there is one workspace at a time, and the candidate goes first
            rising.result()  # which looks at the workspace that runs now
            previous.build(cell, images)
            previous.serve(cell, staging.result())

        def prepare_ce() -> None:
            staging.result()
            rising.result()
            up.prepare_ce(cell)

        def install() -> Installed:
            made, served = building.result(), serving.result()
            rising.result()
            return phases_install.install(cell, made, served, ce_ready=preparing.result)

        building = pool.submit(build)  # one by one: each part refers to those before it
        serving = pool.submit(serve)
        preparing = pool.submit(prepare_ce)
        installing = pool.submit(install)
        wait_for_all([staging, rising, building, serving, pool.submit(provide_previous), preparing, installing])
    return building.result(), serving.result(), installing.result()


def _raise_testbed(cell: Cell, images: PlatformImages) -> None:
    up.prepare_services(cell, images, with_workspace=False)  # after a build from the cache it is not there yet
    up.boot_testbed(cell, images)
    up.prepare_ce(cell)


def _finish(cell: Cell, ending: Ending, error: ItbError | None) -> int:
    """Evidence, removal or keeping, exit code, report; none of them keeps the next from happening."""
    stop = cell.engine.runner.stop
    stop.clear()
    if ending.reason:
        with cell.journal.case(Phase.RUN, "itb", "the run goes to its end") as trial:
            cause = InterruptedRunError if ending.signals else TestbedError
            trial.error(ending.reason, exit_code=cause.exit_code)
    if error is not None:
        _tell(cell, error)
    code = exit_code(cell, error)
    if cell.journal.lost:
        ending.leave_alone(stop)
        return worst([code, down.remove(cell.journal, cell.engine)])
    failed = code not in (ExitCode.PASSED, ExitCode.INTERRUPTED)
    keep = cell.settings.keep == "always" or (cell.settings.keep == "failed" and failed)
    try:
        # Not where the testbed is at fault: an engine that hangs would hang once more.
        if not ending.reason and code != TestbedError.exit_code:
            with suppress(ItbError, OSError):
                phases_build.look_at_packages(cell)
        if ending.signals < 2:
            down.collect_evidence(cell)
    finally:
        ending.leave_alone(stop)
        if not keep:
            code = worst([code, down.remove(cell.journal, cell.engine)])
        code = worst([code, _conclude(cell, code, kept=keep)])
    return code


def _tell(cell: Cell, error: ItbError) -> None:
    """Make a case of an error that none speaks of: something failed between two cases."""
    told = any(error.message in case.message for case in cell.journal.cases if case.exit_code)
    if not told and not isinstance(error, InterruptedRunError):
        with suppress(ItbError), cell.journal.case(Phase.RUN, "itb", "the run goes on"):
            raise error


def _conclude(cell: Cell, code: int, *, kept: bool) -> int:
    """Write how a run ended, and its reports; the exit code of what keeps them from being written."""
    try:
        cell.rundir.update(finished=time.time(), exit_code=code, kept=kept)
        write.write(cell.rundir, notes=cell.notes)
    except UsageError:
        cell.journal.lose("it is not readable any more")
        return TestbedError.exit_code
    except OSError as error:
        cell.journal.lose(f"{error.filename or 'the reports'} cannot be written: {error.strerror}")
        return TestbedError.exit_code
    return ExitCode.PASSED


def exit_code(cell: Cell, error: ItbError | None = None) -> int:
    """The contract's exit code for the cases so far; 3 if nothing failed but no scenario step ran."""
    codes = [case.exit_code for case in cell.journal.cases]
    if error is not None:
        codes.append(error.exit_code)
    names = tuple(f"{scenario.name}: " for scenario in cell.scenarios)
    steps = [case for case in cell.journal.cases if case.phase == Phase.TEST and case.name.startswith(names)]
    if not any(codes) and all(case.outcome == Outcome.SKIPPED for case in steps):
        return NothingRanError.exit_code
    return worst(codes)
