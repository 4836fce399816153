"""Embedded histories with real git: whole, the same everywhere, whatever the user's git is told to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from itb.data import shipped
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import embedded

FILE = shipped.folder("build_ws") / "products" / "pocketwms" / "history.yaml"


def git(repository: Path, *words: str) -> str:
    return Runner().run(Request(["git", f"--git-dir={repository}", *words])).stdout.strip()


def refs(repository: Path) -> str:
    return git(repository, "for-each-ref", "--format=%(objectname) %(refname)")


def test_repository_is_sound_and_complete(tmp_path: Path) -> None:
    repositories = embedded.make_repository(FILE, tmp_path)
    git(repositories, "fsck", "--strict")
    names = {line.split()[1] for line in refs(repositories).splitlines()}
    assert {"refs/heads/main", "refs/tags/v1_1_0", "refs/pull/1/head", "refs/heads/broken/unit-dies"} <= names
    assert git(repositories, "describe", "v1_2_0_rc1") == "v1_2_0_rc1"
    assert git(repositories, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert "100755 blob" in git(repositories, "ls-tree", "main", "build/ReleaseManager/release.py")


def test_commit_ids_are_the_same_under_any_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = refs(embedded.make_repository(FILE, tmp_path / "plain"))
    config = tmp_path / "gitconfig"
    config.write_text("[init]\ndefaultBranch = trunk\n[core]\nautocrlf = true\nsharedRepository = 0777\n")
    for name, value in {
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    assert refs(embedded.make_repository(FILE, tmp_path / "other")) == plain


def test_runs_that_need_it_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        repositories = set(pool.map(lambda _: embedded.make_repository(FILE, tmp_path), range(4)))
    assert len(repositories) == 1
    assert list(tmp_path.iterdir()) == list(repositories)
