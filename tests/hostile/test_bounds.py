"""A host that sends more than it was asked for: what comes back from it is bounded here, not there."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from itb.build import rpms as build_rpms
from itb.containers import archive, sending
from itb.containers.archive import Bounds
from itb.containers.host import FileSpec, Host
from itb.errors import TestbedError
from itb.model import Rpm
from itb.process import output
from itb.process.request import Request
from itb.scenario import result_files
from itb.testbed import logs

ENDLESS = b"#!/bin/bash\nexec -a endless-4711 cat /dev/zero\n"
SPARSE = b"""#!/bin/sh
cd "$(mktemp -d)" && truncate --size=1T huge.log && exec /usr/bin/tar --sparse --format=pax --create huge.log
"""


@pytest.fixture(scope="module")
def host(module_hosts: Callable[..., Host]) -> Host:
    return module_hosts("bare")


@pytest.fixture
def forge(host: Host) -> Iterator[Callable[..., None]]:
    """Put other programs in the place of the host's while a test runs: ``forge(tar=SCRIPT)``."""

    def put(**scripts: bytes) -> None:
        host.put(*(FileSpec(f"/usr/local/bin/{name}", script, 0o755) for name, script in scripts.items()))

    yield put
    host.script("rm -f /usr/local/bin/*")


def nothing_goes_on(host: Host) -> bool:
    return not host.run(Request(["pgrep", "-f", "endless-471[1]"], check=False)).stdout


def size(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def test_endless_archive(
    host: Host, forge: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, receive = [], archive.receive_text

    def look(path: Path, *more: Any) -> archive.Received:
        sizes.append(path.stat().st_size)  # it is gone afterwards
        return receive(path, *more)

    monkeypatch.setattr(archive, "receive_text", look)
    forge(tar=ENDLESS, head=b"#!/bin/sh\nexec cat\n")
    monkeypatch.setattr(logs, "MAX_HOST_BYTES", 1 << 20)
    logs.collect(host, [], tmp_path / "evidence")
    assert size(tmp_path) < 2 << 20
    assert nothing_goes_on(host)
    monkeypatch.setattr(result_files, "TOTAL_LIMIT", 1 << 20)
    host.call("mkdir", "--parents", "/tmp/step/results")
    assert result_files.fetch_results(host, "/tmp/step/results", tmp_path / "results").problem
    assert size(tmp_path) < 2 << 20
    assert [bytes <= 1 << 20 for bytes in sizes] == [True, True]
    with pytest.raises(TestbedError, match="its output has more than 1,000 bytes"):
        host.get_files({"/etc/hostname": tmp_path / "name"}, Bounds(1000, 1000, 10), tmp_path)
    assert nothing_goes_on(host)


def test_sparse_archive(host: Host, forge: Callable[..., None], tmp_path: Path) -> None:
    forge(tar=SPARSE)
    assert "does not write" in logs.collect(host, [], tmp_path / "evidence")[-1]
    host.call("mkdir", "-p", "/tmp/step/results")
    problem = result_files.fetch_results(host, "/tmp/step/results", tmp_path / "results").problem
    assert "does not write" in problem
    with pytest.raises(TestbedError, match="its files cannot be copied"):
        host.get_files({"/huge.log": tmp_path / "huge.log"}, build_rpms.BOUNDS, tmp_path)
    assert size(tmp_path) < 1 << 20


def test_package_that_is_a_link_or_gone(host: Host, tmp_path: Path) -> None:
    """It was a KeyError, a traceback and exit code 1."""
    make = "mkdir -p /srv/rpms; ln -sf /etc/shadow /srv/rpms/a.rpm; echo b >/srv/rpms/b.rpm"
    host.script(make)
    facts = {"version": "1", "release": "1", "arch": "noarch", "size": 2}
    wanted = [
        Rpm(name=name, file=f"{name}.rpm", sha256=hashlib.sha256(b"b\n").hexdigest(), **facts)  # type: ignore[arg-type]
        for name in ("b", "a")
    ]
    paths = {rpm.file: f"/srv/rpms/{rpm.file}" for rpm in wanted}
    with pytest.raises(TestbedError, match=r"^a\.rpm did not come out of the build workspace"):
        build_rpms.fetch(host, wanted, paths, tmp_path / "build" / "rpms")
    build_rpms.fetch(host, wanted[:1], paths, tmp_path / "build" / "rpms")
    assert [path.name for path in (tmp_path / "build").rglob("*")] == ["rpms", "b.rpm"]


def test_endless_log(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LOG_LIMIT", 1 << 20)
    log = tmp_path / "logs" / "x.log"
    completed = host.run(Request(["sh", "-c", "seq 1000000; echo the end"], log=log))
    assert completed.log_is_cut
    assert completed.stdout.endswith("the end\n")
    assert log.stat().st_size < 1_100_000
    assert log.read_text().endswith("\n[itb] more than 1 MiB: the rest is left out\n")
    for _ in range(2):  # as a step that is polled
        assert host.run(Request(["seq", "200000"], log=log)).log_is_cut
    assert log.stat().st_size < 1_100_000


def test_large_tree_takes_no_memory(host: Host, tmp_path: Path) -> None:
    """A candidate's tree may have any size, and folders in each other deeper than Python's calls."""
    size, deep = 40 << 20, "/".join(["d"] * 1010)
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "large").open("wb") as file:
        file.truncate(size)
    make_deep(tree, deep)
    tracemalloc.start()
    try:
        host.put_tree(tree, "/tmp/large/tree")
        host.put_into("/tmp/large/into", tree / "large")
        host.put(FileSpec("/tmp/large/file", source=tree / "large"))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
        remove = ["rm", "-rf", str(tree)]
        host.engine.runner.run(Request(remove))  # pathlib and shutil call themselves for each folder
    count = "cd /tmp/large; stat --format=%s tree/large into/large file; find tree | wc -l; rm -rf /tmp/large"
    assert host.script(count).stdout.split() == [str(size), str(size), str(size), str(2 + 1011)]


def make_deep(folder: Path, path: str) -> None:
    """Make folders in each other, and a file in the innermost."""
    here = os.open(folder, os.O_RDONLY)
    try:
        for name in path.split("/"):
            os.mkdir(name, dir_fd=here)
            inner = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    finally:
        os.close(here)


def test_tree_that_cannot_be_read_whole(host: Host, tmp_path: Path) -> None:
    """What came of it is not taken for the whole, and nothing goes on in the host."""
    (tmp_path / "gone").write_text("x")

    def write(stream: IO[bytes]) -> None:
        sending.write_trees({"/tmp/half/a": tmp_path / "gone"})(stream)
        (tmp_path / "gone").unlink()
        sending.write_trees({"/tmp/half/b": tmp_path / "gone"})(stream)

    with pytest.raises(TestbedError, match=r"gone: cannot be read: No such file"):
        host.run(Request(["bash", "-c", "cat >/dev/null; exec -a endless-4711 sleep 60"], input=write))
    assert nothing_goes_on(host)
