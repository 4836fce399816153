"""Whose files are believed, and which keys of a folder's itb.yaml, whoever owns it."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest

from itb.cli.commands import existing_run
from itb.config import lookup, untrusted_source
from itb.config import settings as config_settings
from itb.config.settings import Settings
from itb.errors import UsageError
from itb.run import recorded_settings
from itb.run.phases.token import check_hook
from itb.rundir.directory import RunDir, RunState
from itb.util import ownership

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
OTHER = 54321


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ITB_", "SUDO_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    untrusted_source.warn_of_refused_keys.cache_clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "it's.yaml"
    path.write_text("jobs: 2\n")
    path.chmod(0o644)
    return path


def test_own_file_is_believed(file: Path) -> None:
    assert ownership.read(file) == b"jobs: 2\n"
    ownership.check(file)
    ownership.check_tree(file.parent)


@ROOT
def test_file_of_somebody_else_is_not(file: Path) -> None:
    os.chown(file, OTHER, OTHER)
    for look in (ownership.read, ownership.check):
        with pytest.raises(UsageError, match=f"belongs to user {OTHER}") as caught:
            look(file)
        assert caught.value.hint.endswith(f"chown 0 {shlex.quote(str(file))}")


@ROOT
@pytest.mark.parametrize(("said", "good"), [(str(OTHER), True), ("1", False), ("", False), ("²", False)])
def test_who_became_root_by_sudo_is_believed(
    file: Path, monkeypatch: pytest.MonkeyPatch, said: str, good: bool
) -> None:
    os.chown(file, OTHER, OTHER)
    monkeypatch.setenv("SUDO_UID", said)
    assert (OTHER in ownership.trusted_users()) is good


def test_sudo_counts_for_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUDO_UID", "1001")
    assert ownership.trusted_users() == {0, 1000}


@ROOT
def test_what_root_made_goes_to_who_became_root_by_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but what is to stay root's, and nothing that a link leads to."""
    run, outside = tmp_path / "run", tmp_path / "outside"
    for file in (run / "hosts" / "ce" / "log", run / "tokens" / "key", outside):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (run / "link").symlink_to(outside)
    (run / "gone").symlink_to("nowhere")
    ownership.give_to_caller(run)
    assert run.stat().st_uid == 0, "nobody became root by sudo"
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    monkeypatch.setenv("SUDO_GID", str(OTHER + 1))
    ownership.give_to_caller(run, but=("tokens",))
    ownership.give_to_caller(tmp_path / "no-folder")
    (tmp_path / "file").touch()
    ownership.give_to_caller(tmp_path / "file")
    assert (tmp_path / "file").stat().st_uid == OTHER
    for path in (run, *run.rglob("*")):
        is_kept = "tokens" in path.parts
        assert (path.lstat().st_uid, path.lstat().st_gid) == ((0, 0) if is_kept else (OTHER, OTHER + 1)), path
    assert outside.stat().st_uid == 0


@ROOT
def test_what_root_has_not_made_is_not_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's files, and what has a name elsewhere: a run's RPMs may be links to those of root's cache."""
    run, cached = tmp_path / "run", tmp_path / "cached"
    (run / "theirs").mkdir(parents=True)
    for file in (run / "own", run / "theirs" / "file", cached):
        file.touch()
    os.link(cached, run / "linked")
    for path in (run / "theirs", run / "theirs" / "file"):
        os.chown(path, OTHER + 1, OTHER + 1)
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    monkeypatch.setenv("SUDO_GID", str(OTHER))
    for path in (run, cached, run / "theirs"):
        ownership.give_to_caller(path)
    owners = {path.name: path.stat().st_uid for path in (run, cached, *run.rglob("*"))}
    theirs = {"theirs": OTHER + 1, "file": OTHER + 1}
    assert owners == {"run": OTHER, "own": OTHER, "cached": 0, "linked": 0, **theirs}


@ROOT
@pytest.mark.parametrize(
    ("group", "mode", "who"),
    [(0, 0o664, ""), (OTHER, 0o644, ""), (OTHER, 0o664, f"group {OTHER}"), (0, 0o646, "everybody")],
)
def test_writable_by_others(file: Path, group: int, mode: int, who: str) -> None:
    """A user's private group, as with umask 002, is nobody else."""
    os.chown(file, 0, group)
    file.chmod(mode)
    if not who:
        ownership.read(file)
        return
    with pytest.raises(UsageError, match=f"can be written by {who}") as caught:
        ownership.read(file)
    assert "chmod go-w" in caught.value.hint


