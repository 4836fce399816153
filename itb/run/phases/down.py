"""The phases evidence and down: the hosts' logs are collected, then the hosts are removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from itb.containers import naming
from itb.containers.engine import Engine
from itb.errors import UNDECIDED, ExitCode, InterruptedRunError, TestbedError, UsageError, as_itb_error, worst
from itb.model import CaseKey, Notes, Remark
from itb.phase import Phase
from itb.process.parallel import in_parallel
from itb.report import run_report, run_result
from itb.repository import server as repository_server
from itb.roles import ITB, NETWORK, SERVICES, WORKSPACE
from itb.run.cell import Cell
from itb.rundir import values
from itb.rundir.checkpoints import USED_WORKSPACE, CheckpointKind, Checkpoints
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.testbed import logs

EVIDENCE = CaseKey(Phase.EVIDENCE, ITB, "logs collected from the hosts")
_INSTALLED = CheckpointKind.INSTALLATION
_NAMED = 3  # logs that are not there whole
REMOVED = CaseKey(Phase.DOWN, NETWORK, "hosts and network removed")


@dataclass(frozen=True)
class CollectedLogs:
    """The logs of a run's hosts are in its directory: what was lost of them, or why they are not whole."""

    losses: Sequence[str] = ()
    problem: str = ""


def collect_logs(cell: Cell) -> CollectedLogs:
    """Collect the logs of all hosts; only an interruption is an error, since the verdict does not depend on it."""
    losses, problem = list[str](), ""
    try:
        left_out = collect(cell, [SERVICES, WORKSPACE, *cell.testbed_roles])
        losses = [f"{role}: {line}" for role, lines in left_out.items() for line in lines if _is_loss(line)]
    except InterruptedRunError:
        raise
    except Exception as error:  # noqa: BLE001 - a host that has died, a full disk, what a hostile host sent
        problem = as_itb_error(error).message
    return CollectedLogs(losses, problem)


def collect_evidence(cell: Cell, collected: CollectedLogs | None = None) -> None:
    """Report the logs of all hosts as a case that never fails; collect them, unless they were ``collected``."""
    with cell.journal.case(*EVIDENCE) as case:
        try:
            collected = collected or collect_logs(cell)
        except InterruptedRunError as error:
            case.skip(f"incomplete: {error.message}")
            return
        if collected.problem:
            case.skip(f"incomplete: {collected.problem}")
        elif losses := collected.losses:
            more = f" and {len(losses) - _NAMED} more" if len(losses) > _NAMED else ""
            case.passed("; ".join(losses[:_NAMED]) + more)
            case.remark = Remark.WARNING


def _is_loss(line: str) -> bool:
    """Return whether a log that tells of the run is not there whole; binary files are expected."""
    return not line.startswith("binary: ")


def remove(journal: Journal, engine: Engine) -> int:
    """Remove hosts, network and secrets of the journal's run; return the exit code of a failure to do so."""
    try:
        _remove(journal, engine)
    except OSError as error:  # secrets in a directory that cannot be written
        journal.mark_lost(f"{error.filename}: {error.strerror}")
        return TestbedError.exit_code
    except Exception as error:  # noqa: BLE001 - its case tells of it; the report is still to come
        return as_itb_error(error).exit_code
    return ExitCode.PASSED


def _remove(journal: Journal, engine: Engine) -> None:
    rundir = journal.rundir
    with journal.case(*REMOVED) as case:
        # Secrets first: if this process is killed after that, `itb clean` finds the containers by label.
        try:
            rundir.forget_secrets()
        finally:
            try:
                removed = _remove_containers(rundir, engine)
            except TestbedError as error:
                raise _doubt(rundir, error) from None
        case.passed(f"{len(removed)} removed", evidence="\n".join(removed))


def _remove_containers(rundir: RunDir, engine: Engine) -> list[str]:
    """Remove the containers and networks of a run; return their kinds and names."""
    labels = naming.run_labels(rundir.id, rundir.path.parent)
    removed = engine.remove_labelled(labels)
    if remaining := engine.containers(labels):
        raise TestbedError(f"{len(remaining)} containers of run {rundir.id} are still there", hint="itb clean")
    return removed


def _doubt(rundir: RunDir, error: TestbedError) -> TestbedError:
    """Return the error of a removal as undecided where code of the candidate has run: it may hold that up.

    It has made a million files, for instance, which take the engine longer to remove than it may.
    """
    names = Checkpoints(rundir).recorded()
    if USED_WORKSPACE.name not in names and not any(name.startswith(f"{_INSTALLED}.") for name in names):
        return error
    doubtful = error.turned_into(TestbedError, f"{UNDECIDED}, or the engine: {error.message}")
    doubtful.conclusive = True
    return doubtful


def down(journal: Journal, engine: Engine, *, notes: Notes | None = None) -> int:
    """Remove what a run kept and report the run; return the exit code of the removal alone.

    The run's own exit code stays, unless the removal fails.
    """
    code = remove(journal, engine)
    try:
        state = journal.rundir.state
    except UsageError:  # run.json cannot be read; the hosts are removed all the same
        run_report.write(journal.rundir, notes=notes)
    else:
        # A run without an exit code was cut off.
        run_code = InterruptedRunError.exit_code if state.exit_code is None else state.exit_code
        journal.rundir.update(exit_code=worst([run_code, code]), kept=False, is_stepwise=False, ended=None)
        run_result.record(journal.rundir, run_report.write(journal.rundir, notes=notes))
    return code


def collect(cell: Cell, roles: Sequence[str]) -> dict[str, list[str]]:
    """Copy logs and state of these roles' hosts, if they run, into the run directory; return what was left out."""
    private = cell.rundir.tokens if cell.rundir.tokens.is_dir() else None

    def collect_role(role: str) -> list[str]:
        globs = cell.logs.get(role, ("/var/log/nginx/*",))
        left_out = logs.collect(cell.host(role), globs, cell.rundir.host(role), private=private)
        build = cell.rundir.load(values.BUILD)
        if role == SERVICES and build and not build.published and cell.rundir.load(values.REPO):
            repository_server.fetch_signed(cell.host(SERVICES), build, cell.rundir.repo / repository_server.SIGNED)
        return left_out

    return in_parallel(sorted(cell.testbed.find_running_roles() & set(roles)), collect_role)
