"""A copied run directory, the user's own file by file: it chooses no definition, cache or option of a program."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from itb.cli.commands import publish
from itb.config import trust as config_trust
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.model import Commit, CommitKind, RunTrust, Trust
from itb.run import recorded_settings, reopen
from itb.rundir import seal, values
from itb.rundir.directory import RunDir, RunState


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))


# What each led to: a Compose file that mounts the machine's root folder, a git directory with programs in its
# configuration, --setup-hook of mmdebstrap (it runs as root here), a privileged container.
CHOSEN: list[dict[str, Any]] = [
    {"product": "./theirs"},
    {"products": ["theirs"]},
    {"platform": ["/tmp/theirs"]},
    {"platforms": ["theirs"]},
    {"scenario": ["lib/../theirs"]},
    {"scenarios": ["theirs"]},
    {"cache": "theirs"},
    {"platform_options": {"deb13": {"suite": "--setup-hook=id"}}},
    {"builder": "mock"},
    {"engine": "./podman"},
    {"token_hook": "./hook"},
    {"from_repo": "http://10.0.0.7:22/"},  # a server that the packet filter then lets hosts to
    {"repo_key": "https://10.0.0.7:22/key"},
    {"allow_unsigned": True},
    {"host_limits": {"memory": "900g", "processes": 4096, "tmpfs": "900g"}},
    {"min_free_gb": 0.0},
]


COMMIT = Commit(
    product="p", source="/x", ref="v1_0", kind=CommitKind.TAG, id="1" * 40, tree="1" * 40, date="2026-11-20",
    subject="s", version="1.0",
)  # fmt: skip


def _begun(folder: Path, **settings: Any) -> RunDir:
    rundir = RunDir(folder / "20260101T000000Z-p-12345678-deb13")
    rundir.path.mkdir(parents=True)
    own = Settings(**settings).model_dump(mode="json")
    cwd = str(folder)
    rundir.write_state(
        RunState(
            id=rundir.id, short_id="s", product="p", platform="deb13", ref="", started=0, settings=own, cwd=cwd
        )
    )
    return rundir


@pytest.mark.parametrize("settings", CHOSEN, ids=lambda item: next(iter(item)))
def test_what_a_copy_chooses(tmp_path: Path, settings: dict[str, Any]) -> None:
    rundir = _begun(tmp_path / "theirs", **settings)
    with pytest.raises(UsageError, match=rf"run\.json says {next(iter(settings))}:"):
        recorded_settings.load(rundir, Settings(), {})
    recorded_settings.load(rundir, Settings(**settings), {})


@pytest.mark.parametrize("settings", CHOSEN, ids=lambda item: next(iter(item)))
def test_what_the_user_chose_when_the_run_began(tmp_path: Path, settings: dict[str, Any]) -> None:
    """By a flag, that is: it needs not be said again."""
    rundir = _begun(tmp_path / "runs", **settings)
    seal.write(rundir)
    saved, _ = recorded_settings.load(rundir, Settings(), {})
    for key, value in settings.items():
        assert json.loads(saved.model_dump_json())[key] == value
    rundir.update(kept=True)  # what happens to a run later is no matter of the seal
    assert seal.is_intact(rundir)
    copied = tmp_path / "elsewhere" / rundir.id
    shutil.copytree(rundir.path, copied)
    assert not seal.is_intact(RunDir(copied))


@pytest.mark.parametrize("trust", ["reference", "branch", "release"])
def test_how_far_a_copy_is_trusted(tmp_path: Path, trust: Any) -> None:
    """Its commit says that it is a release's, its settings that it is trusted as one."""
    rundir = _begun(tmp_path / "theirs", trust=trust, allow_privileged=True, token_hook="vault")
    rundir.save(values.COMMIT, COMMIT)
    rundir.update(trust=RunTrust(level=Trust.RELEASE, reference=Trust.RELEASE))
    saved, _ = recorded_settings.load(rundir, Settings(token_hook="vault"), {})
    assert not saved.allow_privileged
    assert reopen.find_trust(rundir, saved) == RunTrust(level=Trust.PR, reference=Trust.PR)
    with pytest.raises(UsageError, match="level pr gets no token of 'vault'"):
        config_trust.check(saved, reopen.find_trust(rundir, saved), has_token=True)
    for today, changes in ((Settings(trust="branch"), {}), (Settings(), {"trust": "branch"})):
        saved, _ = recorded_settings.load(rundir, today.model_copy(update={"token_hook": "vault"}), changes)
        assert reopen.find_trust(rundir, saved).level is Trust.BRANCH, "who resumes it says so"


