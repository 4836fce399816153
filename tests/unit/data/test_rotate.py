"""Which logs a file for logrotate names, and what may be different after a rotation; scenario logrotate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from itb.data import shipped

SCRIPT = shipped.folder("scenarios") / "logrotate" / "rotate.py"
FILE = """\
# every week
/var/log/demo/*.log "/var/log/demo/with blank.log"
/var/log/demo.log {
    weekly
    create 0640 demo demo  # and so on
    postrotate
        /usr/bin/systemctl kill -s HUP demo.service || { echo no; }
    endscript
}
compress
/srv/other/log
{
}
"""


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """The script's functions; its last line, which begins its work, left out."""
    text = SCRIPT.read_text(encoding="utf-8").rpartition("\nsys.exit(")[0]
    names: dict[str, Any] = {}
    exec(compile(text, str(SCRIPT), "exec"), names)
    return names


def test_patterns_stand_before_braces(script: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "demo").write_text(FILE)
    assert script["patterns"](str(tmp_path / "demo")) == [
        "/var/log/demo/*.log", "/var/log/demo/with blank.log", "/var/log/demo.log", "/srv/other/log",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("create", "before", "after", "is_finding"),
    [
        ("", 0o644, 0o644, False),
        ("create 0640 demo demo", 0o644, 0o640, False),
        ("create", 0o644, 0o640, True),
        ("create 0644 demo demo", 0o600, 0o644, True),
        ("create 0040 demo demo", 0o644, 0o040, True),
        ("create 0666", 0o644, 0o666, True),
    ],
)
def test_mode_lets_in_no_more(
    script: dict[str, Any], tmp_path: Path, create: str, before: int, after: int, is_finding: bool
) -> None:
    definition, log = tmp_path / "demo", tmp_path / "demo.log"
    definition.write_text(f"{log} {{\n    {create}\n}}\n")
    log.touch()
    log.chmod(before)
    status = log.stat()
    log.chmod(after)
    found = list(script["changed"](str(log), str(definition), status))
    assert bool(found) == is_finding
    assert all(f" {after:04o} after the rotation and was " in line for line in found)


def test_log_that_was_truncated_was_rotated(script: dict[str, Any], tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    log.write_text("text")
    status = log.stat()
    assert script["is_same"](str(log), status)
    log.write_text("")
    assert not script["is_same"](str(log), status)


def test_files_by_which_nothing_is_rotated(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    good, other, ghost = (str(tmp_path / name) for name in ("good", "other", "ghost"))
    Path(good).write_text(f"{logs}/*.log {{\n}}\n")
    Path(other).write_text(f"{logs}.log {{\n}}\n")
    Path(logs, "a.log").write_text("said\n")
    monkeypatch.setitem(script, "named", lambda: [good, ghost, other])
    monkeypatch.setitem(script, "listed", lambda: [])
    left_out = script["left_out"]
    told = f"{ghost} is listed by a package, as a %ghost, and nobody has made it: nothing is rotated by it"
    assert list(left_out([good, other], 0)) == [told]
    monkeypatch.setitem(script, "log_folders", lambda: [str(logs)])
    assert list(left_out([good, other], 0)) == [told]
    names = f"{other} names no log that is here ({logs}.log), and none names {logs}/a.log"
    assert list(left_out([other], 0))[2:] == [names]
    assert len(list(left_out([other], 9e12))) == 2
