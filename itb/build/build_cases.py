"""The cases of a build, which are the same whether the RPMs are built or taken from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from itb.build.cache import CachedBuild
from itb.model import CaseKey, Rpm
from itb.phase import Phase
from itb.roles import WORKSPACE
from itb.rundir.journal import CaseRecorder
from itb.util import when
from itb.util.text import count

REQUIRES = CaseKey(Phase.BUILD, WORKSPACE, "what the spec needs to be built is there")
BUILT = CaseKey(Phase.BUILD, WORKSPACE, "the RPMs are built")
COMPLETE = CaseKey(Phase.BUILD, WORKSPACE, "the RPMs are the commit's and complete")
SOURCE = CaseKey(Phase.BUILD, WORKSPACE, "the source RPM holds the commit's files")
CASES = (REQUIRES, BUILT, COMPLETE, SOURCE)


def report_cached(cached: CachedBuild, journal: CaseRecorder, *, log: Path) -> None:
    """Report the cases of a build that was taken from the cache; ``log`` is the copy of its log."""
    with journal.case(*REQUIRES) as case:
        case.skip("nothing has to be built: the RPMs are in the cache")
    with journal.case(*BUILT) as case:
        case.passed(
            f"taken from the cache: same commit, platform and arguments, built {when.utc(cached.built)} "
            f"in {cached.seconds:.0f} s by run {cached.run} as {cached.trust}"
        )
        case.log = log
    with journal.case(*COMPLETE) as case:
        number = count(len(cached.rpms), "RPM")
        case.passed(f"{number}, with the checksums they were kept with", evidence=list_rpms(cached.rpms))
    with journal.case(*SOURCE) as case:
        message = f"compared when it was built: {cached.source_check.message}"
        if cached.source_check.is_judged:
            case.passed(message)
        else:
            case.skip(message)


def list_rpms(rpms: Sequence[Rpm]) -> str:
    """Return a line for each RPM: its NEVRA and checksum."""
    return "\n".join(f"{rpm.nevra}  sha256 {rpm.sha256}" for rpm in rpms)
