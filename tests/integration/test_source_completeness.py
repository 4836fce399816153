"""What a source may lack of a commit: history, tags, files that are elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.model import Commit
from itb.process.runner import Runner
from itb.source import checkout
from itb.source import resolve as source_resolve
from tests.integration.test_source_git import Repository
from tests.integration.test_source_worktree import PRODUCT

Resolve = Callable[..., Commit]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One commit tagged v1_0_0, two after it; branch next with v1_1_0_rc1."""
    made = Repository(tmp_path / "it's a repo")
    made.path.joinpath("release.py").write_text("#!/bin/sh\n")
    made.commit("first")
    made("tag", "v1_0_0")
    made("checkout", "--quiet", "-b", "next")
    made.commit("candidate")
    made("tag", "v1_1_0_rc1")
    made("checkout", "--quiet", "main")
    made.commit("second")
    made.commit("third")
    return made


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def resolve(repository: Repository, caches: Path) -> Resolve:
    """Resolve a reference of the repository, or of another source."""

    def call(ref: str, where: str = "") -> Commit:
        source = where or str(repository.path)
        return source_resolve.resolve(PRODUCT, ref=ref, source=source, cache=caches, runner=Runner())

    return call


def _clone(repository: Repository, folder: Path, *options: str) -> Path:
    """Clone a repository by its URL, as a path would be copied whole."""
    url = repository.path.as_uri()
    subprocess.run(["git", "clone", "--quiet", *options, url, str(folder)], check=True)
    return folder


@pytest.mark.parametrize("address", ["path", "file"])
def test_shallow_clones_serve_as_sources_of_tagged_commits(
    resolve: Resolve, repository: Repository, caches: Path, tmp_path: Path, address: str
) -> None:
    shallow = _clone(repository, tmp_path / "shallow", "--depth=1", "--branch=v1_1_0_rc1")
    commit = resolve("v1_1_0_rc1", str(shallow) if address == "path" else shallow.as_uri())
    assert (commit.id, commit.version, commit.rc) == (repository("rev-parse", "v1_1_0_rc1"), "1.1.0", 1)
    assert checkout.checkout(commit, tmp_path / "p", cache=caches, runner=Runner()).is_dir()


@pytest.mark.parametrize("address", ["path", "file"])
def test_a_shallow_clone_that_does_not_know_the_version_is_refused(
    resolve: Resolve, repository: Repository, tmp_path: Path, address: str
) -> None:
    shallow = _clone(repository, tmp_path / "shallow", "--depth=1", "--branch=main")
    with pytest.raises(UsageError, match="is a shallow clone: the version of") as refused:
        resolve("main", str(shallow) if address == "path" else shallow.as_uri())
    where = str(shallow) if address == "path" else "CLONE"
    assert refused.value.hint == f"git -C {where} fetch --unshallow --tags"
    (shallow / "new").write_text("not committed\n")
    with pytest.raises(UsageError, match="is a shallow clone"):
        resolve("worktree", str(shallow))
    subprocess.run(["git", "fetch", "--quiet", "--unshallow", "--tags"], check=True, cwd=shallow)
    assert resolve("main", str(shallow) if address == "path" else shallow.as_uri()).rpm_release.startswith("1.2.g")


def test_a_shallow_clone_down_to_the_version_is_as_good_as_a_whole_one(
    resolve: Resolve, repository: Repository, tmp_path: Path
) -> None:
    repository.commit("fourth")
    shallow = _clone(repository, tmp_path / "shallow", "--depth=4", "--branch=main")
    assert resolve("main", str(shallow)).version == resolve("main").version == "1.0.0"
    assert resolve("main", str(shallow)).rpm_release == resolve("main").rpm_release


def test_a_source_without_tags_is_warned_of(resolve: Resolve, repository: Repository, tmp_path: Path) -> None:
    clone = _clone(repository, tmp_path / "clone", "--no-tags")
    commit = resolve("main", str(clone))
    (warning,) = commit.warnings
    assert "built as version 0" in warning
    assert f"git -C {clone} fetch --tags" in warning
    assert resolve("main").warnings == ()


def test_files_that_are_not_in_a_commit_are_warned_of(
    resolve: Resolve, repository: Repository, tmp_path: Path
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 12\n"
    repository.commit("pointers", data__x=pointer, notes=f"a pointer is:\n{pointer}", more=pointer * 9)
    inner = Repository(tmp_path / "inner")
    inner.commit("one", file="x\n")
    for name in ("nested", "näs ted"):
        _clone(inner, repository.path / name)
    env = {"GIT_ALLOW_PROTOCOL": "file"}
    repository("submodule", "--quiet", "add", inner.path.as_uri(), "vendor/sub", env=env)
    lfs, nested = (
        "1 file (data/x) of {} in Git LFS: the commit has pointers only",
        "2 nested repositories (nested, näs ted) in {}: git records no files of them",
    )
    submodule = "1 submodule (vendor/sub) of {}: their files are not in the commit"
    expected = [text.format(repository.path) for text in (submodule, nested, lfs)]
    for _ in ("files of the work tree", "a commit of them"):
        found = resolve("worktree").warnings
        assert [text for text, warning in zip(expected, found, strict=True) if text not in warning] == []
        repository.commit("all of it")


def test_listing_of_a_clone_has_no_head_of_its_remote(
    resolve: Resolve, repository: Repository, caches: Path, tmp_path: Path
) -> None:
    clone = _clone(repository, tmp_path / "clone")
    names = [item.name for item in source_resolve.refs(source=str(clone), cache=caches, runner=Runner())]
    assert sorted(names) == ["main", "origin/main", "origin/next", "v1_0_0", "v1_1_0_rc1"]
    assert resolve("origin/HEAD", str(clone)).id == repository("rev-parse", "main")
    with pytest.raises(UsageError) as unknown:
        resolve("origin/HEADS", str(clone))
    assert "origin/HEAD" not in unknown.value.hint
