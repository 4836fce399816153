"""Files of packages are read from headers; a damaged package is said to be one."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from itb.defects import rpm_files
from itb.errors import TestbedError

TEXT, NUMBERS, SHORTS, TEXTS = 6, 4, 3, 8
FILES = {
    1000: (TEXT, ["pw-libs"]),
    1030: (SHORTS, [0o100755, 0o100644, 0o40755]),
    1035: (TEXTS, ["aa", "bb", ""]),
    1037: (NUMBERS, [0, 1, 0]),
    1039: (TEXTS, ["root", "pw", "pw"]),
    1049: (TEXTS, ["python3", "condor"]),
    1116: (NUMBERS, [0, 1, 2]),
    1117: (TEXTS, ["a", "pw.yaml", "pw"]),
    1118: (TEXTS, ["/usr/bin/", "/etc/", "/var/lib/"]),
    1141: (NUMBERS, [1, 0, 0]),
    1142: (TEXTS, ["", "Python script, ASCII text executable"]),
}


def header(tags: Mapping[int, tuple[int, list[object]]]) -> bytes:
    """Return a header as rpm writes it."""
    index, store = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        size = {NUMBERS: 4, SHORTS: 2}.get(kind, 1)
        store += bytes(-len(store) % size)
        index += struct.pack(">IIII", tag, kind, len(store), len(values))
        form = {NUMBERS: ">I", SHORTS: ">H"}.get(kind)
        store += b"".join(
            struct.pack(form, value) if form else str(value).encode() + b"\0" for value in values
        )  # fmt: skip
    return struct.pack(">4s4xII", b"\x8e\xad\xe8\x01", len(tags), len(store)) + index + store


def write(path: Path, tags: Mapping[int, tuple[int, list[object]]]) -> None:
    signature = header({1000: (TEXT, ["of another meaning here"])})
    path.write_bytes(bytes(96) + signature + bytes(-(96 + len(signature)) % 8) + header(tags) + b"payload")


def test_files_of_packages_are_read(tmp_path: Path) -> None:
    write(tmp_path / "pw-libs-1-1.noarch.rpm", FILES)
    write(tmp_path / "pw-1-1.src.rpm", {1000: (TEXT, ["pw"]), 1106: (NUMBERS, [1])})
    write(tmp_path / "pw-empty-1-1.noarch.rpm", {1000: (TEXT, ["pw-empty"])})
    empty, package = rpm_files.read_all(tmp_path)
    assert (empty.name, empty.files) == ("pw-empty", ())
    assert (package.name, package.requires) == ("pw-libs", ("python3", "condor"))
    files = rpm_files.all_files([package])
    assert list(files) == ["/usr/bin/a", "/etc/pw.yaml", "/var/lib/pw"]
    program, setting, folder = files.values()
    assert (program.is_python, program.is_config, program.name) == (True, False, "a")
    assert (setting.is_config, setting.user, setting.digest) == (True, "pw", "bb")
    assert not folder.is_regular


@pytest.mark.parametrize("length", [0, 50, 110, 200, 400])
def test_file_that_is_cut_off_is_no_package(tmp_path: Path, length: int) -> None:
    path = tmp_path / "pw-1-1.noarch.rpm"
    write(path, FILES)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TestbedError, match=r"pw-1-1\.noarch\.rpm is no RPM that can be read"):
        rpm_files.read_all(tmp_path)