@pytest.mark.parametrize(("tag", "number"), [(2, 54321), (8, 54321)])
def test_writable_by_access_control_list(file: Path, tag: int, number: int) -> None:
    """Its mask is shown as the bits of the group, which is the owner's private one."""
    anybody = 0xFFFFFFFF
    entries = [(1, 6, anybody), (tag, 6, number), (4, 0, anybody), (16, 6, anybody), (32, 0, anybody)]
    entries.sort()
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(file, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("no access control lists on this file system")
    for look in (ownership.check, ownership.read):
        with pytest.raises(UsageError, match="can be written by users or groups of its access control list"):
            look(file)
    file.chmod(0o644)  # as the hint says
    ownership.check(file)


def test_group_with_somebody_else_in_it_is_not_private(monkeypatch: pytest.MonkeyPatch) -> None:
    me = pwd.getpwuid(os.getuid())
    assert ownership._is_own_group(me.pw_uid, me.pw_gid)

    class Group:
        gr_name, gr_mem = me.pw_name, [me.pw_name, "bob"]

    monkeypatch.setattr(ownership.grp, "getgrgid", lambda _gid: Group)
    assert not ownership._is_own_group(me.pw_uid, me.pw_gid)


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_no_temporary_file_is_where_others_can_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    ownership.settle_temporary_folder()
    monkeypatch.setenv(variable, str(tmp_path))
    tmp_path.chmod(0o1777)
    ownership.settle_temporary_folder()
    tmp_path.chmod(0o777)
    with pytest.raises(UsageError, match=f"^{variable}: .* can be written by everybody"):
        ownership.settle_temporary_folder()


def test_no_temporary_file_is_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user fills /tmp, and waits in a folder of theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path)])
    ownership.settle_temporary_folder()
    assert tempfile.gettempdir() == "/tmp"
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", ".")  # it is asked for
    ownership.settle_temporary_folder()
    assert tempfile.gettempdir() == str(tmp_path)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", list)
    monkeypatch.setattr("tempfile.tempdir", None)
    ownership.settle_temporary_folder()
    assert tempfile.gettempdir() == "/tmp"


def test_folder_above_counts_for_programs(tmp_path: Path) -> None:
    """Who may write a folder may put another file in the place of one that is fine."""
    (tmp_path / "open").mkdir()
    program = tmp_path / "open" / "hook"
    program.write_text("")
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UsageError, match="open can be written by everybody"):
        ownership.check(program)
    (tmp_path / "open").chmod(0o1777)
    ownership.check(program)


@pytest.mark.parametrize("via", ["link", "open/link", "second"])
def test_folder_of_a_link_counts_for_programs(tmp_path: Path, via: str) -> None:
    """Who may write a folder may put another link in the place of one that is fine, or of one that leads to it."""
    program, folder = tmp_path / "good" / "hook", tmp_path / "open"
    for made in (program.parent, folder):
        made.mkdir()
    program.write_text("")
    (folder / "link").symlink_to(program)
    (tmp_path / "link").symlink_to("open/link")
    (tmp_path / "second").symlink_to("open/../link")
    ownership.check(tmp_path / via)
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="open can be written by everybody"):
        ownership.check(tmp_path / via)
    ownership.check(program)
    folder.chmod(0o1777)
    ownership.check(tmp_path / via)


@ROOT
def test_tree_has_nothing_of_somebody_else(tmp_path: Path) -> None:
    deep = tmp_path / "product" / "roles" / "script.sh"
    deep.parent.mkdir(parents=True)
    deep.write_text("")
    (tmp_path / "product" / "product.yaml").write_text("")
    os.chown(deep, OTHER, OTHER)
    with pytest.raises(UsageError, match=r"script\.sh belongs to"):
        lookup.find("product", "product", [tmp_path], "product.yaml")
    os.chown(deep, 0, 0)
    assert lookup.find("product", "product", [tmp_path], "product.yaml") == tmp_path / "product"


@ROOT
@pytest.mark.parametrize("which", ["user/itb/itb.yaml", "here/itb.yaml"])
def test_settings_of_somebody_else_are_refused(tmp_path: Path, which: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "user" / "itb").mkdir(parents=True)
    (tmp_path / which).write_text("jobs: 3\n")
    assert config_settings.load(cwd=tmp_path / "here")[0].jobs == 3
    os.chown(tmp_path / which, OTHER, OTHER)
    with pytest.raises(UsageError, match=r"itb\.yaml belongs to"):
        config_settings.load(cwd=tmp_path / "here")


