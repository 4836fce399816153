"""The program that takes published packages: its lock, which whoever may only read the packages cannot hold."""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from itb.data import shipped
from tests.unit.data import scripts


@pytest.fixture
def receive(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = scripts.load(shipped.folder("build_ws") / "publish" / "receive.py")
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    return module


def test_who_waits_for_the_lock_waits_a_while_only(receive: ModuleType, tmp_path: Path) -> None:
    with (
        receive.hold(tmp_path),
        pytest.raises(OSError, match=rf"process {os.getpid()} holds {tmp_path}/.itb-publish.lock, and"),
    ):
        receive.hold(tmp_path)
    receive.hold(tmp_path).close()


def test_lock_of_an_earlier_version_is_closed_to_readers(receive: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / ".itb-publish.lock"
    path.touch()
    path.chmod(0o644)
    receive.hold(tmp_path).close()
    assert path.stat().st_mode & 0o777 == 0o640
    with path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        path.write_text("not a number")
        with pytest.raises(OSError, match="another process holds"):
            receive.hold(tmp_path)


def test_a_link_in_the_locks_place_is_not_followed(receive: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".itb-publish.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        receive.hold(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def rpm(payload: bytes, signature: bytes = b"") -> bytes:
    """Return a file that looks like a package: lead, signature header, and the rest."""
    size = len(signature).to_bytes(4, "big")
    return b"\xed\xab\xee\xdb" + bytes(92) + bytes(12) + size + signature + bytes(-len(signature) % 8) + payload


def send(
    receive: ModuleType, monkeypatch: pytest.MonkeyPatch, directory: Path, files: dict[str, bytes]
) -> dict[str, object]:
    """Add files to a directory, whose index cannot be made if one of them is called so."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    buffer.seek(0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(buffer))

    def make_index(_directory: Path, _new: Path, _indexer: list[str]) -> None:
        if "bad-1-1.noarch.rpm" in files:
            raise OSError("createrepo_c: bad")
        (directory / "repodata").mkdir(exist_ok=True)
        (directory / "repodata" / "repomd.xml").write_text("index")

    monkeypatch.setattr(receive, "index", make_index)
    return dict(receive.receive(directory, []))


def listing(directory: Path) -> dict[str, bytes]:
    """Return what users see of a directory."""
    files = [path for path in directory.rglob("*") if path.is_file() and ".itb" not in str(path)]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


GOOD = {"a-1-1.noarch.rpm": rpm(b"a"), "RPM-GPG-KEY-itb": b"key a\n"}


@pytest.mark.parametrize("folder", ["", "Packages"])
def test_name_with_another_content_is_refused(
    receive: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    """By name, wherever the index would find it, and nothing else is added."""
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "b-1-1.noarch.rpm").write_bytes(rpm(b"b"))
    before = listing(tmp_path)
    with pytest.raises(receive.Refused, match=r"b-1-1\.noarch\.rpm is there already, with another content"):
        send(receive, monkeypatch, tmp_path, {**GOOD, "b-1-1.noarch.rpm": rpm(b"other")})
    assert listing(tmp_path) == before
    added = send(receive, monkeypatch, tmp_path, {**GOOD, "b-1-1.noarch.rpm": rpm(b"b", b"signed")})
    assert (added["added"], added["kept"]) == (["a-1-1.noarch.rpm"], ["b-1-1.noarch.rpm"])


def test_nothing_is_half_published(
    receive: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An index that cannot be made takes the packages and the key with it."""
    send(receive, monkeypatch, tmp_path, GOOD)
    before = listing(tmp_path)
    assert set(before) == {*GOOD, "repodata/repomd.xml"}
    with pytest.raises(OSError, match="createrepo_c: bad"):
        send(receive, monkeypatch, tmp_path, {"bad-1-1.noarch.rpm": rpm(b"x"), "RPM-GPG-KEY-itb": b"key b\n"})
    assert listing(tmp_path) == before


@pytest.mark.parametrize("name", ["repodata", "RPM-GPG-KEY-itb"])
def test_a_link_to_elsewhere_is_refused(
    receive: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """By one, a file that only who publishes can read would be published, and files elsewhere removed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    directory = tmp_path / "repository"
    directory.mkdir()
    (directory / name).symlink_to(elsewhere if name == "repodata" else elsewhere / "secret")
    with pytest.raises(receive.Refused, match=f"{name} is a link"):
        send(receive, monkeypatch, directory, GOOD)
    assert listing(elsewhere) == {"secret": b"secret"}
    assert not list(directory.glob("*.rpm"))


def test_only_files_of_an_index_are_removed_with_it(
    receive: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    new, folder = tmp_path / ".itb-new", tmp_path / "repodata"
    (new / "repodata").mkdir(parents=True)
    folder.mkdir()
    old = f"{'a' * 64}-primary.xml.gz"
    for path in (new / "repodata" / "repomd.xml", folder / "repomd.xml"):
        path.write_text("<repomd/>")
    for name in (old, "repomd.xml.key", "comps.xml", "notes"):
        (folder / name).touch()
    done = subprocess.CompletedProcess([], 0, b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    receive.index(tmp_path, new, ["createrepo_c"])
    assert sorted(path.name for path in folder.iterdir()) == ["comps.xml", "notes", "repomd.xml", "repomd.xml.key"]


def test_a_key_may_be_of_any_bytes(
    receive: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "RPM-GPG-KEY-itb").write_bytes(b"\x99\xff")
    send(receive, monkeypatch, tmp_path, GOOD)
    assert (tmp_path / "RPM-GPG-KEY-itb").read_bytes() == b"\x99\xffkey a\n"
