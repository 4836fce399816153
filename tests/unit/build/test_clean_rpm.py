"""What RPM files have to be, and the files of a source package against those of the commit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from itb.build import clean_rpm
from itb.build.clean_rpm import CleanImage, Header, Reading
from itb.config.product import SourceRpm
from itb.containers.engine import Engine
from itb.errors import TestbedError
from itb.model import Commit, CommitKind, Rpm
from itb.process.request import Request
from itb.process.runner import Runner

COMMIT = Commit(
    product="mini", source="s", ref="v1_2", kind=CommitKind.TAG, id="1" * 40, tree="2" * 40, date="", subject="",
    version="1.2",
)  # fmt: skip
SPEC = "Name: mini\nVersion: __VERSION__\nRelease: @RELEASE@%{?dist}\n"
FILLED_IN = "Name: mini\nVersion: 1.2\nRelease: 0.1.rc1%{?dist}\n"
FILES = {"build/mini.spec": SPEC, "bin/tool": "tool\n", "etc/conf": "conf\n", "tests/test_tool": "test\n"}


def rpm(name: str, *, version: str = "1.2", release: str = "1", arch: str = "noarch") -> Rpm:
    file = f"{name}-1.2-1.{arch}.rpm"
    return Rpm(name=name, version=version, release=release, arch=arch, file=file, sha256="", size=1)


SOURCE = rpm("mini").model_copy(update={"file": "mini-1.2-1.src.rpm"})
TOOL = rpm("mini-tool")


def header(**more: object) -> Header:
    facts = {"name": "mini-tool", "version": "1.2", "release": "1", "arch": "noarch", "source": SOURCE.file}
    return Header.model_validate({**facts, "said": "digests OK", **more})


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({}, ""),
        ({"said": "digests signatures OK"}, ""),
        ({"name": "other"}, "is other-0-1.2-1.noarch, and was called mini-tool-1.2-1.noarch"),
        ({"version": "1.3"}, "is mini-tool-0-1.3-1.noarch"),
        ({"epoch": 1}, "is mini-tool-1-1.2-1.noarch"),
        ({"arch": "x86_64"}, "is mini-tool-0-1.2-1.x86_64"),
        ({"source": "other-1-1.src.rpm"}, "was built from other-1-1.src.rpm, not mini-1.2-1.src.rpm"),
        ({"source": ""}, "was built from no source package"),
        ({"said": "DIGESTS NOT OK"}, "is broken: DIGESTS NOT OK"),
        ({"said": "digests SIGNATURES NOT OK"}, "is broken"),
        ({"said": "nothing"}, "is broken"),
        ({"problem": "rpm cannot read its header"}, "is broken: rpm cannot read"),
    ],
)
def test_package_is_what_it_was_called(found: dict[str, object], problem: str) -> None:
    source = header(name="mini", source="")
    problems = clean_rpm.problems([TOOL, SOURCE], [header(**found), source], SOURCE)
    assert len(problems) == bool(problem)
    assert not problem or problem in problems[0]


def test_source_package_is_one() -> None:
    packages = [header(), header(name="mini")]
    assert "is no source package" in clean_rpm.problems([TOOL, SOURCE], packages, SOURCE)[0]
    assert not clean_rpm.problems([TOOL], [header(source="elsewhere.src.rpm")], None)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SOURCE, ""),
        (SOURCE.model_copy(update={"name": "mini-tool"}), ""),
        (SOURCE.model_copy(update={"name": "min"}), "its name is not that of mini-tool"),
        (SOURCE.model_copy(update={"version": "1.3"}), "its version is not 1.2-1"),
        (SOURCE.model_copy(update={"release": "2"}), "its version is not 1.2-1"),
    ],
)
def test_source_package_is_named_as_the_packages(source: Rpm, words: str) -> None:
    problem = clean_rpm.name_problem(COMMIT, source, [TOOL])
    assert bool(problem) == bool(words)
    assert words in problem


@pytest.mark.parametrize(("source_size", "size"), [(1 << 20, (1 << 30) + (4 << 20)), (8 << 30, 4 << 30)])
def test_memory_to_unpack_in_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source_size: int, size: int
) -> None:
    """Whatever the size of the commit, which is the candidate's choice."""
    asked: list[str] = []

    def run_once(_engine: Engine, _image: str, request: Request, *, scratch: str, **_: object) -> None:
        asked.append(scratch)
        assert request.stdout_to
        request.stdout_to.write_text('{"packages": []}')

    monkeypatch.setattr(Engine, "run_once", run_once)
    clean = CleanImage(Engine(Runner()), "image", {})
    clean_rpm.read(clean, tmp_path / "rpms", [], source="x.src.rpm", source_size=source_size)
    assert asked == [f"/srv/unpacked:size={size}"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout of the commit, with a link to a file and one to a folder."""
    folder = tmp_path / "clone"
    for name, text in {**FILES, ".git/HEAD": "x"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    os.symlink("./bin/tool", folder / "link")  # noqa: PTH211 - a Path would leave out "./"
    (folder / "more").symlink_to("bin")
    (folder / os.fsdecode(b"caf\xe9")).write_text("x")
    return folder


def packed(clone: Path, *, spec: str = FILLED_IN, **changes: str | None) -> Reading:
    """A source package made of the checkout, with changes by path: what a file is, or None to leave it out."""
    inside = {f"mini.tgz//mini-1.2/{path}": kind for path, kind in clean_rpm.tree(clone).items()}
    content = {"mini.spec": "filled in", "mini.tgz": "packed", **inside, **changes}
    return Reading(
        packages=(), content={path: kind for path, kind in content.items() if kind}, specs={"mini.spec": spec}
    )


def difference(clone: Path, reading: Reading, **rules: tuple[str, ...]) -> str:
    return clean_rpm.compare(clone, reading, SourceRpm(**rules)).summary


def test_commits_files_are_there(clone: Path) -> None:
    found = clean_rpm.compare(clone, packed(clone), SourceRpm())
    assert not found, found.summary
    assert found.same == len(FILES) + 3
    assert clean_rpm.tree(clone)["link"] == "link:./bin/tool"


TOP = "mini.tgz//mini-1.2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({f"{TOP}/bin/tool": "other"}, "changed bin/tool"),
        ({f"{TOP}/bin/tool": "link:/etc/passwd"}, "changed bin/tool"),
        ({f"{TOP}/link": "link:etc/conf"}, "changed link"),
        ({f"{TOP}/bin/more": "x"}, "added bin/more"),
        ({f"{TOP}/etc/conf": None}, "missing etc/conf"),
        ({f"{TOP}/bin": "link:etc"}, "added bin"),
        ({"conf": "other"}, "changed conf"),
        ({"vendored.tar.gz": "x", "vendored.tar.gz//a/b": "x"}, "added vendored.tar.gz"),
        ({f"{TOP}/bin/tool": "other", f"{TOP}/a": "x", f"{TOP}/etc/conf": None},
         "changed bin/tool; added a; missing etc/conf"),
    ],
)  # fmt: skip
def test_differences_are_named(clone: Path, changes: dict[str, str | None], words: str) -> None:
    assert difference(clone, packed(clone, **changes)) == words


@pytest.mark.parametrize(
    "spec",
    [
        FILLED_IN + "%post\nx\n",
        FILLED_IN.replace("mini", "other"),
        FILLED_IN.replace("1.2", "1.2 %(id)"),
        FILLED_IN.replace("1.2", "%{expand:x}"),
        FILLED_IN.replace("%{?dist}", ""),
    ],
)
def test_in_a_spec_file_only_versions_are_filled_in(clone: Path, spec: str) -> None:
    assert difference(clone, packed(clone, spec=spec)) == "changed mini.spec"


def test_what_the_product_expects_is_no_difference(clone: Path) -> None:
    changes: dict[str, str | None] = {
        f"{TOP}/etc/conf": "made", f"{TOP}/a/b/__pycache__/c": "x", f"{TOP}/tests/test_tool": None,
        f"{TOP}/bin/tool": "other",
    }  # fmt: skip
    rules = {"generated": ("etc/c*", "__pycache__"), "left_out": ("tests",)}
    found = clean_rpm.compare(clone, packed(clone, **changes), SourceRpm(**rules))
    assert found.summary == "changed bin/tool"
    assert found.expected == ("a/b/__pycache__/c", "etc/conf", "tests/test_tool")
    assert "expected: etc/conf" in found.listing
    other_test = packed(clone, **{f"{TOP}/tests/test_tool": "x"})
    assert difference(clone, other_test, **rules) == "changed tests/test_tool"


def test_archive_without_a_top_folder_and_none_at_all(clone: Path) -> None:
    files = clean_rpm.tree(clone)
    flat = {**{f"a.tar//{path}": kind for path, kind in files.items()}, "a.tar": "x"}
    assert not difference(clone, Reading(packages=(), content=flat))
    single = {path.rpartition("/")[2]: kind for path, kind in files.items()}
    assert not difference(clone, Reading(packages=(), content=single))


def test_reading_that_cannot_be_read() -> None:
    good = json.dumps({"packages": [{"name": "a", "epoch": "0"}]})
    assert clean_rpm.parse(good.encode()).packages[0].name == "a"
    with pytest.raises(TestbedError, match="cannot be read"):
        clean_rpm.parse(b"{}")
