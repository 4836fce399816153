"""What a host says of its sockets, from the tables of a kernel."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from itb.data import shipped
from tests.unit.data import scripts

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = shipped.folder("build_ws") / "hosts" / "listening.py"
    return scripts.load(path)


@pytest.mark.skipif(sys.byteorder != "little", reason="the tables are of a processor of the other order")
@pytest.mark.parametrize(
    ("protocol", "rows", "expected"),
    [
        ("tcp", "0: 0100007F:1538 00000000:0000 0A 0:0 00:0 0 26 0 7\n1: 0100007F:1538 0:0 01 0:0 00:0 0 0 0 8",
         [("127.0.0.1", 5432, "7", 26)]),
        ("tcp6", f"0: {'0' * 32}:0050 {'0' * 32}:0000 0A 0:0 00:0 0 0 0 5", [("::", 80, "5", 0)]),
        ("udp", "0: 00000000:2592 00000000:0000 07 0:0 00:0 0 64 0 9", [("0.0.0.0", 9618, "9", 64)]),
        ("udp6", None, []),
    ],
)  # fmt: skip
def test_sockets_that_wait_for_others(
    listening: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    protocol: str,
    rows: str | None,
    expected: list[tuple[str, int, str, int]],
) -> None:
    if rows is not None:
        (tmp_path / protocol).write_text(HEAD + rows + "\n")
    monkeypatch.setattr(listening, "Path", lambda _folder, name: tmp_path / name)
    assert list(listening.listening(protocol)) == expected


def test_holder_that_is_only_known_by_its_user(listening: ModuleType) -> None:
    units = {0: {"sshd.service", "condor.service"}, 4_000_000: {"wms.service"}}
    assert listening.described(4_000_000, units) == ("a process of 4000000", "wms.service")
    assert listening.described(0, units) == ("a process of root", "")
