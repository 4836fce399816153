"""Finds what a source lacks of a commit: history, version tags, files that are not in the repository itself.

A build of such a source succeeds with another version than it seems, or fails
minutes later for a file that is empty or a pointer.
"""

from __future__ import annotations

from collections.abc import Iterable

from itb.errors import UsageError
from itb.process.request import Request
from itb.source.git import Git
from itb.source.origin import Origin
from itb.util.text import count, one_line

_LFS_POINTER = "version https://git-lfs.github.com/spec/v1"  # first line of what Git LFS commits instead of a file
_SHOWN = 3  # paths named in a message


def check_history(git: Git, origin: Origin, commit: str, *, base: str) -> None:
    """Raise UsageError if the history of a commit is cut off before the version tag ``base``, empty for none.

    Its version and the number of commits after it would be wrong.
    """
    assert git.directory is not None
    shallow = git.directory / "shallow"
    boundary = set(shallow.read_text().split()) if shallow.is_file() else set()
    if not boundary:
        return
    exclusion = [f"^refs/tags/{base}"] if base else []
    if boundary.isdisjoint(git.text("rev-list", commit, *exclusion).split()):
        return
    raise UsageError(
        f"source {origin.display_name} is a shallow clone: the version of {commit[:12]} is not known, "
        "for its history is not there back to a version tag",
        hint=f"git -C {origin.local or 'CLONE'} fetch --unshallow --tags",
    )


def find_warnings(git: Git, origin: Origin, commit: str, *, is_versioned: bool) -> tuple[str, ...]:
    """Return a sentence for each thing that a source lacks of a commit, with what to do about it."""
    warnings = []
    if not is_versioned:
        fetch = f"git -C {origin.local} fetch --tags" if origin.local else "push its tags there"
        warnings.append(
            f"no version tag is in the history of {commit[:12]}: it is built as version 0, below every release; "
            f"if {origin.display_name} only lacks the tags: {fetch}"
        )
    submodules, nested = _find_repositories(git, commit)
    if submodules:
        warnings.append(
            f"{_listing('submodule', submodules)} of {origin.display_name}: their files are not in the commit, "
            "and the build finds empty folders; commit the files themselves if the build needs them"
        )
    if nested:
        warnings.append(
            f"{_listing('nested repository', nested, 'nested repositories')} in {origin.display_name}: "
            "git records no files of them, and the build finds empty folders; "
            "add them as files (remove their .git) or ignore them"
        )
    if pointers := _find_lfs_pointers(git, commit):
        warnings.append(
            f"{_listing('file', pointers)} of {origin.display_name} in Git LFS: the commit has pointers only, "
            "and the build finds these instead; commit the files themselves if the build needs them"
        )
    return tuple(warnings)


def _listing(noun: str, paths: Iterable[str], plural: str = "") -> str:
    """Return how many things there are, and the first of their paths: ``2 submodules (a, b)``."""
    names = [one_line(path, 80) for path in paths]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{count(len(names), noun, plural)} ({', '.join(names[:_SHOWN])}{more})"


def _find_repositories(git: Git, commit: str) -> tuple[list[str], list[str]]:
    """Return the paths of other repositories in a tree: those that .gitmodules names, and the others."""
    entries = git.text("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
    paths = [entry.partition("\t")[2] for entry in entries if entry.startswith("160000 ")]
    if not paths:
        return [], []
    ask = ["config", "--blob", f"{commit}:.gitmodules", "--null", "--get-regexp", r"^submodule\..*\.path$"]
    answer = git.run(Request(ask, check=False))
    declared = {entry.partition("\n")[2] for entry in answer.stdout.split("\0")}
    return [path for path in paths if path in declared], [path for path in paths if path not in declared]


def _find_lfs_pointers(git: Git, commit: str) -> list[str]:
    """Return the paths of files of a commit that are pointers of Git LFS."""
    ask = ["grep", "--files-with-matches", "--null", "-I", f"-e^{_LFS_POINTER}$", commit]
    answer = git.run(Request([*ask, "--"], check=False))
    paths = [entry.removeprefix(f"{commit}:") for entry in answer.stdout.split("\0") if entry]
    return [path for path in paths if _is_pointer(git, commit, path)]


def _is_pointer(git: Git, commit: str, path: str) -> bool:
    """Return whether a file is a pointer, and does not just quote one."""
    answer = git.run(Request(["cat-file", "blob", f"{commit}:{path}"], check=False))
    return answer.ok and len(answer.stdout) < 1024 and answer.stdout.startswith(_LFS_POINTER)
