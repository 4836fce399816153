"""What the look from outside reads besides the files: the loader's cache, and names of modules."""

from __future__ import annotations

import struct
import sys
import types
from pathlib import Path

import pytest

from itb.config import lookup
from itb.data import shipped
from itb.install import outside
from tests.unit.data import scripts

HOSTS = shipped.folder("build_ws") / "hosts"
DEB13 = outside.side_effects(lookup.load_platform("deb13"))


@pytest.fixture
def library_cache(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.setitem(sys.modules, "host_root", scripts.load(HOSTS / "host_root.py"))
    return scripts.load(HOSTS / "library_cache.py")


def new_cache(*entries: tuple[int, int], text: bytes) -> bytes:
    """Make a cache of glibc's present form; entries are the places of name and path in the text."""
    head = b"glibc-ld.so.cache1.1" + struct.pack("=IIB3xI12x", len(entries), len(text), 2, 0)
    start = len(head) + 24 * len(entries)
    packed = [struct.pack("=iIIIQ", 1, start + name, start + path, 0, 0) for name, path in entries]
    return head + b"".join(packed) + text


def old_cache(*entries: tuple[int, int], text: bytes) -> bytes:
    head = b"ld.so-1.7.0\0" + struct.pack("=I", len(entries))
    return head + b"".join(struct.pack("=iII", 1, *entry) for entry in entries) + text


def test_entry_that_begins_within_a_text_is_read(library_cache: types.ModuleType) -> None:
    """The loader goes by offsets; whoever took texts from zero byte to zero byte saw no path here."""
    text = b"libc.so.6\0X/opt/e/libc.so.6\0"
    evil = {(b"libc.so.6", b"/opt/e/libc.so.6")}
    new, old = new_cache((0, 11), text=text), old_cache((0, 11), text=text)
    assert library_cache.entries(new) == evil
    assert library_cache.entries(old) == evil
    none = old_cache(text=b"")
    assert library_cache.entries(none + new) == evil  # ldconfig -c compat
    filled = old_cache((0, 11), text=b"")
    assert library_cache.entries(filled + b"\0" * (-len(filled) % 8) + new) >= evil
    assert library_cache.entries(b"") == set()


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 64,
        b"glibc-ld.so.cache1.1",
        new_cache((0, 5000), text=b"libc.so.6\0"),
        new_cache((0, 10), text=b"libc.so.6\0/lib"),
        b"glibc-ld.so.cache1.1" + struct.pack("=IIB3xI12x", 1 << 31, 0, 2, 0),
        new_cache((0, 10), text=b"libc.so.6\0/lib\0") + bytes(17_000_000),
    ],
)
def test_cache_that_ldconfig_does_not_make_is_said_so(library_cache: types.ModuleType, data: bytes) -> None:
    with pytest.raises(library_cache.UnreadableError):
        library_cache.entries(data)


def test_names_are_compared_as_the_loader_does(library_cache: types.ModuleType) -> None:
    names = {library_cache.comparable(name) for name in (b"libc.so.6", b"libc.so.06", b"libc.so.4294967302")}
    assert names == {b"libc.so.6"}
    assert library_cache.comparable(b"libc.so.7") == b"libc.so.7"


PLATFORM = (
    "/usr/lib/python3.13/subprocess.py",
    "/usr/lib/python3.13/json/decoder.py",
    "/usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so",
    "/usr/lib/python3/dist-packages/dnf/base.py",
    "/usr/lib/python3/dist-packages/google/protobuf/__init__.py",
    "/usr/lib64/python3.9/site-packages/rpm/__init__.py",
    "/usr/lib/x86_64-linux-gnu/perl-base/strict.pm",
    "/usr/share/perl/5.40.1/Data/Dumper.pm",
)


@pytest.mark.parametrize(
    ("path", "rival"),
    [
        ("/usr/lib/python3.13/subprocess/__init__.pyc", PLATFORM[0]),
        ("/usr/lib/python3.13/__pycache__/subprocess.cpython-313.pyc", PLATFORM[0]),
        ("/usr/lib/python3.13/__pycache__/subprocess.cpython-313.opt-1.pyc", PLATFORM[0]),
        ("/usr/lib/python3.13/json/decoder/__init__.py", PLATFORM[1]),
        ("/usr/lib/python3.13/json/decoder.abi3.so", PLATFORM[1]),
        ("/usr/lib/python3.13/_ssl.py", PLATFORM[2]),
        ("/usr/lib/python3/dist-packages/dnf/base/__init__.py", PLATFORM[3]),
        ("/usr/lib/python3/dist-packages/dnf/base.cpython-313-x86_64-linux-gnu.so", PLATFORM[3]),
        ("/usr/lib/python3.13/dist-packages/dnf/base.so", PLATFORM[3]),
        ("/usr/lib/python3/dist-packages/google/__init__.py", PLATFORM[4]),
        ("/usr/lib/python3.9/site-packages/rpm.py", PLATFORM[5]),
        ("/usr/bin/subprocess.py", PLATFORM[0]),
        ("/usr/libexec/dnf/base.py", PLATFORM[3]),
        ("/usr/share/perl5/strict.pmc", PLATFORM[6]),
        ("/etc/perl/Data/Dumper.pm", PLATFORM[7]),
        # What is found elsewhere, later or by another version is not found in its place.
        ("/usr/lib/python3/dist-packages/subprocess.py", ""),
        ("/usr/lib/python3.12/site-packages/rpm/__init__.py", ""),
        ("/usr/lib/python3/dist-packages/google/pocketwms.py", ""),
        ("/usr/lib/python3/dist-packages/pocketwms/__init__.py", ""),
        ("/usr/lib/python3/dist-packages/pocketwms/subprocess.py", ""),
        ("/usr/lib/python3/dist-packages/pocketwms/json.py", ""),
        ("/usr/lib/python3/dist-packages/pocketwms/__pycache__/json.cpython-313.pyc", ""),
        ("/usr/share/pocketwms/subprocess.py", ""),
        ("/usr/bin/subprocess", ""),
        ("/usr/share/perl5/PocketWMS.pm", ""),
    ],
)
def test_module_that_is_found_instead_of_the_platforms(path: str, rival: str) -> None:
    modules = scripts.load(Path(HOSTS / "modules.py")).Modules(PLATFORM)
    assert modules.rival(path) == rival


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3/dist-packages/x.pth",
        "/usr/lib/python3/dist-packages/sitecustomize/__init__.py",
        "/usr/lib/python3/dist-packages/usercustomize.abi3.so",
        "/usr/lib/python313.zip",
        "/usr/bin/pyvenv.cfg",
        "/usr/bin/pybuilddir.txt",
        "/usr/bin/python3._pth",
    ],
)
def test_file_that_every_python_reads_counts_at_any_time(path: str) -> None:
    assert outside._pattern(DEB13.reserved).fullmatch(path)
    inspection = outside.Inspection(root="", added=((path, "file"),))
    with pytest.raises(outside.TamperedError, match="a file that no package has"):
        outside.check_platform(inspection, DEB13, [], later=True)


def test_compiled_module_of_a_package_is_not_taken_for_one_that_python_keeps() -> None:
    kept = "/usr/lib/python3.13/__pycache__/subprocess.cpython-313.pyc"
    found = (("evil-1-1.noarch", f"{kept} for {PLATFORM[0]}", f"found instead of {PLATFORM[0]}"),)
    with pytest.raises(outside.TamperedError, match="found instead of"):
        outside.check_platform(outside.Inspection(root="", misplaced=found), DEB13, [])
    assert outside.check_platform(outside.Inspection(root="", added=((kept, "file"),)), DEB13, [])
