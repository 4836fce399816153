"""Words of a candidate that itb reads: they end no look, take no hours and hide no failure."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from itb.build import log as build_log
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import InstallError
from itb.install import dnf
from itb.model import Outcome
from itb.run import testbed_fault
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal
from itb.util import causes, text
from itb.util.redact import redact

_LONG = 200_000  # characters; a pattern that is tried from each place to the end would take minutes


def test_a_case_that_cannot_be_diagnosed_has_failed(tmp_path: Path) -> None:
    journal = Journal(RunDir.create(tmp_path, "run"))

    def diagnose(_role: str, _text: str) -> str:
        raise ValueError("no number")

    journal.find_testbed_fault = diagnose
    with pytest.raises(ValueError, match="no number"), journal.case("install", "factory", "dnf installs"):
        raise InstallError("%post failed")
    assert [case.outcome for case in journal.cases] == [Outcome.FAILED]


@pytest.mark.parametrize(
    "line", ["free", "free ", "free / many", f"free / {'9' * 5000}", "full", "full  ", "full /"]
)
def test_nonsense_of_a_host_about_its_disks_is_no_fault(line: str) -> None:
    completed = SimpleNamespace(stdout=f"{line}\n")
    runner = SimpleNamespace(limits=lambda _name: 1.0)
    host = SimpleNamespace(engine=SimpleNamespace(runner=runner), script=lambda *_: completed)
    findings = testbed_fault._inspect_host(cast(Host, host), [])
    assert not list(testbed_fault._host_causes("factory", findings, "No space left on device"))


@pytest.mark.parametrize(
    "log",
    [
        "RPM" * (_LONG // 3),
        "\n" * _LONG + "SyntaxError: invalid",
        "Error running '" * (_LONG // 15),
        "Error running 'x'\nStdout:[]\nStderr:[" * (_LONG // 40),
        ": line 1: " * (_LONG // 10),
        "a." * (_LONG // 2),
        "eyJ" * (_LONG // 3),
    ],
)
def test_long_output_is_read_at_once(log: str) -> None:
    began = time.monotonic()
    build_log.find_failure(log)
    causes.first_missing(log)
    text.clean(log)
    redact(log)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("literal", ["[" + "-" * 100_000 + "1]", f"[0x{'f' * 20_000}]", "[" * 5000 + "]" * 5000])
def test_output_that_is_no_list_of_lines_leaves_a_reason(literal: str) -> None:
    failure = build_log.find_failure(f"Error running 'rpmbuild'\nStdout:[]\nStderr:{literal}\n")
    assert failure.reason == "rpmbuild failed, no output"


def test_a_failed_scriptlet_in_lua_is_one() -> None:
    output = (
        'error: lua script failed: [string "%post(pocketwms-1.2.0-1.noarch)"]:1: broken\n'
        "Error in POSTIN scriptlet in rpm package pocketwms\nComplete!\n"
    )
    found = dnf.failed_scriptlet(output)
    assert found is not None
    assert found.message == "POSTIN scriptlet of pocketwms failed"


@pytest.mark.parametrize(
    "printed", ["%post(old-0.9-1.noarch) scriptlet failed, exit status 1 ", "warning: %post(old-0.9-1.noarch "]
)
def test_a_failed_scriptlet_is_of_the_package_that_rpm_names(
    printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = f"{printed}warning: %post(pocketwms-1.2.0-1.noarch) scriptlet failed, exit status 3\n"
    found = dnf.failed_scriptlet(output)
    assert found is not None
    assert found.message.startswith("%post scriptlet of pocketwms-1.2.0-1.noarch failed, exit status 3")
    monkeypatch.syspath_prepend(shipped.folder("scenarios") / "lib")
    import dnf_log

    assert [item[:3] for item in dnf_log.scriptlets(output)] == [
        ("post", "pocketwms-1.2.0-1.noarch", "exit status 3")
    ]


def test_logs_are_counted_whatever_names_and_messages_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(shipped.folder("build_ws") / "hosts")
    import errors

    name = os.fsdecode(bytes(tmp_path) + b"/\xff.log")
    Path(name).write_text("ERROR: no disk\n" * 3)
    row = {"__CURSOR": "c", "MESSAGE": ["ERROR: one", [69, 82, 82, 79, 82, 58, 32, 50], None]}
    monkeypatch.setattr(errors, "STATE", tmp_path / "state.json")
    monkeypatch.setattr(errors, "run", lambda _argv: json.dumps(row))
    errors.main(["count", "-u", "unit", f"{tmp_path}/*.log"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {entry[2] for entry in rows} >= {"no disk", "one"}
    assert "\\ud" not in json.dumps(rows)
    sys.modules.pop("errors", None)
