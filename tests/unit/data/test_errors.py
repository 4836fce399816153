"""What counts as an error of a log, which of them are the same, and which are left out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from itb.data import shipped
from tests.unit.data import scripts


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    path = shipped.folder("build_ws") / "hosts" / "errors.py"
    module = scripts.load(path)
    module.STATE = tmp_path / "itb" / "errors.json"  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29 11:00:00,123 ERROR cannot read the queue",
        "[2026-11-29 11:00:00,123] ERROR: glideFactory:154: cannot read the queue",
        "2026-11-29T11:00:00.123Z factory[12]: CRITICAL - cannot read the queue",
        "Nov 29 11:00:00 factory-host pocketwms[12]: ERROR: cannot read the queue",
        "ERROR:root:cannot read the queue",
        "11/29/26 11:00:00 (pid:12) ERROR: cannot read the queue",
        "[Sun Nov 29 11:00:00.123456 2026] [core:error] [pid 12] cannot read the queue",
        "[Sun Nov 29 11:00:00 2026] [error] cannot read the queue",
        'time="2026-11-29T11:00:00Z" level=error msg="cannot read the queue"',
        '{"time": "2026-11-29", "level": "error", "message": "cannot read the queue"}',
        "2026/11/29 11:00:00 [crit] 12#12: *3 cannot read the queue",
        "E1129 11:00:00.123456   12 queue.go:12] cannot read the queue",
        "2026-11-29 11:00:00,1 - pocketwms.factory - FATAL - cannot read the queue",
        "Sun Nov 29 11:00:00 2026 SEVERE cannot read the queue",
        "pocketwms-factory: error: cannot read the queue",
        "/usr/libexec/pocketwms/clean: line 12: cannot_read: command not found",
        "PHP Fatal error:  cannot read the queue in /srv/x.php on line 3",
    ],
)
def test_line_is_an_error(script: ModuleType, line: str) -> None:
    ((_, message),) = script.errors([line])
    assert "cannot" in message


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-29 11:00:00,123 INFO 0 errors, 3 requests",
        "2026-11-29 11:00:00,123 WARNING: ERROR was the last word of the pilot",
        "11/29/26 11:00:00 Daemon Log is logging: D_ALWAYS D_ERROR D_STATUS",
        "[2026-11-29 11:00:00,123] DEBUG: glideFactory:154: error handling is on, level ERROR",
        "there is not one ERROR among them",
        '192.0.2.1 - - [29/Nov/2026:11:00:00 +0000] "GET /error/ERROR HTTP/1.1" 200 12',
        "level=info error=0 msg=fine",
        '{"level": "info", "errors": [], "error": null}',
        "  error_count: 0",
        "ErrorLog /var/log/httpd/error_log",
        "the fatal flaw",
    ],
)
def test_line_is_none(script: ModuleType, line: str) -> None:
    assert not list(script.errors([line]))


CHAIN = """\
2026-11-29 11:00:00,123 INFO before
Traceback (most recent call last):
  File "x.py", line 3, in step
    secrets[name]
KeyError: 'token'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 5, in step
    raise ValueError(name)
ValueError: no token for 12
2026-11-29 11:00:00,123 INFO after
"""


def test_traceback_is_one_error(script: ModuleType) -> None:
    assert list(script.errors(CHAIN.splitlines())) == [(1, "ValueError: no token for 12")]


def test_traceback_belongs_to_the_line_before(script: ModuleType) -> None:
    lines = ["10:00:00 ERROR step failed", *CHAIN.splitlines()[1:5], "10:00:01 ERROR step failed"]
    assert list(script.errors(lines)) == [(0, "step failed: KeyError: 'token'"), (5, "step failed")]


@pytest.mark.parametrize(
    "text",
    [
        "ERROR: died: ['Traceback (most recent call last):\\n', '  File \"x.py\"\\n', \"KeyError: 'x'\\n\"]",
        "Exception in thread Thread-1 (run):\nTraceback (most recent call last):\n  File \"x\"\nKeyError: 'x'",
    ],
)
def test_other_tracebacks(script: ModuleType, text: str) -> None:
    ((_, message),) = script.errors(text.splitlines())
    assert message.rstrip("'").endswith("KeyError: 'x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pilot 12.0 is held since 10:01:02", "pilot 13.1 is held since 10:01:04"),
        ("cannot open /tmp/tmp3kx8_9/x", "cannot open /tmp/tmp81aabx/x"),
        ("request 7f3a9c0d-aa lost", "request 00fa9c0d-bb lost"),
    ],
)
def test_kinds_are_the_same(script: ModuleType, one: str, other: str) -> None:
    assert script.kind_of(one) == script.kind_of(other) != script.kind_of("something else")


def counted(script: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[object]]:
    script.main([*arguments])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_counts_what_is_new(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, pattern = tmp_path / "x.log", str(tmp_path / "*.log*")
    log.write_text("INFO starts\nERROR lost 1\nERROR lost 2\n")
    (tmp_path / "y.log").write_text("ERROR lost 3\n")  # a handler of its own wrote it there, too
    assert counted(script, capsys, "count", pattern) == {"lost #": [2, "lost 1", str(log), 2, "ERROR lost 1"]}
    assert counted(script, capsys, "count", pattern) == {}
    log.rename(tmp_path / "x.log.1")
    with (tmp_path / "x.log.1").open("a") as old:
        old.write("ERROR lost 4\n")
    log.write_text("ERROR found 1\nERROR half writ")
    assert sorted(row[:4] for row in counted(script, capsys, "count", pattern).values()) == [
        [1, "found 1", str(log), 1], [1, "lost 4", f"{log}.1", 4],
    ]  # fmt: skip
    log.write_text("ERROR cut\n")
    assert "cut" in counted(script, capsys, "count", pattern)


def test_leaves_out_what_a_scenario_breaks(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "x.log"

    def write(text: str) -> None:
        with log.open("a") as file:
            file.write(text)

    write("ERROR before 1\nERROR before 2\n")
    assert counted(script, capsys, "keep", str(log)) == {}
    write("ERROR no connection\n" * 9)
    assert counted(script, capsys, "skip", str(log)) == {}
    write("ERROR before 3\n")
    assert {kind: row[0] for kind, row in counted(script, capsys, "count", str(log)).items()} == {"before #": 3}


def test_words_that_differ_are_one_kind(script: ModuleType) -> None:
    lines = [f"ERROR cannot serve request {name}" for name in ("anna", "bob", "carl")]
    kinds = script.loosened(script.tally(lines, "x.log", 1, []))
    assert {kind: found[0] for kind, found in kinds.items()} == {"cannot serve request ...": 3}


def test_ignored_are_none(script: ModuleType) -> None:
    lines = ["ERROR: main:12: lost 1", "ERROR: main:12: kept"]
    assert list(script.tally(lines, "x.log", 1, [re.compile("^lost")])) == ["kept"]
