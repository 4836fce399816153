"""The end of a run's hosts: what they have to tell is collected, then they go, whatever happened."""

from __future__ import annotations

from collections.abc import Sequence

from itb.containers import naming
from itb.containers.engine import Engine
from itb.errors import ExitCode, InterruptedRunError, ItbError, TestbedError, UsageError, worst
from itb.model import Notes, Phase
from itb.report import write
from itb.repository import signed as repositories
from itb.run.cell import SERVICES, WORKSPACE, Cell
from itb.run.parallel import in_parallel
from itb.rundir import values
from itb.rundir.journal import Journal
from itb.testbed import logs


def collect_evidence(cell: Cell) -> None:
    """Logs of all hosts, as a case that never fails: the verdict stands without it."""
    with cell.journal.case(Phase.EVIDENCE, "itb", "logs collected from the hosts") as trial:
        try:
            collect(cell, [SERVICES, WORKSPACE, *cell.testbed_roles])
        except (ItbError, OSError) as error:
            # A host that is gone has nothing to tell, a full disk takes nothing.
            trial.skip(f"incomplete: {error}")


def remove(journal: Journal, engine: Engine) -> int:
    """Remove hosts, network and secrets of the journal's run; return the exit code of what keeps them there."""
    try:
        _remove(journal, engine)
    except ItbError as failed:
        return failed.exit_code
    except OSError as error:  # secrets that cannot be removed, of a directory that cannot be written
        journal.lose(f"{error.filename}: {error.strerror}")
        return TestbedError.exit_code
    return ExitCode.PASSED


def _remove(journal: Journal, engine: Engine) -> None:
    rundir = journal.rundir
    labels = naming.run_labels(rundir.id, rundir.path.parent)
    with journal.case(Phase.DOWN, "network", "hosts and network removed") as trial:
        # First the secrets: who is killed between the two leaves containers, and those are found by anybody.
        try:
            rundir.forget_secrets()
        finally:
            removed = engine.remove_run(labels)
        left = engine.containers(labels)
        if left:
            raise TestbedError(f"{len(left)} containers of run {rundir.id} are still there", hint="itb clean")
        trial.passed(f"{len(removed)} removed", evidence="\n".join(removed))


def down(journal: Journal, engine: Engine, *, notes: Notes | None = None) -> int:
    """Remove what a run kept and report it; return the exit code of that alone.

    The run's own is that of what it tried: only a removal that fails makes it worse.
    """
    code = remove(journal, engine)
    try:
        state = journal.rundir.state
    except UsageError:
        pass  # there is no state to change; what it was about is gone all the same
    else:
        # Without a word of its own, a run was cut off.
        own = InterruptedRunError.exit_code if state.exit_code is None else state.exit_code
        journal.rundir.update(exit_code=worst([own, code]), kept=False)
    write.write(journal.rundir, notes=notes)
    return code


def collect(cell: Cell, roles: Sequence[str]) -> None:
    """Logs and state of the hosts, whatever happened."""
    private = cell.rundir.tokens if cell.rundir.tokens.is_dir() else None

    def one(role: str) -> None:
        globs = cell.logs.get(role, ("/var/log/nginx/*",))
        logs.collect(cell.host(role), globs, cell.rundir.host(role), private=private)
        made = cell.rundir.saved(values.BUILD)
        if role == SERVICES and made and not made.published and cell.rundir.saved(values.REPO):
            repositories.bring_back(cell.host(SERVICES), made, cell.rundir.repo / repositories.SIGNED)

    in_parallel(sorted(cell.testbed.alive() & set(roles)), one)
