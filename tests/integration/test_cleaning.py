"""Leftovers of runs that died: gone, by label alone; those of runs that live or were kept: left alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from itb.config.settings import Settings
from itb.containers import naming
from itb.containers.description import container_name, labels_of
from itb.containers.engine import Engine
from itb.machine import cleanup
from itb.model import PlatformImages
from itb.rundir.directory import RunDir, RunState

Leave = Callable[..., RunDir]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@pytest.fixture
def leave(engine: Engine, images: PlatformImages, tmp_path: Path, own_label: str) -> Leave:
    """Leave a run behind, as one that was killed does: directory, container, network, volume, secrets."""

    def make(name: str, runs: str = "runs", *, kept: bool = False, directory: bool = True) -> RunDir:
        rundir = RunDir(tmp_path / runs / name)
        labels = (*naming.options(naming.run_labels(name, rundir.path.parent)), "--label", own_label)
        thing = f"itb-test-{secrets.token_hex(4)}"
        engine.call("network", "create", *labels, thing)
        engine.call("volume", "create", *labels, thing)
        engine.call(
            "run",
            "--detach",
            "--name",
            thing,
            "--network",
            thing,
            *labels,
            images.bare.reference,
            "sleep",
            "600",
        )
        if directory:
            rundir.tokens.mkdir(parents=True)
            (rundir.tokens / "ca.key").write_text("secret")
            state = RunState(id=name, short_id="x", product="p", platform="d", ref="r", started=1, kept=kept)
            rundir.write_state(state)
        return rundir

    return make


def clean(engine: Engine, folder: Path, *, include_kept: bool = False) -> list[str]:
    """Sweep, but never what other sessions on this machine have left."""
    reported: list[str] = []
    own = [run for run in cleanup.leftover_runs(engine) if run[1].startswith(str(folder))]
    original = cleanup.leftover_runs
    cleanup.leftover_runs = lambda _: own
    try:
        cleanup.clean_runs(engine, folder / "runs", include_kept=include_kept, report=reported.append)
    finally:
        cleanup.leftover_runs = original
    return reported


def there(engine: Engine, rundir: RunDir) -> list[str]:
    filters = naming.run_labels(rundir.id, rundir.path.parent)
    return [naming.run_of(labels_of(item))[0] for item in engine.all_resources(filters)]


def test_dead_run_goes_and_its_secrets_with_it(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    rundir = leave("20260101T000000Z-p-1-d")
    assert len(there(engine, rundir)) == 3
    reported = clean(engine, tmp_path)
    assert [line.split()[2] for line in reported] == ["container", "network", "volume"]
    assert there(engine, rundir) == []
    assert list(rundir.tokens.iterdir()) == []
    assert rundir.state.id == rundir.id, "the report stays"
    assert clean(engine, tmp_path) == []


def test_container_of_somebody_with_a_hosts_labels_stays(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    """It was started from an image that somebody made of a host, to look into what is wrong there."""
    rundir, name = leave("looked-into"), f"somebodys-{secrets.token_hex(4)}"
    (host,) = engine.containers(naming.run_labels(rundir.id))
    snapshot = engine.call("commit", "--quiet", container_name(host), f"localhost/{name}:1").stdout.split()[-1]
    try:
        engine.call("run", "--detach", "--name", name, "--network", "none", snapshot, "sleep", "600")
        assert naming.run_of(labels_of(engine.inspect(name)["Config"]))[0] == rundir.id
        reported = clean(engine, tmp_path)
        assert engine.inspect(name)["State"]["Running"]
        assert there(engine, rundir) == []
        assert [line for line in reported if line.startswith(f"{name}: not one of itb's by its name, left alone")]
        assert (rundir.id, str(rundir.path.parent)) not in cleanup.leftover_runs(engine)
    finally:
        engine.remove_containers(name, check=False)
        engine.call("rmi", snapshot)


@AS_ROOT
def test_directory_of_a_neighbour_leads_nowhere(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    """Its tokens and its lock may lead anywhere: the hosts go, and no file of anybody does."""
    rundir, victim = leave("theirs"), tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine")
    shutil.rmtree(rundir.tokens)
    rundir.tokens.symlink_to(victim)
    (rundir.path / ".lock").symlink_to(victim / "file")
    secrets_only = RunDir(tmp_path / "runs" / "secrets-only")
    secrets_only.tokens.mkdir(parents=True)
    (secrets_only.tokens / "key").write_text("theirs")
    (secrets_only.path / "run.json").write_text("{}")
    for path in (rundir.path, rundir.tokens, rundir.path / ".lock", secrets_only.path):
        os.chown(path, 54321, 54321, follow_symlinks=False)
    reported = clean(engine, tmp_path)
    assert there(engine, rundir) == []
    assert (victim / "file").read_text() == "mine"
    assert (secrets_only.tokens / "key").exists()
    assert [line.partition(" belongs")[0] for line in reported if "left as it is" in line] == [
        f"theirs: its directory is left as it is: {rundir.tokens}",
        f"secrets-only: its directory is left as it is: {secrets_only.path}",
    ]


@pytest.mark.parametrize("link", ["runs", "runs/link"])
def test_folders_that_are_no_runs(engine: Engine, tmp_path: Path, link: str) -> None:
    """A link in a candidate's tree made `itb clean` there empty folders of the user's that are called tokens."""
    project, run = tmp_path / "home" / "project", RunDir(tmp_path / "home" / "kept")
    for folder in (project / "tokens", run.tokens):
        folder.mkdir(parents=True)
        (folder / "mine").write_text("x")
    (run.path / "run.json").write_text("{}")
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(project.parent if link == "runs" else run.path)
    assert clean(engine, tmp_path) == (["kept: removed its secrets"] if link == "runs" else [])
    assert (project / "tokens" / "mine").exists()
    assert (run.tokens / "mine").exists() is (link != "runs")


def test_run_whose_directory_is_gone(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    rundir = leave("gone", directory=False)
    clean(engine, tmp_path)
    assert there(engine, rundir) == []


def test_run_whose_state_is_broken(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    rundir = leave("broken")
    (rundir.path / "run.json").write_text("{")
    clean(engine, tmp_path)
    assert there(engine, rundir) == []
    assert list(rundir.tokens.iterdir()) == []


def test_living_and_kept_runs_stay(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    alive, kept = leave("alive"), leave("kept", kept=True)
    with alive.lock():
        reported = clean(engine, tmp_path)
    assert [line.partition(",")[0] for line in reported] == ["alive: still running", "kept: kept on purpose"]
    assert len(there(engine, alive)) == len(there(engine, kept)) == 3
    clean(engine, tmp_path, include_kept=True)
    assert there(engine, alive) == there(engine, kept) == []
    assert not kept.state.kept


def test_same_name_in_two_folders(engine: Engine, leave: Leave, tmp_path: Path) -> None:
    mine, other = leave("same"), leave("same", "others")
    with other.lock():
        clean(engine, tmp_path)
    assert there(engine, mine) == []
    assert len(there(engine, other)) == 3
    clean(engine, tmp_path)
    assert there(engine, other) == []


@pytest.mark.parametrize("place", ["format-1", "format-99", ""])
def test_cache(tmp_path: Path, place: str) -> None:
    """Also what versions of itb left there whose entries have another form, or had no folder of their own."""
    folder = tmp_path / place
    build, clone, history = f"{'0' * 32}-branch", f"old-{'0' * 16}.git", f"old-{'0' * 12}.git"
    own = (f"builds/{build}", f"sources/{clone}", f"history/{history}")
    others = ("builds/project", "sources/project.git", "history/thesis", "platforms/old")
    for name in (f"builds/{'1' * 32}-branch", *own, *others):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
        if "1" not in name:
            long_ago = time.time() - 15 * 86400
            os.utime(folder / name, (long_ago, long_ago))
    reported: list[str] = []
    cache = Settings(cache=str(tmp_path)).cache_dir
    cleanup.clean_cache(cache, everything=False, report=reported.append)
    there = {str(path.parent.relative_to(folder)) for path in folder.glob("*/*/file")}
    assert there == {f"builds/{'1' * 32}-branch", *others}, "what is not itb's is not touched"
    assert len(reported) == 3
    cleanup.clean_cache(cache, everything=True, report=reported.append)
    there = {str(path.parent.relative_to(folder)) for path in folder.glob("*/*/file")}
    assert there == set(others), "images' state is not the cache's"


@contextlib.contextmanager
def monitor(folder: Path, name: str, *, elsewhere: bool = False) -> Iterator[Callable[[], bool]]:
    """A process that looks like a container's monitor, with a child; tells whether the child still lives.

    Its container's folder is there in a mount namespace of its own, or nowhere.
    """
    fake, place = folder / "fake.sh", folder / name
    fake.write_text("sleep 600 & echo child; wait $!; echo ended; exec sleep 600\n")
    place.mkdir()
    # The child has a table of processes of its own, as containers have.
    begin = f"exec unshare --pid bash -c 'exec -a conmon bash {fake} -n {name} -b {place}/bundle'"
    if elsewhere:
        begin = f"mount -t tmpfs none {place}; mkdir {place}/bundle; {begin}"
    argv = [*(["unshare", "--mount"] if elsewhere else []), "bash", "-c", begin]
    reported = folder / f"{name}.txt"
    with reported.open("w") as out:
        process = subprocess.Popen(argv, stdout=out, start_new_session=True)
    try:
        wait_until(lambda: "child" in reported.read_text())
        yield lambda: "ended" not in reported.read_text()
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def wait_until(done: Callable[[], bool], within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Knowing:
    """An engine that knows of one container, and of no run that left anything."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def containers(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        return [] if filters else [{"Names": [name]} for name in self.names]

    def all_resources(self, *_: object) -> list[dict[str, Any]]:
        return []


