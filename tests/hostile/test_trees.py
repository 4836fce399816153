"""A commit whose objects are small and whose files are not: none of them is written to the machine's disk."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.errors import BuildError
from itb.model import Commit
from itb.process.runner import Runner
from itb.source import checkout, completeness, resolve, tree_bounds
from tests.integration.test_source_worktree import PRODUCT

Make = Callable[[Path], str]


def git(folder: Path, *words: str, data: bytes = b"") -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    argv = ["git", *identity, "-C", str(folder), *words]
    done = subprocess.run(argv, input=data, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def tree(folder: Path, *entries: str) -> str:
    return git(folder, "mktree", data="".join(f"{entry}\n" for entry in entries).encode())


def repeated(folder: Path) -> str:
    """Ten trees in each other, each ten times in the next: ten thousand million files in eleven objects."""
    made = tree(folder, *(f"100644 blob {git(folder, 'hash-object', '-w', '--stdin')}\tf{n}" for n in range(10)))
    for _ in range(9):
        made = tree(folder, *(f"040000 tree {made}\td{n}" for n in range(10)))
    return made


def zeros(folder: Path) -> str:
    """One file of 16 MiB, 640 times: 10 GiB."""
    blob = git(folder, "hash-object", "-w", "--stdin", data=bytes(16 << 20))
    return tree(folder, *(f"100644 blob {blob}\tf{n}" for n in range(640)))


def one_large(folder: Path) -> str:
    """One file that git would have in its memory to look into it."""
    blob = git(folder, "hash-object", "-w", "--stdin", data=bytes(21 << 20))
    return tree(folder, f"100644 blob {blob}\tlarge")


def deep(folder: Path) -> str:
    """Folders in each other, deeper than Python's functions can call themselves."""
    path = "/".join(["d"] * 1000)
    commands = f"commit refs/heads/deep\ncommitter t <t@t> 1 +0000\ndata 1\nx\nM 100644 inline {path}\ndata 1\nx\n"
    git(folder, "fast-import", "--quiet", data=commands.encode())
    return git(folder, "rev-parse", "deep^{tree}")


def long_name(folder: Path) -> str:
    return tree(folder, f"100644 blob {git(folder, 'hash-object', '-w', '--stdin')}\t{'n' * 300}")


def gits_own(folder: Path) -> str:
    """A folder that git does not write, for which the testbed is not to blame."""
    blob = git(folder, "hash-object", "-w", "--stdin", data=b"[core]\n\tfsmonitor = reboot\n")
    own = tree(folder, f"100644 blob {blob}\tconfig")
    return tree(folder, f"040000 tree {own}\t.GIT.")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (gits_own, "a path that git does not write"),
        (repeated, "more files than a list"),
        (zeros, "more than 8 GiB"),
        (one_large, "a file of more than 20 MiB: 'd/large'"),
        (deep, "too deep in folders"),
        (long_name, "too long"),
    ],
)
def test_tree_is_looked_at_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make, problem: str
) -> None:
    monkeypatch.setattr(tree_bounds, "_LISTING", 1 << 20)
    monkeypatch.setattr(tree_bounds, "MAX_FILE", 20 << 20)
    source, cache = tmp_path / "source", tmp_path / "cache"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(source))
    script = git(source, "hash-object", "-w", "--stdin", data=b"#!/bin/sh\n")
    top = tree(source, f"100755 blob {script}\trelease.py", f"040000 tree {make(source)}\td")
    commit_id = git(source, "commit-tree", top, "-m", "good")
    git(source, "update-ref", "refs/heads/main", commit_id)
    git(source, "tag", "v1_0_0", commit_id)

    def resolve_commit() -> Commit:
        return resolve.resolve(PRODUCT, ref="v1_0_0", source=str(source), cache=cache, runner=Runner())

    with pytest.raises(BuildError, match=problem):
        resolve_commit()
    with monkeypatch.context() as patch:  # a run that was begun by an earlier itb
        patch.setattr(tree_bounds, "check", lambda *_: None)
        patch.setattr(completeness, "find_warnings", lambda *_, **__: ())
        commit = resolve_commit()
    with pytest.raises(BuildError, match=problem):
        checkout.checkout(commit, tmp_path / "clone" / "p", cache=cache, runner=Runner())
    assert [path.name for path in (tmp_path / "clone" / "p").iterdir()] == [".git"]
