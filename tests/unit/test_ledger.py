"""What a resumed run need not do again."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.ledger import Ledger
from itb.rundir import RunDir


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path, "p-1234-deb13")


def test_done_on_the_same_containers_stands(rundir: RunDir) -> None:
    ledger = Ledger(rundir)
    ledger.done(ledger.begin("ce", {"ce": "1"}, spoils=["ce"]))
    ledger.done(ledger.begin("build", {}))
    ledger.begin("repo", {"services": "2"})
    assert ledger.stands("ce")
    assert not ledger.stands("repo")
    later = Ledger(rundir)
    assert not later.stands("ce"), "nothing of another process stands in a run that is not resumed"
    assert later.take_up({"ce": "1", "services": "2"}) == {"ce", "build"}
    assert later.take_up({"ce": "another"}) == {"build"}
    assert later.take_up({}) == {"build"}
    assert later.take_up({"ce": "1"}, but=("ce",)) == {"build"}


def test_last_word_counts(rundir: RunDir) -> None:
    ledger = Ledger(rundir)
    ledger.done(ledger.begin("ce", {"ce": "1"}))
    ledger.begin("ce", {"ce": "1"}, spoils=["ce"])
    assert Ledger(rundir).take_up({"ce": "1"}) == set()


def test_host_of_a_piece_that_never_got_done_is_doubtful(rundir: RunDir) -> None:
    ledger = Ledger(rundir)
    ledger.begin("installed.factory", {"factory": "1"}, spoils=["factory"])
    ledger.done(ledger.begin("installed.frontend", {"frontend": "2"}, spoils=["frontend"]))
    ledger.begin("boot.services", {"services": "3"})
    running = {"factory": "1", "frontend": "2", "services": "3"}
    assert Ledger(rundir).doubtful(running) == {"factory": "installed.factory"}
    assert Ledger(rundir).doubtful({**running, "factory": "new"}) == {}


def test_line_that_was_cut_off(rundir: RunDir) -> None:
    ledger = Ledger(rundir)
    ledger.done(ledger.begin("one", {}))
    with (rundir.path / "state" / "work.jsonl").open("a") as file:
        file.write('\n{"piece":"two","do')
    ledger.done(ledger.begin("three", {}))
    assert Ledger(rundir).take_up({}) == {"one", "three"}