@pytest.mark.skipif(os.getuid() != 0, reason="makes namespaces")
def test_only_what_no_engine_and_no_run_has_is_an_orphan(tmp_path: Path) -> None:
    """A container of a podman in another mount namespace lives on, and so do known ones and those of live runs."""
    short, busy = secrets.token_hex(4), secrets.token_hex(4)
    at_work = RunDir(tmp_path / "runs" / "r")
    at_work.path.mkdir(parents=True)
    at_work.write_state(RunState(id="r", short_id=busy, product="p", platform="d", ref="r", started=1))
    engine: Any = Knowing(f"itb-{short}-known")
    with contextlib.ExitStack() as held:
        elsewhere = held.enter_context(monitor(tmp_path, f"itb-{short}-ce", elsewhere=True))
        known = held.enter_context(monitor(tmp_path, f"itb-{short}-known"))
        removing = held.enter_context(monitor(tmp_path, f"itb-{busy}-ce"))
        orphan = held.enter_context(monitor(tmp_path, f"itb-{short}-factory"))
        held.enter_context(at_work.lock())
        assert cleanup.end_orphans(engine, tmp_path / "runs") == [f"container itb-{short}-factory"]
        wait_until(lambda: not orphan())
        assert (elsewhere(), known(), removing()) == (True, True, True)


