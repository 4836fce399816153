"""The files of a work tree, as `git add --all` would take them, whatever has become of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from itb.config.product import BuildDefinition, Product, RoleDefinition, Source
from itb.process.runner import Runner
from itb.source import resolve

PRODUCT = Product(
    title="p", name="p", source=Source(url="https://host/p"), packages=("p*",),
    build=BuildDefinition(checkout_name="p", release_manager="release.py"), roles={"r": RoleDefinition()},
)  # fmt: skip

NAMES = ("release.py", "gone", "staged and gone", "was a file", "emptied", "was/a/folder", "kept/x", "日本 \n x")


def call(folder: Path, *words: str) -> str:
    settled = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
    argv = ["git", *identity, "-C", str(folder), *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=settled).stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with files, folders, a link and a submodule."""
    inner, folder = tmp_path / "inner", tmp_path / "work"
    for where in (inner, folder):
        where.mkdir()
        call(where, "init", "--quiet", "--initial-branch=main")
        for name in NAMES:
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_text(f"{name}\n")
        (where / "link").symlink_to("release.py")
        call(where, "add", "--all")
        call(where, "commit", "--quiet", "--message", "first")
    call(folder, "submodule", "--quiet", "add", str(inner), "sub")
    call(folder, "commit", "--quiet", "--message", "second")
    return folder


def test_every_kind_of_change(work: Path, tmp_path: Path) -> None:
    (work / "gone").unlink()
    (work / "new").write_text("new\n")
    call(work, "add", "new")
    (work / "new").unlink()
    (work / "staged and gone").write_text("changed\n")
    call(work, "add", "staged and gone")
    (work / "staged and gone").unlink()
    (work / "was a file").unlink()
    (work / "was a file").mkdir()
    (work / "emptied").unlink()
    (work / "emptied").mkdir()  # empty: nothing takes the file's place
    (work / "was a file" / "inside").write_text("now a folder\n")
    for path in sorted((work / "was").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (work / "was").rmdir()
    (work / "was").write_text("now a file\n")
    (work / "日本 \n x").chmod(0o755)
    (work / "link").unlink()
    (work / "link").symlink_to("elsewhere")
    (work / "sub" / "release.py").write_text("changed, not committed\n")
    call(work / "sub", "commit", "--quiet", "--allow-empty", "--message", "more")
    call(work, "clone", "--quiet", str(work.parent / "inner"), "a repository of its own")
    assert _tree(work, tmp_path) == _expected(work)


def test_what_a_sparse_work_tree_leaves_out_is_not_removed(work: Path, tmp_path: Path) -> None:
    call(work, "sparse-checkout", "set", "--no-cone", "/release.py", "/new")
    assert not (work / "kept").exists()
    (work / "new").write_text("new\n")
    assert _tree(work, tmp_path) == _expected(work)
    assert "kept/x" in call(work, "ls-tree", "-r", "--name-only", _expected(work))


def test_a_merge_with_conflicts(work: Path, tmp_path: Path) -> None:
    call(work, "checkout", "--quiet", "-b", "other")
    for branch in ("other", "main"):
        call(work, "checkout", "--quiet", branch)
        (work / "gone").write_text(f"{branch}\n")
        call(work, "commit", "--quiet", "--all", "--message", branch)
    with pytest.raises(subprocess.CalledProcessError):
        call(work, "merge", "other")
    assert _tree(work, tmp_path) == _expected(work)


def _tree(work: Path, tmp_path: Path) -> str:
    commit = resolve.resolve(PRODUCT, ref="worktree", source=str(work), cache=tmp_path / "cache", runner=Runner())
    return commit.tree


def _expected(work: Path) -> str:
    """The tree git itself makes, in a copy of the index."""
    index = Path(call(work, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    kept = index.read_bytes()
    call(work, "add", "--all")
    tree = call(work, "write-tree")
    index.write_bytes(kept)
    return tree


