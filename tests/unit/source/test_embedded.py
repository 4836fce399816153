"""Histories as data: edits apply or are refused, and streams depend on the data alone."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from itb.data import shipped
from itb.errors import UsageError
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.source import embedded
from itb.source.embedded import Edit, History

TREE = {"a.txt": b"one\ntwo\n", "run": b"#!/bin/sh\n"}
SMALL = """\
author: A <a@example.org>
source: source
base: second
edits:
  old: [{file: a.txt, old: "two\\n"}]
commits:
  - {name: first, subject: First, date: 2026-01-01T00:00:00Z, branch: main, tag: v1_0_0, edits: [old]}
  - {name: second, subject: Second, date: 2026-01-02T00:00:00Z, branch: main}
  - {name: asked, subject: Asked, date: 2026-01-03T00:00:00Z, pull: 7}
broken:
  worse:
    subject: Worse
    changes: [{file: a.txt, old: one, new: none}]
    expect: {phase: build, case: RPMs, message: none, exit_code: 4}
"""


class Recorder(Runner):
    """A runner without git: it records the commands, and makes the folder that git init would make."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Sequence[str]] = []

    def run(self, request: Request) -> Completed:
        self.commands.append(request.argv)
        if "init" in request.argv:
            Path(request.argv[-1]).mkdir()
        return Completed(tuple(request.argv), 0, "", "", 0.0)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    for name, content in TREE.items():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_bytes(content)
    (folder / "history.yaml").write_text(SMALL)
    return folder / "history.yaml"


def stream_of(path: Path) -> str:
    history = embedded.load(path)
    return embedded.import_stream(history, embedded.read_tree(path.parent / history.source), where="toy").decode()


def test_edit_replaces_what_occurs_once() -> None:
    tree = embedded.apply_edits(TREE, [Edit(file="a.txt", old="two", new="2")], where="toy")
    assert tree["a.txt"] == b"one\n2\n"
    assert TREE["a.txt"] == b"one\ntwo\n"


def test_edit_removes_and_adds_files() -> None:
    tree = embedded.apply_edits(TREE, [Edit(file="run", remove=True), Edit(file="b/c", new="x\n")], where="toy")
    assert sorted(tree) == ["a.txt", "b/c"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(file="a.txt", old="three"), "a.txt has 'three' 0 times"),
        (Edit(file="a.txt", old="o"), "a.txt has 'o' 2 times"),
        (Edit(file="gone", old="x"), "no file gone"),
        (Edit(file="gone", remove=True), "no file gone"),
    ],
)
def test_edit_that_does_not_fit_is_refused(edit: Edit, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        embedded.apply_edits(TREE, [edit], where="toy")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("edits: [old]", "edits: [odl]", "no edits named 'odl'"),
        ("base: second", "base: third", "no commit 'third'"),
        ("pull: 7}", "pull: 7, after: later}", "no commit 'later' before it"),
        ("message: none", "message: '('", "no regular expression"),
        ("{file: a.txt, old: one, new: none}", "{file: a.txt}", "old, new or remove"),
        ("2026-01-03T00:00:00Z", "2026-01-03T00:00:00", "timezone"),
        ("subject: Worse", "subjekt: Worse", "did you mean 'subject'"),
    ],
)
def test_wrong_file_is_refused(small: Path, old: str, new: str, message: str) -> None:
    small.write_text(SMALL.replace(old, new))
    with pytest.raises(UsageError, match=message):
        embedded.load(small)


def test_stream_has_every_ref_with_its_parent(small: Path) -> None:
    text = stream_of(small)
    refs = re.findall(r"^commit (\S+)\nmark :(\d+)\n.*?^(?:from :(\d+)\n)?deleteall", text, re.M | re.S)
    assert [ref for ref, _, _ in refs] == [
        "refs/heads/main", "refs/heads/main", "refs/pull/7/head", "refs/heads/broken/worse",
    ]  # fmt: skip
    first, second, asked, worse = refs
    assert first[2] == ""
    assert second[2] == first[1]
    assert asked[2] == worse[2] == second[1]
    assert f"tag v1_0_0\nfrom :{first[1]}\n" in text


def test_only_scripts_are_executable(small: Path) -> None:
    text = stream_of(small)
    assert set(re.findall(r"^M (\d+) :\d+ run$", text, re.M)) == {"100755"}
    assert set(re.findall(r"^M (\d+) :\d+ a.txt$", text, re.M)) == {"100644"}


def test_what_tools_leave_is_not_source(small: Path) -> None:
    before = stream_of(small)
    leftovers = small.parent / "source" / "__pycache__"
    leftovers.mkdir()
    (leftovers / "x.cpython-311.pyc").write_bytes(b"x")
    assert stream_of(small) == before


def test_same_data_is_the_same_repository(small: Path, tmp_path: Path) -> None:
    runner = Recorder()
    repository = embedded.make_repository(small, tmp_path / "cache", runner=runner)
    assert repository.name.startswith("toy-")
    assert repository.suffix == ".git"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [repository.name]
    calls = len(runner.commands)
    os.utime(repository, (1, 1))
    assert embedded.make_repository(small, tmp_path / "cache", runner=runner) == repository
    assert len(runner.commands) == calls
    assert repository.stat().st_mtime > 1, "itb clean --unused would remove what is in use"
    (small.parent / "source" / "a.txt").write_text("one\ntwo\nthree\n")
    assert embedded.make_repository(small, tmp_path / "cache", runner=runner) != repository


def test_nothing_is_left_when_git_fails(small: Path, tmp_path: Path) -> None:
    class Failing(Recorder):
        def run(self, request: Request) -> Completed:
            if "fast-import" in request.argv:
                raise UsageError("fast-import died")
            return super().run(request)

    with pytest.raises(UsageError, match="died"):
        embedded.make_repository(small, tmp_path / "cache", runner=Failing())
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no source tree"):
        embedded.read_tree(tmp_path)


@pytest.fixture
def pocket() -> tuple[History, dict[str, bytes]]:
    folder = shipped.folder("build_ws") / "products" / "pocketwms"
    history = embedded.load(folder / "history.yaml")
    return history, embedded.read_tree(folder / history.source)


def test_embedded_history_fits_its_source(pocket: tuple[History, dict[str, bytes]]) -> None:
    history, tree = pocket
    text = embedded.import_stream(history, tree, where="pocketwms").decode()
    assert {"v1_0_0", "v1_1_0", "v1_2_0_rc1"} <= set(re.findall(r"^tag (\S+)$", text, re.M))


def test_every_defect_differs_from_its_base_in_few_lines(pocket: tuple[History, dict[str, bytes]]) -> None:
    history, tree = pocket
    for name, defect in history.broken.items():
        edited = embedded.apply_edits(tree, defect.changes, where=name)
        changed = [path for path in tree.keys() | edited.keys() if tree.get(path) != edited.get(path)]
        assert len(changed) == 1, f"{name} is one defect in one file, not in {changed}"
        assert defect.expect.exit_code in (2, 4, 7)


@pytest.mark.parametrize(
    "name",
    [
        "missing-requires", "unknown-requires", "file-conflict", "unpackaged-file", "post-fails", "unit-dies",
        "config-syntax", "missing-module", "frontend-never-asks", "pilot-cannot-join", "wrong-owner",
        "upgrade-loses-config",
    ],
)  # fmt: skip
def test_defects_a_testbed_exists_to_find_are_there(pocket: tuple[History, dict[str, bytes]], name: str) -> None:
    assert name in pocket[0].broken