@pytest.mark.skipif(os.getuid() != 0, reason="moves a folder of the engine's")
@pytest.mark.parametrize("name", ["itb-{}-ce", "itb-deb13-{}-root"])
def test_container_the_engine_has_forgotten_is_ended(
    engine: Engine, images: PlatformImages, own_label: str, name: str, tmp_path: Path
) -> None:
    """As after a removal that was cut off; one that the engine knows goes on."""
    name = name.format(secrets.token_hex(4))
    run = ("run", "--detach", "--name", name, "--label", own_label, "--network", "none")
    engine.call(*run, images.bare.reference, "sleep", "1000")
    details = engine.inspect(name)
    folder = Path(details["OCIConfigPath"]).parent
    try:
        forgetful: Any = Knowing()
        assert f"container {name}" not in cleanup.end_orphans(forgetful, tmp_path)
        folder.rename(folder.with_name("moved"))
        assert f"container {name}" not in cleanup.end_orphans(engine, tmp_path)
        assert f"container {name}" in cleanup.end_orphans(forgetful, tmp_path)
        deadline = time.monotonic() + 60
        while Path(f"/proc/{details['State']['Pid']}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{details['State']['Pid']}").exists()
    finally:
        if not folder.exists():
            folder.with_name("moved").rename(folder)
        engine.call("rm", "--force", "--time", "0", name)
