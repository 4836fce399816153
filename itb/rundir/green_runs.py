"""Finds the run that another is compared with: the last one before it that was green."""

from __future__ import annotations

import itertools

from itb.errors import ExitCode, UsageError
from itb.rundir.directory import RunDir, runs_of

_MOST = 50  # runs that are looked at


def last_green(rundir: RunDir) -> RunDir | None:
    """Return the newest earlier run of the same product and platform in which all was well; None without one."""
    state = rundir.state
    for other in itertools.islice((run for run in runs_of(rundir.path.parent) if run.id < rundir.id), _MOST):
        try:
            earlier = other.state
        except UsageError:  # damaged, or somebody else's
            continue
        is_same = (earlier.product, earlier.platform) == (state.product, state.platform)
        if is_same and earlier.finished and earlier.exit_code == ExitCode.PASSED:
            return other
    return None
