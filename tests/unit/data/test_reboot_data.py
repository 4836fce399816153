"""What scenario services says of data that a reboot has removed, or given to somebody else."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from itb.data import shipped

SCENARIOS = shipped.folder("scenarios")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module; its last line, which begins its work, left out."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("ITB_LIB", str(SCENARIOS / "lib"))
    path = SCENARIOS / "services" / "data.py"
    module = ModuleType("data")
    text = path.read_text(encoding="utf-8").rpartition("\nsys.exit(")[0]
    exec(compile(text, str(path), "exec"), module.__dict__)
    monkeypatch.setattr(module, "STATE", tmp_path / "state" / "markers.json")
    monkeypatch.setattr(module, "_RULES", (str(tmp_path / "tmpfiles.d"),))
    return module


def test_data_that_a_reboot_has_removed(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, deep = tmp_path / "data", tmp_path / "data" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "tmpfiles.d").mkdir()
    rules = tmp_path / "tmpfiles.d" / "wms.conf"
    rules.write_text(f"# why\nd {deep} 0755 root root -\nD {data} 0755 root root -\n")
    markers = [folder / "itb-was-here" for folder in (data, deep)]
    monkeypatch.setenv("ITB_PACKAGES", "wms")

    def put_markers(names: list[str]) -> list[str]:
        assert names == ["wms"]
        for marker in markers:
            marker.touch()
        return [str(marker) for marker in markers]

    monkeypatch.setattr(script.host_state, "put_markers", put_markers)
    assert script.put() == 0
    assert script.look() == 0
    assert not [marker for marker in markers if marker.exists()]
    assert script.put() == 0
    for marker in markers:
        marker.unlink()
    capsys.readouterr()
    assert script.look() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{deep} is not as it was, either",
        f"what a site has in {data} is gone after the reboot: {rules}:3: D {data} 0755 root root -",
    ]
