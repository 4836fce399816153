"""Archives that a hostile container sends in the place of tar's: none costs more than its bounds allow."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from itb.containers import archive
from itb.containers.archive import ArchiveError, Bounds

BOUNDS = Bounds(total=64 << 20, file=16 << 20, members=1000)
END = bytes(1024)


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, kind, len(content)) + content + bytes(-len(content) % 512)


def pax(**records: str) -> bytes:
    lines = [f" {key.replace('_', '.')}={value}\n" for key, value in records.items()]
    content = "".join(f"{len(line) + 2}{line}" for line in lines).encode()
    return member("pax", content, tarfile.XHDTYPE)


def receive(folder: Path, data: bytes, bounds: Bounds = BOUNDS) -> archive.Received:
    (folder / "x.tar").write_bytes(data)
    return archive.receive_text(folder / "x.tar", folder / "out", bounds)


def files(folder: Path) -> dict[str, int]:
    out = folder / "out"
    return {str(path.relative_to(out)): path.stat().st_size for path in out.rglob("*") if path.is_file()}


SPARSE = header("huge.log", tarfile.GNUTYPE_SPARSE, 512)
HUGE_NUMBER = bytearray(header("huge.log"))
HUGE_NUMBER[124:136] = b"\xff" * 4 + b"\x80" + bytes(7)  # base-256, negative
HUGE_NUMBER[148:156] = b"%06o\0 " % (sum(HUGE_NUMBER[:148]) + 8 * 32 + sum(HUGE_NUMBER[156:]))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SPARSE + bytes(512) + END, id="sparse file of old GNU tar"),
        pytest.param(
            pax(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_realsize=str(20 << 30)) + END, id="sparse"
        ),
        pytest.param(pax(size=str(1 << 40)) + member("x", b"x") + END, id="size in a header of its own"),
        pytest.param(bytes(HUGE_NUMBER) + END, id="negative size"),
        pytest.param(header("dir", tarfile.DIRTYPE, 1 << 30) + END, id="folder with content"),
        pytest.param(member("long", b"x" * 100_000, tarfile.GNUTYPE_LONGNAME) + END, id="endless name"),
        pytest.param(5000 * member("long", b"x", tarfile.GNUTYPE_LONGNAME) + END, id="names of names"),
        pytest.param(5000 * header("d/", tarfile.DIRTYPE) + END, id="many folders"),
        pytest.param(gzip.compress(member("big.log", b"x" * 1000) + END), id="compressed"),
    ],
)
def test_entries_that_tar_does_not_write_are_refused(tmp_path: Path, data: bytes) -> None:
    before = member("first.log", b"first")
    received = receive(tmp_path, before + data)
    assert received.problem
    assert files(tmp_path) == {"first.log": 5}
    with pytest.raises(ArchiveError):
        archive.receive_files(tmp_path / "x.tar", {"huge.log": tmp_path / "huge.log"}, BOUNDS)


def test_compressed_archive_is_none(tmp_path: Path) -> None:
    assert receive(tmp_path, gzip.compress(member("big.log", b"x" * 1000) + END)).problem


@pytest.mark.parametrize(("cut", "kept"), [(1024, 0), (600, 88), (100, 0)])
def test_cut_off_archive_is_kept_as_far_as_it_came(tmp_path: Path, cut: int, kept: int) -> None:
    received = receive(tmp_path, member("a.log", b"x" * 200)[:cut])
    assert received.problem == "unexpected end of data"
    assert files(tmp_path) == ({"a.log": kept or 200} if cut > 512 else {})


def test_all_together_is_bounded_and_so_is_each_file(tmp_path: Path) -> None:
    names = "abcdefgh"
    data = b"".join(member(name, b"x" * 30_000) for name in names) + member("z", b"x" * 60_000) + END
    received = receive(tmp_path, data, Bounds(total=110_000, file=50_000, members=100))
    assert received == archive.Received(tuple(("too large", name) for name in "defghz"), "")
    assert files(tmp_path) == dict.fromkeys("abc", 30_000)


def test_empty_files_are_not_for_nothing(tmp_path: Path) -> None:
    """Each takes an inode, and so does each of its folders."""
    data = b"".join(member(f"{number}/b/c/d", b"") for number in range(100)) + END
    received = receive(tmp_path, data, Bounds(total=100_000, file=50_000, members=1000))
    assert {reason for reason, _ in received.left_out} == {"too large"}
    assert len(files(tmp_path)) < 10


def test_deep_folders(tmp_path: Path) -> None:
    name = member("long", b"d/" * 2000 + b"x\0", tarfile.GNUTYPE_LONGNAME)
    received = receive(tmp_path, name + member("short", b"deep") + member("last", b"last") + END)
    assert [reason for reason, _ in received.left_out] == ["leads elsewhere"]
    assert files(tmp_path) == {"last": 4}


def test_what_tar_writes_is_read(tmp_path: Path) -> None:
    """Long and odd names, several megabytes, and links that stay where they are."""
    names = {"a" * 99: 0, "b" * 200 + ".log": 513, "x\udcff\n.log": 5, "sub/" + "c" * 150: 3 << 20}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, size in names.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = size
            tar.addfile(info, io.BytesIO(b"line of text\n" * (size // 13 + 1)))
    received = receive(tmp_path, buffer.getvalue())
    assert received == archive.Received((), "")
    assert files(tmp_path) == names


def test_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    data = member("big.rpm", bytes(48 << 20)) + END
    (tmp_path / "x.tar").write_bytes(data)
    del data
    bounds = Bounds(total=64 << 20, file=64 << 20, members=10)
    tracemalloc.start()
    try:
        archive.receive_files(tmp_path / "x.tar", {"big.rpm": tmp_path / "big.rpm"}, bounds)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "big.rpm").stat().st_size == 48 << 20


def test_file_that_was_there_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "out" / "a").symlink_to(tmp_path / "secret")
    assert receive(tmp_path, member("a", b"theirs") + END) == archive.Received((), "")
    assert (tmp_path / "secret").read_text() == "mine"
    archive.receive_files(tmp_path / "x.tar", {"a": tmp_path / "out" / "a"}, BOUNDS)
    assert (tmp_path / "out" / "a").read_text() == "theirs"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (header("usr/x.rpm", tarfile.SYMTYPE), set()),
        (member("usr/y.rpm", b"another"), set()),
        (member("usr/x.rpm", b"rpm"), {"usr/x.rpm"}),
    ],
)
def test_file_that_is_missing_or_a_link_did_not_come(tmp_path: Path, data: bytes, names: set[str]) -> None:
    (tmp_path / "x.tar").write_bytes(data + END)
    assert archive.receive_files(tmp_path / "x.tar", {"usr/x.rpm": tmp_path / "x.rpm"}, BOUNDS) == names
    assert (tmp_path / "x.rpm").exists() == bool(names)


def test_tree_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tar"
    program = tarfile.TarInfo("bin/run")
    program.mode, program.size = 0o4755, 1
    path.write_bytes(program.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(512, b"\0") + member("lib/a", b"\0a") + END)
    archive.receive_tree(path, tmp_path / "tree", Bounds(1 << 20, 1 << 20, 10))
    assert (tmp_path / "tree" / "lib" / "a").read_bytes() == b"\0a"
    modes = {file.name: file.stat().st_mode & 0o7777 for file in (tmp_path / "tree").glob("*/*")}
    assert modes == {"run": 0o755, "a": 0o644}


@pytest.mark.parametrize(
    "content",
    [
        member("../up", b"x"),
        member("/tmp/itb-absolute", b"x"),
        header("link", tarfile.SYMTYPE),
        header("same", tarfile.LNKTYPE),
        header("device", tarfile.CHRTYPE),
        member("a", b"x") + member("a", b"y"),
        member("a", b"x") + member("a/b", b"y"),
        member("large", b"x" * 2000),
        b"".join(member(f"{n}", b"x" * 900) for n in range(9)),
        SPARSE,
        b"no archive" * 100,
    ],
)
def test_tree_that_is_no_tree_of_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tar"
    path.write_bytes(content + END)
    with pytest.raises(archive.ArchiveError):
        archive.receive_tree(path, tmp_path / "in" / "tree", Bounds(30_000, 1000, 100))
    outside = {file.name for file in tmp_path.iterdir()} | {file.name for file in (tmp_path / "in").glob("*")}
    assert outside <= {"tar", "in", "tree"}
