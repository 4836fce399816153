"""What a look at a host comes to; the looking itself is in tests/faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import InstallError, InterruptedRunError, ItbError, ScenarioError, TestbedError, UsageError
from itb.journal import Journal
from itb.rundir import RunDir

FULL = "host ce: disk full: /var has 0 KiB left"


def journal_that_finds(tmp_path: Path, cause: str) -> Journal:
    made = Journal(RunDir(tmp_path))
    made.look = lambda role, _seen: cause if role == "ce" else ""
    return made


@pytest.mark.parametrize("error", [InstallError("no package x", evidence="e"), TestbedError("curl failed")])
def test_a_broken_testbed_is_never_the_products_failure(tmp_path: Path, error: ItbError) -> None:
    journal = journal_that_finds(tmp_path, FULL)
    with pytest.raises(TestbedError, match="disk full"), journal.case("install", "ce", "dnf install x"):
        raise error
    case = journal.cases[-1]
    assert (case.outcome, case.exit_code) == ("error", 5)
    assert case.message == f"{FULL}; seen of it: {error.message}"
    assert case.evidence == error.evidence


def test_a_sound_testbed_leaves_the_verdict_as_it_is(tmp_path: Path) -> None:
    journal = journal_that_finds(tmp_path, FULL)
    with pytest.raises(InstallError), journal.case("install", "factory", "dnf install x"):
        raise InstallError("no package x")
    assert (journal.cases[-1].outcome, journal.cases[-1].exit_code) == ("failed", 7)


def test_a_cause_is_said_once_and_an_interruption_stays_one(tmp_path: Path) -> None:
    journal = journal_that_finds(tmp_path, FULL)
    known = TestbedError(f"{FULL}: tar failed")
    assert journal.judged("ce", known) is known
    for error in (InterruptedRunError("interrupted"), UsageError("no")):
        assert journal.judged("ce", error) is error
    assert isinstance(journal.judged("ce", ScenarioError("no jobs")), TestbedError)
