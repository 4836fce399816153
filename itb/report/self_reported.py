"""Self-reported cases: those that rest on the word of a host that the candidate, as root, could have changed."""

from __future__ import annotations

from itb.model import Case, Outcome
from itb.phase import Phase
from itb.report.facts import Facts, base_phase

# Names of the cases about such a host that are judged from outside of it.
PLATFORM_UNCHANGED = "nothing of the platform was changed"
FILES_AND_ORIGINS = "files and origins, seen from outside"

REMARK = "rests on what a host with the candidate on it says of itself"


def cases(facts: Facts) -> list[Case]:
    """Return the cases that passed or failed by the word of a host with the candidate on it."""
    installed = facts.installed.packages if facts.installed else {}
    roles = {role for role, packages in installed.items() if any(package.candidate for package in packages)}
    return [
        case
        for case in facts.cases
        if case.role in roles
        and base_phase(case) in (Phase.INSTALL, Phase.CONFIGURE, Phase.START, Phase.TEST)
        and case.name not in (PLATFORM_UNCHANGED, FILES_AND_ORIGINS)
        and case.outcome in (Outcome.PASSED, Outcome.FAILED)
    ]


def summary_line(facts: Facts) -> str:
    """Return how many cases are self-reported and whether the platform is unchanged, in words; empty if none."""
    number = len(cases(facts))
    if not number:
        return ""
    outcomes = [case.outcome for case in facts.cases if case.name == PLATFORM_UNCHANGED]
    if Outcome.FAILED in outcomes:
        platform = "seen from outside, the platform beneath it WAS CHANGED"
    elif Outcome.PASSED in outcomes:
        platform = "seen from outside, the platform beneath it is unchanged"
    else:
        platform = "nobody has looked from outside whether the platform beneath it is unchanged"
    share = f"{number} of {len(facts.cases)} cases"
    return f"{share} rest{'s' if number == 1 else ''} on the word of hosts with the candidate on them; {platform}"