@pytest.mark.parametrize("trust", ["reference", "pr", "branch"])
def test_a_resumed_run_keeps_its_level(tmp_path: Path, trust: Any) -> None:
    rundir = _begun(tmp_path / "runs", trust=trust)
    rundir.save(values.COMMIT, COMMIT.model_copy(update={"ref": "pr/7"}))
    level = Trust.PR if trust == "reference" else Trust(trust)
    rundir.update(trust=RunTrust(level=level, reference=Trust.PR))
    seal.write(rundir)
    rundir.save(values.COMMIT, COMMIT)  # it is not what decides
    saved, _ = recorded_settings.load(rundir, Settings(trust="release"), {})
    assert reopen.find_trust(rundir, saved) == RunTrust(level=level, reference=Trust.PR)
    rundir.update(trust=RunTrust(level=Trust.RELEASE, reference=Trust.RELEASE))
    assert not seal.is_intact(rundir)


def test_run_of_a_version_that_recorded_no_level(tmp_path: Path) -> None:
    rundir = _begun(tmp_path / "runs", builder="mock")
    unknown = ("trust", "allow_privileged")
    rundir.update(settings={key: value for key, value in rundir.state.settings.items() if key not in unknown})
    rundir.save(values.COMMIT, COMMIT)
    seal.write(rundir)
    saved, _ = recorded_settings.load(rundir, Settings(), {})
    assert reopen.find_trust(rundir, saved).level is Trust.RELEASE
    config_trust.check_builder(saved)  # itb down would leave its logs
    (rundir.path / seal.NAME).unlink()
    saved, _ = recorded_settings.load(rundir, Settings(builder="mock"), {})
    with pytest.raises(UsageError, match="root on this machine"):
        config_trust.check_builder(saved)


def test_seal_is_of_these_settings_and_this_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rundir = _begun(tmp_path / "runs")
    assert not seal.is_intact(rundir)
    seal.write(rundir)
    before = rundir.state
    for change in ({"settings": {**before.settings, "cache": "theirs"}}, {"cwd": "/"}):
        rundir.write_state(before.model_copy(update=change))
        assert not seal.is_intact(rundir)
    rundir.write_state(before)
    assert seal.is_intact(rundir)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    assert not seal.is_intact(rundir)


def test_key_that_somebody_can_replace(tmp_path: Path) -> None:
    rundir = _begun(tmp_path / "runs")
    (tmp_path / "user" / "itb").mkdir(parents=True)
    (tmp_path / "user").chmod(0o777)
    seal.write(rundir)
    assert not seal.is_intact(rundir)


@pytest.mark.parametrize("sealed", [True, False])
def test_where_relative_paths_of_the_user_lead_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sealed: bool
) -> None:
    """`hooks: [hooks]` of the user's own file meant the hooks beside a copied run directory."""
    rundir = _begun(tmp_path / "theirs")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    if sealed:
        seal.write(rundir)
    with reopen.working_directory(rundir):
        assert Path.cwd() == tmp_path / ("theirs" if sealed else "mine")


def test_green_of_a_candidates_own_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cd clone; itb publish` took the newest of the clone's own runs/."""
    rundir = _begun(tmp_path / "clone" / "runs")
    monkeypatch.chdir(tmp_path / "clone")
    to = {"to": str(tmp_path / "repo")}
    with pytest.raises(UsageError, match="was not made here by you") as caught:
        publish.run(to, "", koji=False, dry_run=True, force=True)
    assert "--copied" in caught.value.hint
    with pytest.raises(UsageError, match="has no RPMs"):
        publish.run(to, "", koji=False, dry_run=True, force=False, copied=True)
    seal.write(rundir)
    with pytest.raises(UsageError, match="has no RPMs"):
        publish.run(to, "", koji=False, dry_run=True, force=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_run_of_a_neighbour_gets_no_report(tmp_path: Path) -> None:
    """Its owner could lead what is written there elsewhere, at any moment."""
    rundir = _begun(tmp_path / "theirs")
    os.chown(rundir.path, 54321, 54321)
    for name in (str(rundir.path), rundir.id, ""):
        with pytest.raises(UsageError, match="belongs to user 54321"):
            RunDir.find(rundir.path.parent, name)


@pytest.mark.parametrize("place", ["pages", "state", "results/smoke", "hosts/ce", "junit.xml", ".lock"])
def test_copy_with_a_link_is_not_written_to(tmp_path: Path, place: str) -> None:
    """`itb report COPY` wrote a page into the folder that ``pages`` leads to."""
    rundir = _begun(tmp_path / "theirs")
    assert RunDir.find(tmp_path, str(rundir.path)).id == rundir.id
    (tmp_path / "mine").mkdir()
    (rundir.path / place).parent.mkdir(exist_ok=True)
    (rundir.path / place).symlink_to(tmp_path / "mine")
    for name in (str(rundir.path), rundir.id, ""):
        with pytest.raises(UsageError, match=f"{place} is a link"):
            RunDir.find(rundir.path.parent, name)