@ROOT
@pytest.mark.parametrize("hook", ["./hook", "theirs", "command"])
def test_hook_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str) -> None:
    for name in ("hook", "theirs"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    chosen = Settings(token_hook=hook, hooks=(".",), token={"command": {"command": ["./hook"]}})
    check_hook(chosen)
    for name in ("hook", "theirs"):
        os.chown(tmp_path / name, OTHER, OTHER)
    with pytest.raises(UsageError, match="belongs to user"):
        check_hook(chosen)


HOSTILE: dict[str, Any] = {
    "engine": "docker", "token_hook": "./hook", "hooks": ["."], "products": ["."], "cache": "here",
    "token": {"file": {"path": "/etc/shadow"}}, "product": "./product", "platform": ["."], "jobs": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("here", "source", "candidates"),
    [
        (".", ".", True),
        (".", "{top}", True),
        (".", "file://{top}", True),
        ("sub", "{top}", True),
        (".", "{top}/sub", True),  # a submodule of the work tree
        (".", "https://host/p.git", False),
        (".", "", False),
        ("../apart", "{top}", False),
        ("..", "{top}", False),  # one's own folder, with a clone in it
    ],
)
def test_settings_of_the_source_under_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    here: str, source: str, candidates: bool,
) -> None:  # fmt: skip
    top = tmp_path / "clone"
    for name in (".git", "sub", "../apart"):
        (top / name).mkdir(parents=True)
    folder = (top / here).resolve()
    (folder / "itb.yaml").write_text(json.dumps(HOSTILE))
    monkeypatch.chdir(folder)
    settings, _ = config_settings.load({"source": source.format(top=top)})
    assert settings.jobs == (1 if candidates else 4)
    assert (settings.token_hook, settings.hooks) == (("local", ()) if candidates else ("./hook", (".",)))
    said = capsys.readouterr().err
    if candidates:
        for key in HOSTILE:
            assert getattr(settings, key) == getattr(Settings(), key), key
            assert key in said
        assert "--token-hook" in said
        assert str(config_settings.user_file()) in said
    else:
        assert said == ""


@pytest.mark.parametrize("source", ["", "https://host/p.git"])
def test_folder_that_looks_like_a_candidates_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """`itb status`, `itb token get` and others are told of no source."""
    clone = tmp_path / "clone"
    (clone / "build" / "ReleaseManager").mkdir(parents=True)
    (clone / "itb.yaml").write_text("engine: docker\ntoken_hook: ./hook\n")
    monkeypatch.chdir(clone)
    settings, origins = config_settings.load({"source": source})
    assert (settings.engine, settings.token_hook, origins["engine"]) == ("podman", "local", "default")


def test_engine_by_its_path_is_taken_from_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "itb.yaml").write_text("engine: ./podman\n")
    monkeypatch.chdir(tmp_path)
    assert config_settings.load()[0].engine == "podman"
    assert "not taken" in capsys.readouterr().err
    monkeypatch.setenv("ITB_ENGINE", "./podman")
    assert config_settings.load()[0].engine == "./podman"


def _run(folder: Path, **settings: Any) -> RunDir:
    rundir = RunDir(folder / "r")
    rundir.path.mkdir()
    own = Settings(**settings).model_dump(mode="json")
    rundir.write_state(
        RunState(id="r", short_id="s", product="p", platform="deb13", ref="", started=0, settings=own)
    )
    return rundir


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"engine": "./podman"}, "engine"),
        ({"engine": "evil"}, "engine"),
        ({"token_hook": "./hook"}, "token_hook"),
        ({"token_hook": "command", "token": {"command": {"command": ["./hook"]}}}, "token"),
        ({"token_hook": "htgettoken", "token": {"htgettoken": {"program": "./hook"}}}, "token"),
    ],
)
def test_run_directory_names_no_program(tmp_path: Path, settings: dict[str, Any], named: str) -> None:
    rundir = _run(tmp_path, **settings)
    with pytest.raises(UsageError, match=rf"run\.json says {named}:") as caught:
        recorded_settings.load(rundir, Settings(), {})
    assert "if you trust it" in caught.value.hint
    assert recorded_settings.load(rundir, Settings(**settings), {})[0].engine == settings.get("engine", "podman")


def test_down_starts_no_engine_of_the_run_directory(tmp_path: Path) -> None:
    """The door is closed here: a start of anything fails this test with another error."""
    rundir = _run(tmp_path, engine="./podman")
    with pytest.raises(UsageError, match=r"run\.json says engine:"):
        existing_run.down(Settings(), str(rundir.path))


def test_which_of_the_machines_engines_is_the_runs(tmp_path: Path) -> None:
    assert recorded_settings.load(_run(tmp_path, engine="docker"), Settings(), {})[0].engine == "docker"


@ROOT
def test_run_of_somebody_else_is_not_read(tmp_path: Path) -> None:
    rundir = _run(tmp_path)
    assert rundir.state.id == "r"
    os.chown(rundir.path / "run.json", OTHER, OTHER)
    with pytest.raises(UsageError, match=r"run\.json belongs to"):
        _ = rundir.state


def test_no_run_begins_where_everybody_can_replace_it(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o777)
    with pytest.raises(UsageError, match="runs can be written by everybody"):
        RunDir.create(tmp_path / "runs", "x")
    (tmp_path / "runs").chmod(0o1777)
    assert RunDir.create(tmp_path / "runs", "x").path.is_dir()


def test_folder_of_runs_is_ones_own_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for _ in range(2):
            RunDir.create(tmp_path / "runs", "x")
    finally:
        os.umask(before)
