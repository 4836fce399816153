"""What a resumed run need not do again."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.rundir import checkpoints as checkpoint_keys
from itb.rundir.checkpoints import CheckpointKey, CheckpointKind, Checkpoints
from itb.rundir.directory import RunDir


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path, "p-1234-deb13")


def test_done_on_the_same_containers_stays_done(rundir: RunDir) -> None:
    checkpoints = Checkpoints(rundir)
    checkpoints.mark_done(checkpoints.begin(CheckpointKey(CheckpointKind.CE), {"ce": "1"}, taints=["ce"]))
    checkpoints.mark_done(checkpoints.begin(CheckpointKey(CheckpointKind.BUILD), {}))
    checkpoints.begin(CheckpointKey(CheckpointKind.REPO), {"services": "2"})
    assert checkpoints.is_done(CheckpointKey(CheckpointKind.CE))
    assert not checkpoints.is_done(CheckpointKey(CheckpointKind.REPO))
    later = Checkpoints(rundir)
    assert not later.is_done(checkpoint_keys.CE_PREPARED), "nothing of another process counts before it is resumed"
    assert later.restore({"ce": "1", "services": "2"}) == {"ce", "build"}
    assert later.restore({"ce": "another"}) == {"build"}
    assert later.restore({}) == {"build"}
    assert later.restore({"ce": "1"}, again={CheckpointKind.CE}) == {"build"}


def test_last_word_counts(rundir: RunDir) -> None:
    checkpoints = Checkpoints(rundir)
    checkpoints.mark_done(checkpoints.begin(CheckpointKey(CheckpointKind.CE), {"ce": "1"}))
    checkpoints.begin(CheckpointKey(CheckpointKind.CE), {"ce": "1"}, taints=["ce"])
    assert Checkpoints(rundir).restore({"ce": "1"}) == set()


def test_host_of_a_checkpoint_that_never_got_done_is_tainted(rundir: RunDir) -> None:
    checkpoints = Checkpoints(rundir)
    checkpoints.begin(CheckpointKey(CheckpointKind.INSTALLATION, "factory"), {"factory": "1"}, taints=["factory"])
    frontend = CheckpointKey(CheckpointKind.INSTALLATION, "frontend")
    checkpoints.mark_done(checkpoints.begin(frontend, {"frontend": "2"}, taints=["frontend"]))
    checkpoints.begin(CheckpointKey(CheckpointKind.BOOT, "services"), {"services": "3"})
    running = {"factory": "1", "frontend": "2", "services": "3"}
    assert Checkpoints(rundir).tainted_hosts(running) == {"factory": "installed.factory"}
    assert Checkpoints(rundir).tainted_hosts({**running, "factory": "new"}) == {}


def test_line_that_was_cut_off(rundir: RunDir) -> None:
    checkpoints = Checkpoints(rundir)
    checkpoints.mark_done(checkpoints.begin(CheckpointKey(CheckpointKind.SIGNING_KEY), {}))
    with (rundir.path / "state" / "work.jsonl").open("a") as file:
        file.write('\n{"piece":"two","do')
    checkpoints.mark_done(checkpoints.begin(CheckpointKey(CheckpointKind.TOKEN), {}))
    assert Checkpoints(rundir).restore({}) == {"key", "token"}


def test_file_has_the_keys_it_always_had(rundir: RunDir) -> None:
    """A run that an older itb began is resumed by this one."""
    file = rundir.path / "state" / "work.jsonl"
    checkpoints = Checkpoints(rundir)
    checkpoints.begin(CheckpointKey(CheckpointKind.CE), {"ce": "1"}, taints=["ce"])
    assert file.read_text() == '\n{"piece":"ce","hosts":{"ce":"1"},"taints":["ce"],"done":false}'
    file.write_text('{"piece":"installed.factory","hosts":{"factory":"1"},"spoils":["factory"],"done":false}\n')
    assert checkpoints.tainted_hosts({"factory": "1"}) == {"factory": "installed.factory"}
