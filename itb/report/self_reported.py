"""Finds self-reported cases: their result rests on what a host says that the candidate, as root, could change."""

from __future__ import annotations

from itb.model import Case, Outcome
from itb.phase import Phase
from itb.report.run_data import RunData, base_phase
from itb.rundir.case_history import FILES_AND_ORIGINS, PLATFORM_UNCHANGED

REMARK = "rests on what a host with the candidate on it says of itself"


def cases(run_data: RunData) -> list[Case]:
    """Return the cases that passed or failed by what a host with the candidate on it says."""
    installed = run_data.installed.packages if run_data.installed else {}
    roles = {role for role, packages in installed.items() if any(package.candidate for package in packages)}
    return [
        case
        for case in run_data.cases
        if case.role in roles
        and base_phase(case) in (Phase.INSTALL, Phase.CONFIGURE, Phase.START, Phase.TEST)
        and case.name not in (PLATFORM_UNCHANGED, FILES_AND_ORIGINS)
        and case.outcome in (Outcome.PASSED, Outcome.FAILED)
    ]


def summary_line(run_data: RunData) -> str:
    """Return how many cases are self-reported, and whether the platform is unchanged; empty if none is."""
    number = len(cases(run_data))
    if not number:
        return ""
    outcomes = [case.outcome for case in run_data.cases if case.name == PLATFORM_UNCHANGED]
    if Outcome.FAILED in outcomes:
        platform = "seen from outside, the platform beneath it WAS CHANGED"
    elif Outcome.PASSED in outcomes:
        platform = "seen from outside, the platform beneath it is unchanged"
    else:
        platform = "nobody has looked from outside whether the platform beneath it is unchanged"
    share = f"{number} of {len(run_data.cases)} cases"
    return f"{share} rest{'s' if number == 1 else ''} on the word of hosts with the candidate on them; {platform}"
