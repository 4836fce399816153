"""Adds the files of a work tree to an index, without running programs that the tree's configuration names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from itb.process.request import Request
from itb.source.git import Git


def add_all(git: Git, folder: Path, names: Path, env: Mapping[str, str]) -> None:
    """Do what ``git add --all`` does, but run git in no submodule: its configuration could name programs.

    ``names`` is a temporary file, ``env`` names the index and the work tree.
    Raises TestbedError with git's reason.
    """

    def list_files(*options: str) -> list[bytes]:
        argv = ["-C", str(folder), "ls-files", "-z", *options]
        git.run(Request(argv, env=env, stdout_to=names), user_config=True)
        return [name for name in names.read_bytes().split(b"\0") if name]

    def update(*options: str, of: Iterable[bytes]) -> None:
        names.write_bytes(b"".join(name + b"\0" for name in of))
        argv = ["-C", str(folder), "update-index", *options, "-z", "--stdin"]
        git.run(Request(argv, env=env, input=names), user_config=True)

    # ls-files ends the name of a nested repository that is no submodule with a slash; update-index takes none.
    listed_names = [name.removesuffix(b"/") for name in list_files("--cached", "--others", "--exclude-standard")]
    submodules = {name.partition(b"\t")[2] for name in list_files("--stage") if name.startswith(b"160000 ")}
    others = {*listed_names} - submodules
    plain_folders = {name for name in others if _is_plain_folder(folder / os.fsdecode(name))}
    update("--force-remove", of=plain_folders)
    added = ("--add", "--remove", "--replace", "--ignore-skip-worktree-entries")
    update(*added, of=(name for name in dict.fromkeys(listed_names) if name not in plain_folders))


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not (path / ".git").exists()
