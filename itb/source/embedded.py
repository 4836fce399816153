"""Makes git repositories from a history file, with the same commit ids on every machine.

The ``.git`` of a product cannot ship in a wheel.  Instead a file lists its
commits, tags and branches; the newest tree lies beside the file, and every
other tree is the newest one with some named edits.  ``git fast-import`` makes
the repository when it is first used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from itb.config.yaml_record import YamlRecord
from itb.errors import UsageError
from itb.process.request import Request
from itb.process.runner import Runner
from itb.util import ownership, yamlfile

# Folders that tools leave in a tree.
_TOOL_FOLDERS = frozenset({"__pycache__", ".git", ".mypy_cache", ".ruff_cache"})


class Edit(YamlRecord):
    """One change of one file: another text in it, a new file, or its removal."""

    file: str
    """Path of the file."""
    old: str = ""
    """Text that is in the file exactly once."""
    new: str = ""
    """What takes its place; without old, the content of a new file."""
    remove: bool = False
    """Whether the file is removed."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.remove and (self.old or self.new):
            raise ValueError("remove goes without old and new")
        if not self.remove and not self.old and not self.new:
            raise ValueError("old, new or remove is expected")
        return self


class ExpectedFailure(YamlRecord):
    """The failure that a run of a broken branch must report; tests compare it with the report."""

    phase: str
    """Phase of the case that fails."""
    role: str = ""
    """Role of the case."""
    case: str
    """Regular expression for its name."""
    message: str
    """Regular expression for its message."""
    exit_code: int
    """Exit code of the run."""
    scenario: str = ""
    """The scenario that finds the defect, if the installation does not."""

    @model_validator(mode="after")
    def _check_patterns(self) -> Self:
        for pattern in (self.case, self.message):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return self


class CommitSpec(YamlRecord):
    """A commit; its tree is the newest tree with some edits."""

    name: str
    """What the file calls it."""
    subject: str
    """First line of its message."""
    date: AwareDatetime
    """When it was made, with its time zone: 2026-02-02T09:00:00Z."""
    after: str = ""
    """Name of its parent. Empty: the commit before it in the file."""
    branch: str = ""
    """Branch it is made on."""
    tag: str = ""
    """Tag that it gets."""
    pull: int = 0
    """Number of a pull request with this commit as its head."""
    edits: tuple[str, ...] = ()
    """Names of edits of the newest tree."""


class Defect(YamlRecord):
    """A branch broken/NAME: one commit with one defect."""

    subject: str
    """First line of its message."""
    changes: tuple[Edit, ...] = Field(min_length=1)
    """The defect."""
    expect: ExpectedFailure


class History(YamlRecord):
    """A git repository as data: the newest tree in a folder, and commits whose trees differ from it by edits."""

    author: str = Field(pattern=r"^[^<>\n]+ <[^<>\n]+>$")
    """Author of all commits: NAME <ADDRESS>."""
    source: str
    """Folder of the newest tree."""
    base: str
    """Name of the commit that broken branches start from."""
    edits: dict[str, tuple[Edit, ...]] = {}
    """By name, changes of the newest tree."""
    commits: tuple[CommitSpec, ...] = Field(min_length=1)
    """The commits, oldest first."""
    broken: dict[str, Defect] = {}
    """By name, branches with a defect each."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        earlier: set[str] = set()
        for commit in self.commits:
            missing = [name for name in commit.edits if name not in self.edits]
            if missing:
                raise ValueError(f"commit {commit.name!r}: no edits named {missing[0]!r}")
            if commit.after and commit.after not in earlier:
                raise ValueError(f"commit {commit.name!r}: no commit {commit.after!r} before it")
            earlier.add(commit.name)
        if self.base not in earlier:
            raise ValueError(f"base: no commit {self.base!r}")
        return self

    def commit(self, name: str) -> CommitSpec:
        """Return the commit of this name; raise KeyError if there is none."""
        return {commit.name: commit for commit in self.commits}[name]


def load(path: Path) -> History:
    """Read a history file; raise UsageError with file, line and key of every mistake in it."""
    return yamlfile.load(path, History)


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files below a folder by path, without files that tools left there."""
    tree = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not _TOOL_FOLDERS.intersection(relative.parts) and path.suffix != ".pyc":
            tree[relative.as_posix()] = path.read_bytes()
    if not tree:
        raise UsageError(f"{folder}: no source tree there")
    return tree


def apply_edits(tree: Mapping[str, bytes], edits: Iterable[Edit], *, where: str) -> dict[str, bytes]:
    """Return a tree with edits applied; raise UsageError if the text that one replaces is not there once."""
    result = dict(tree)
    for edit in edits:
        if (edit.remove or edit.old) and edit.file not in result:
            raise UsageError(f"{where}: no file {edit.file} to edit")
        if edit.remove:
            del result[edit.file]
        elif not edit.old:
            result[edit.file] = edit.new.encode()
        else:
            count = result[edit.file].count(edit.old.encode())
            if count != 1:
                first_line = edit.old.strip().splitlines()[0] if edit.old.strip() else ""
                raise UsageError(f"{where}: {edit.file} has {first_line!r} {count} times, not once")
            result[edit.file] = result[edit.file].replace(edit.old.encode(), edit.new.encode())
    return result


