"""Commands that start a run."""

from __future__ import annotations

from collections.abc import Callable

from itb.cli.commands.common import begin_reports, conclude, progress, warn, warn_of_privileges
from itb.config.settings import Settings
from itb.process import orphans
from itb.process.stop import Ending
from itb.run import assemble, pipeline, start
from itb.run.cell import Cell


def run(settings: Settings, *, as_json: bool = False) -> int:
    """Run every cell of the settings and return the worst exit code."""
    return _start(settings, pipeline.run_cell, as_json=as_json)


def build(settings: Settings, *, as_json: bool = False) -> int:
    """Build the RPMs of every cell; other commands go on with these runs."""
    return _start(settings, pipeline.build_cell, as_json=as_json)


def _start(settings: Settings, work: Callable[[Cell, Ending], int], *, as_json: bool) -> int:
    assemble.check_working_directory()
    begin_reports(settings)
    ending = Ending()
    with ending.listening(settings.run_timeout * settings.timeout_factor), orphans.guard():
        resolved = start.resolve_run(settings, ending)
        warn_of_privileges(settings)
        warn(*resolved.commit.warnings)  # at once, and not only in the reports: a build may take minutes to fail
        with progress(settings, resolved.title) as listener:
            cells, code = start.run_cells(resolved, work, listener=listener, ending=ending)
    conclude(settings, *((cell.journal, cell.notes) for cell in cells), as_json=as_json)
    return code
