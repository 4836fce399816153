"""Makes commits that differ from one of a source in one file, in a repository of their own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from itb.errors import UsageError
from itb.model import Commit
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source.git import Git, cached_clone_path
from itb.util.files import write_atomically


def create(folder: Path, commit: Commit, *, cache: Path, runner: Runner) -> Git:
    """Make a bare repository with the branches and tags of a commit's source, whose objects it shares.

    ``folder`` must not exist, and ``cache`` has the source, which is not changed.
    """
    clone = cached_clone_path(cache, commit.source)
    Git(runner).call("init", "--quiet", "--bare", "--template=", "--initial-branch=itb", "--", str(folder))
    git = Git(runner, folder)
    (folder / "objects" / "info").mkdir(exist_ok=True)
    write_atomically(folder / "objects" / "info" / "alternates", f"{(clone / 'objects').absolute()}\n")
    form = "--format=create %(refname) %(objectname)"
    lines = Git(runner, clone).text("for-each-ref", form, "refs/heads", "refs/tags")
    git.run(Request(["update-ref", "--stdin"], input=(lines + "\n").encode()))
    git.call("update-ref", "refs/heads/itb", commit.id)  # HEAD leads there: without one it would count as empty
    return git


def read_spec(git: Git, commit: Commit, path: str) -> tuple[str, str]:
    """Return path and text of a commit's spec file; ``path`` is empty for the only one there is.

    Raises UsageError if there is none, or more than one.
    """
    names = git.text("ls-tree", "-r", "--name-only", commit.id).splitlines()
    specs = [name for name in names if (name == path if path else name.endswith(".spec"))]
    if len(specs) != 1:
        what = f"no spec file {path}" if path else f"{len(specs)} spec files, not one"
        hint = "the product's definition names it: build: {spec: PATH}"
        raise UsageError(f"commit {commit.id[:12]} of {commit.product} has {what}", hint=hint)
    return specs[0], git.text("show", f"{commit.id}:{specs[0]}") + "\n"


def commit_file(git: Git, commit: Commit, path: str, text: str, *, branch: str) -> None:
    """Make a branch with one commit after another one, in which a file has another text."""
    mode = git.text("ls-tree", commit.id, "--", path).partition(" ")[0]
    blob = git.run(Request(["hash-object", "-w", "--stdin"], input=text.encode("utf-8", "surrogateescape")))
    identity = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", "itb"), ("EMAIL", "itb@localhost"), ("DATE", commit.date))
    }
    with tempfile.TemporaryDirectory(dir=git.directory) as temporary:
        index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
        git.run(Request(["read-tree", commit.id], env=index))
        git.run(Request(["update-index", "--cacheinfo", f"{mode},{blob.stdout.strip()},{path}"], env=index))
        tree = git.run(Request(["write-tree"], env=index)).stdout.strip()
    made = git.run(Request(["commit-tree", tree, "-p", commit.id, "-m", branch], env=identity))
    git.call("update-ref", f"refs/heads/{branch}", made.stdout.strip())