def import_stream(history: History, tree: Mapping[str, bytes], *, where: str) -> bytes:
    """Return the whole repository in the format of ``git fast-import``.

    The stream is the same on every machine.  A file is executable if it
    starts with ``#!``, because a wheel does not keep modes.
    """
    stream = _FastImportStream(history.author)
    marks: dict[str, int] = {}
    previous = 0
    for commit in history.commits:
        edits = [edit for name in commit.edits for edit in history.edits[name]]
        files = apply_edits(tree, edits, where=f"{where}: commit {commit.name}")
        ref = f"refs/heads/{commit.branch}" if commit.branch else f"refs/pull/{commit.pull}/head"
        parent = marks[commit.after] if commit.after else previous
        previous = marks[commit.name] = stream.commit(ref, commit.subject, commit.date, parent, files)
        if commit.tag:
            stream.tag(commit.tag, previous, commit.date)
    base = history.commit(history.base)
    base_edits = [edit for name in base.edits for edit in history.edits[name]]
    for name, defect in history.broken.items():
        files = apply_edits(tree, [*base_edits, *defect.changes], where=f"{where}: broken/{name}")
        stream.commit(f"refs/heads/broken/{name}", defect.subject, base.date, marks[base.name], files)
    return stream.data()


class _FastImportStream:
    """Builds the input of git-fast-import(1); blobs and commits share one numbering of marks."""

    def __init__(self, author: str) -> None:
        self._author = author
        self._parts: list[bytes] = []
        self._blobs: dict[bytes, int] = {}
        self._last = 0

    def _text(self, text: str) -> None:
        self._parts.append(text.encode())

    def _bytes(self, data: bytes) -> None:
        self._parts += [b"data %d\n" % len(data), data, b"\n"]

    def _blob(self, content: bytes) -> int:
        if content not in self._blobs:
            self._last += 1
            self._blobs[content] = self._last
            self._text(f"blob\nmark :{self._last}\n")
            self._bytes(content)
        return self._blobs[content]

    def commit(self, ref: str, subject: str, date: datetime, parent: int, files: Mapping[str, bytes]) -> int:
        """Add a commit at the head of a ref; return its mark."""
        entries = []
        for path, content in sorted(files.items()):
            mode = "100755" if content.startswith(b"#!") else "100644"
            entries.append(f"M {mode} :{self._blob(content)} {path}\n")
        self._last += 1
        identity = f"{self._author} {int(date.timestamp())} +0000"
        self._text(f"commit {ref}\nmark :{self._last}\nauthor {identity}\ncommitter {identity}\n")
        self._bytes(subject.encode() + b"\n")
        self._text(f"from :{parent}\n" if parent else "")
        self._text("deleteall\n" + "".join(entries) + "\n")
        return self._last

    def tag(self, name: str, mark: int, date: datetime) -> None:
        """Add an annotated tag."""
        self._text(f"tag {name}\nfrom :{mark}\ntagger {self._author} {int(date.timestamp())} +0000\n")
        self._bytes(f"{name}\n".encode())

    def data(self) -> bytes:
        """Return the whole stream; its last line, ``done``, makes git refuse a stream that was cut off."""
        return b"feature done\n" + b"".join(self._parts) + b"done\n"


def make_repository(history_file: Path, destination: Path, *, runner: Runner | None = None) -> Path:
    """Return the bare git repository of a history in ``destination``; make it if it is not there.

    Its name contains a hash of its content, so that a changed history gets a
    repository of its own.  It appears whole or not at all.  Raises UsageError
    if the file is wrong, TestbedError if git fails.
    """
    history = load(history_file)
    tree = read_tree(history_file.parent / history.source)
    stream = import_stream(history, tree, where=str(history_file))
    digest = hashlib.sha256(stream).hexdigest()[:12]
    repository = destination / f"{history_file.parent.name}-{digest}.git"
    ownership.own_folder(destination)
    if repository.is_dir():
        ownership.check_tree(repository)  # its configuration names programs
        os.utime(repository)  # itb clean --unused goes by it
        return repository
    temporary = Path(tempfile.mkdtemp(prefix=f".{repository.name}.", dir=destination))
    try:
        _import(stream, temporary / "repo", runner or Runner())
        (temporary / "repo").chmod(0o700)
        try:
            (temporary / "repo").rename(repository)
        except OSError:
            # Another run was faster; its repository is the same.
            if not repository.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return repository


def _import(stream: bytes, repository: Path, runner: Runner) -> None:
    # A user's configuration, templates and GIT_* variables would change the repository.
    env = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1"}
    env["GIT_CONFIG_GLOBAL"] = os.devnull
    init = ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--object-format=sha1"]
    runner.run(Request([*init, str(repository)], env=env, clean_env=True, timeout=runner.limits("git")))
    runner.run(Request(
        ["git", f"--git-dir={repository}", "fast-import", "--quiet", "--date-format=raw"],
        input=stream, env=env, clean_env=True, timeout=runner.limits("git"),
        about=f"git fast-import into {repository}",
    ))  # fmt: skip
