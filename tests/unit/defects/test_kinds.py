"""Every kind of defect can be made of pocketwms, and none of a product that has nothing for it."""

from __future__ import annotations

import pytest

from itb.config import lookup
from itb.defects import kinds, outcome
from itb.defects.kinds import Candidate, Kind, Made
from itb.defects.outcome import Caught, DefectOutcome
from itb.defects.rpm_files import PackageContent, PackagedFile
from itb.defects.spec_text import SpecText
from itb.errors import ExitCode
from itb.model import Case, Outcome
from tests.defects import catalogue

SPEC = SpecText((catalogue.PRODUCT / "source/build/packaging/rpm/pocketwms.spec").read_text())
LIB = "/usr/lib/python3/dist-packages/pocketwms"


def packaged(path: str, mode: int = 0o100644, user: str = "root", flags: int = 0, kind: str = "") -> PackagedFile:
    return PackagedFile("pocketwms-frontend", path, mode, user, flags, "digest", kind)


FILES = (
    packaged("/usr/sbin/pocketwms-frontend", 0o100755, kind="Python script, ASCII text executable"),
    packaged(f"{LIB}/frontend.py"),
    packaged(f"{LIB}/100%.py"),
    packaged("/usr/libexec/pocketwms/pilot_startup", 0o100755, kind="Bourne-Again shell script"),
    packaged("/usr/share/pocketwms/pilot.sh"),
    packaged("/usr/lib/systemd/system/pocketwms-frontend.service"),
    packaged("/etc/pocketwms/frontend.yaml", flags=17),
    packaged("/etc/logrotate.d/pocketwms-frontend", flags=17),
    packaged("/var/lib/pocketwms/frontend", 0o40755, "pocketfrontend"),
    packaged("/var/lib/pocketwms/factory", 0o40755, "pocketfactory"),
)
POCKET = kinds.candidate(
    lookup.load_product("pocketwms"), SPEC, [PackageContent("pocketwms-frontend", ("condor",), FILES)]
)


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_kind_is_made_of_pocketwms(kind: Kind) -> None:
    made = kind.make(POCKET)
    assert made
    assert made.spec != SPEC
    assert made.title
    assert made.words
    assert not made.path or made.path in POCKET.files
    nothing = Candidate(SpecText("Name: nothing\n%install\n%files\n"), (), ())
    assert kind.make(nothing) is None
    assert kind.wants


def test_names_are_distinct() -> None:
    assert len({kind.name for kind in kinds.KINDS}) == len(kinds.KINDS) >= 20


def test_percent_in_a_name_is_none_of_a_macro() -> None:
    files = (packaged(f"{LIB}/100%.py"),)
    made = next(kind for kind in kinds.KINDS if kind.name == "file-is-unreadable").make(
        Candidate(SPEC, (PackageContent("pw", (), files),), ())
    )
    assert made
    assert f"set -- %{{buildroot}}{LIB}/100%%.py\n" in made.spec.text


MADE = Made(SPEC, "%post of pw fails", ("%post of pw",))


def failed(message: str) -> Case:
    return Case(
        phase="test", role="bare", name="dnf", outcome=Outcome.FAILED, message=message, started=1.0, seconds=1.0,
        exit_code=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "messages", "caught"),
    [
        (ExitCode.PASSED, [], Caught.NO),
        (ExitCode.SCENARIO, ["%post of pw-1-1 failed"], Caught.YES),
        (ExitCode.INSTALL, ["no jobs", "%post of pw-1-1 failed"], Caught.YES),
        (ExitCode.SCENARIO, ["no jobs ran"], Caught.ELSEWHERE),
        (ExitCode.TESTBED, ["%post of pw-1-1 failed"], Caught.UNDECIDED),
        (ExitCode.INTERRUPTED, [], Caught.UNDECIDED),
    ],
)
def test_run_is_judged(code: ExitCode, messages: list[str], caught: Caught) -> None:
    judged = outcome.judge("post-fails", MADE, map(failed, messages), code, cause="the first cause")
    assert (judged.name, judged.caught, judged.cause) == ("post-fails", caught, "the first cause")


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        ([Caught.YES, Caught.ELSEWHERE, Caught.NOT_MADE], ExitCode.PASSED),
        ([Caught.YES, Caught.UNDECIDED], ExitCode.TESTBED),
        ([Caught.NO, Caught.UNDECIDED], ExitCode.SCENARIO),
        ([Caught.NOT_MADE], ExitCode.NOTHING_RAN),
    ],
)
def test_exit_code_says_whether_all_were_caught(seen: list[Caught], code: ExitCode) -> None:
    outcomes = [DefectOutcome(name="a", title="b", caught=caught) for caught in seen]
    assert outcome.exit_code(outcomes) == code


def test_summary_counts() -> None:
    seen = (Caught.YES, Caught.NO, Caught.NOT_MADE)
    outcomes = [DefectOutcome(name="a", title="b", caught=caught) for caught in seen]
    assert outcome.summary(outcomes) == "2 defects tried: 1 caught, 1 let pass, 1 not tried"
