"""A copy of a source in which a commit differs from another one in its spec file, by real git."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.errors import UsageError
from itb.model import Commit
from itb.process.runner import Runner
from itb.source import checkout, resolve, variant

Resolve = Callable[..., Commit]
_GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A release with a spec file, and a commit after it."""
    folder = tmp_path / "source"

    def git(*args: str) -> None:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run([*_GIT, "-C", str(folder), *args], check=True, env=env)

    (folder / "rpm").mkdir(parents=True)
    (folder / "rpm" / "p.spec").write_text("Name: p\n")
    (folder / "release.py").write_text("#!/bin/sh\n")
    git("init", "--quiet")
    for message, *tags in (("release", "v1_0_0"), ("change",)):
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", message)
        for tag in tags:
            git("tag", tag)
    return folder


@pytest.fixture
def resolved(tmp_path: Path) -> Resolve:
    build = BuildDefinition(release_manager="release.py")
    product = Product(
        title="p", name="p", source=Source(url="https://host/p"), packages=("p*",), build=build,
        roles={"factory": RoleDefinition(packages=("p",))},
    )  # fmt: skip

    def call(source: Path, ref: str) -> Commit:
        return resolve.resolve(product, ref=ref, source=str(source), cache=tmp_path / "cache", runner=Runner())

    return call


@pytest.mark.parametrize("ref", ["main", "v1_0_0", "worktree"])
def test_copy_has_a_commit_with_another_spec(
    ref: str, repository: Path, resolved: Resolve, tmp_path: Path
) -> None:
    if ref == "worktree":
        (repository / "rpm" / "p.spec").write_text("Name: p\n# not committed\n")
    commit, cache = resolved(repository, ref), tmp_path / "cache"
    before = sorted((path, path.stat().st_mtime_ns) for path in repository.rglob("*"))
    git = variant.create(tmp_path / "copy.git", commit, cache=cache, runner=Runner())
    path, text = variant.read_spec(git, commit, "")
    assert (path, text) == ("rpm/p.spec", (repository / path).read_text())
    for number in (1, 2):
        variant.commit_file(git, commit, path, f"Name: p{number}\n", branch=f"defect/{number}")
    assert git.directory is not None
    changed = resolved(git.directory, "defect/2")
    assert (changed.version, changed.date) == ("1.0.0", commit.date)
    assert resolved(git.directory, "v1_0_0").id == resolved(repository, "v1_0_0").id
    files = checkout.checkout(changed, tmp_path / "files", cache=cache, runner=Runner())
    assert (files / "rpm" / "p.spec").read_text() == "Name: p2\n"
    assert (files / "release.py").read_text() == "#!/bin/sh\n"
    assert before == sorted((path, path.stat().st_mtime_ns) for path in repository.rglob("*"))


def test_spec_that_is_not_there_is_named(repository: Path, resolved: Resolve, tmp_path: Path) -> None:
    commit = resolved(repository, "main")
    git = variant.create(tmp_path / "copy.git", commit, cache=tmp_path / "cache", runner=Runner())
    with pytest.raises(UsageError, match=r"has no spec file a\.spec"):
        variant.read_spec(git, commit, "a.spec")
    assert variant.read_spec(git, commit, "rpm/p.spec")[0] == "rpm/p.spec"
