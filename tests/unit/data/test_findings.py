"""What is found in logs of what went wrong, and what it means for a message."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from itb.config import lookup
from itb.data import shipped
from itb.install import configure
from itb.install.services import find_cause, names_cause
from tests.unit.data import scripts


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = shipped.folder("build_ws") / "hosts" / "findings.py"
    return scripts.load(path)


TRACEBACK = """\
[2026-01-01 00:00:00,1] ERROR: main:12: something went wrong
Traceback (most recent call last):
  File "x.py", line 3, in <module>
    import absent
ModuleNotFoundError: No module named 'absent'
"""
QUOTED = (
    "[2026-01-01 00:00:00,1] WARNING: main:154: [group]: "
    "b'Traceback (most recent call last):\\n  File \"x.py\", line 1\\nKeyError: \\'proxy\\'\\n'"
)
LISTED = (
    "[2026-01-01 00:00:00,1] ERROR: main:1: died: ['Traceback (most recent call last):\\n', "
    "'  File \"x.py\", line 1\\n', "
    "\"NameError: name 'x' is not defined\\n\"]"
)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'absent'"),
        (QUOTED, "KeyError: 'proxy'"),
        (
            'Traceback (most recent call last):\n  File "/a/b.py", line 7, in <module>\n    import c\n'
            '  File "/a/c.py", line 99\n    def (x):\n        ^\nSyntaxError: invalid syntax\n',
            "SyntaxError: invalid syntax (c.py line 99)",
        ),
        (  # of the program itself: no traceback
            '  File "/usr/sbin/run.py", line 5\n    def main(:\n        ^\nSyntaxError: invalid syntax\n',
            "SyntaxError: invalid syntax (run.py line 5)",
        ),
        (LISTED, "NameError: name 'x' is not defined"),
        ("01/02/26 03:04:05 (pid:7) (D_ALWAYS) ERROR: cannot bind\n", "ERROR: cannot bind"),
        ("[2026-01-01 00:00:00,1] ERROR: main:12: no entry\n" * 2 + "ERROR: other\n", "no entry"),
        (
            "11/23/26 06:31:29 [1169] (2.2) condor_job_submit() failed: Error connecting to schedd ce\n",
            "condor_job_submit() failed: Error connecting to schedd ce",
        ),
        (
            "11/29/26 02:22:05 (pid:640) DoDownload: C_GAHP_WORKER_THREAD at 10.89.7.12 failed to send file(s) to "
            "<10.89.7.11:9619>: |Error: reading from file /x/no.tgz: (errno 2) No such file or directory; SCHEDD "
            "failed to receive file(s) from <10.89.7.12:39301>\n"
            "11/29/26 02:22:06 (pid:310) ERROR - Staging of job files failed!\n",
            "C_GAHP_WORKER_THREAD at 10.89.7.12 failed to send files: reading from file /x/no.tgz: (errno 2) "
            "No such file or directory",
        ),
        ("Validation failed in main/check.sh!\n", "Validation failed in main/check.sh!"),
        (
            "/x/y/start.sh: line 43: syntax error near unexpected token `}'\n/x/y/start.sh: line 43: `}'\n"
            "Mon Nov 23 06:05:50 UTC 2026 Error running 'start.sh'\n",
            "start.sh: line 43: syntax error near unexpected token `}'",
        ),
        ("no space\nMon Nov  2 06:05:50 UTC 2026 Error running 'a.sh'\n", "Error running 'a.sh': no space"),
        ("no disk\n=== Validation error in /a/check.sh ===\n", "Validation error in /a/check.sh: no disk"),
        (
            "check.qb.sh: OK\nSignature OK for main:check.qb.sh.\n=== Validation error in /a/check.sh ===\n"
            "Thu Nov 26 05:24:36 UTC 2026 Error running '/a/check.sh'\n    no time left\nSleeping 3\n",
            "Validation error in /a/check.sh: no time left",
        ),
        (
            "Signature OK for main:check.sh.\n=== Validation error in /a/check.sh ===\nSleeping 3\n",
            "Validation error in /a/check.sh",
        ),
    ],
)
def test_the_likeliest_cause(script: ModuleType, text: str, first: str) -> None:
    assert script.findings([("log", text)], [])[0][:2] == (first, "log")


@pytest.mark.parametrize(
    ("text", "number", "line"),
    [
        (f"up\n{TRACEBACK}down\n", 5, "ModuleNotFoundError: No module named 'absent'"),
        (f"up\n{QUOTED}\ndown\n", 1, QUOTED),  # several lines in one
        (f"up\n{QUOTED}\nERROR: x\n" * 5, 1, QUOTED),
        ("up\n01/02/26 03:04:05 (pid:7) ERROR: cannot bind\n", 1, "01/02/26 03:04:05 (pid:7) ERROR: cannot bind"),
    ],
)
def test_the_line_that_it_was_read_from(script: ModuleType, text: str, number: int, line: str) -> None:
    assert script.findings([("log", text)], [])[0][2:] == (number, line)


def test_what_comes_again_and_again_is_likelier_than_one_traceback(script: ModuleType) -> None:
    refused = "11/23/26 06:31:29 [1] condor_job_submit() failed: refused\n"
    names = [message for message, *_ in script.findings([("a", TRACEBACK), ("b", refused * 9)], [])]
    assert names[:2] == ["condor_job_submit() failed: refused", "ModuleNotFoundError: No module named 'absent'"]
    assert script.findings([("a", TRACEBACK * 2), ("b", refused * 9)], [])[0][1] == "a"
    assert script.findings([("a", TRACEBACK), ("b", refused * 2)], [])[0][1] == "a"


def test_what_a_log_has_gone_on_from_is_less_likely(script: ModuleType) -> None:
    """Tracebacks while the host rebooted, and what is still wrong since."""
    still = "[2026-01-01 00:00:01,1] ERROR: lib:15: schedd not found\n" + "[2026-01-01 00:00:01,1] DEBUG: x\n" * 9
    names = [message for message, *_ in script.findings([("log", TRACEBACK * 3 + still * 20)], [])]
    assert names[:2] == ["schedd not found", "ModuleNotFoundError: No module named 'absent'"]
    names = [message for message, *_ in script.findings([("log", still * 2 + TRACEBACK * 3 + "DEBUG\n" * 9)], [])]
    assert names[0] == "ModuleNotFoundError: No module named 'absent'"


def test_what_a_log_ends_with_may_warn_of_the_cause(script: ModuleType) -> None:
    """A program that tries again warns; what went well later, it says later."""
    warning = "2026-11-29 02:56:18,622 WARNING cannot work: I don't know about the 'gridd' universe."
    texts = [("a", f"02:56:12,096 INFO starts\n{warning}\n"), ("b", f"{warning}\nINFO well\n"), ("c", "")]
    message = warning.partition(" WARNING ")[2]
    assert script.last_warnings(texts, []) == [(f"WARNING {message}", "a", 1, warning)]
    assert script.last_warnings(texts, [re.compile("gridd")]) == []
    assert script.last_warnings([("a", "[2026] WARNING: x:2: GSI is enabled\n")], []) == []
    unserved = "2026-11-29 02:56:18,622 WARNING request r not served: 'PocketMaxPilots'"
    assert script.last_warnings([("a", unserved)], [])[0][0] == "WARNING request r not served: 'PocketMaxPilots'"


def test_a_healthy_log_has_none(script: ModuleType) -> None:
    lines = "[2026-01-01 00:00:00,1] DEBUG: x:1: Failed to load y\n[..] WARNING: x:2: GSI is enabled\n"
    assert script.findings([("log", lines)], []) == []


def test_lines_that_mean_nothing(script: ModuleType) -> None:
    assert script.findings([("log", "ERROR: known noise\n")], [re.compile("known noise")]) == []


def test_the_same_with_other_numbers_is_the_same(script: ModuleType) -> None:
    text = "".join(f"ERROR: glidein {number} died\n" for number in range(9)) + "ERROR: first\n" * 2
    messages = [message for message, *_ in script.findings([("log", text)], [])]
    assert messages == ["ERROR: glidein 0 died", "ERROR: first"]


def test_without_an_error_the_last_words_of_what_has_ended_count(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said_last = "setting up\nno working directory to be had\n=== End ===\nH4sIA==\n"
    for number in range(3):
        (tmp_path / f"job.{number}.err").write_text(said_last)
    (tmp_path / "job.3.err").write_text("")
    (tmp_path / "daemon.log").write_text("all is well\n")
    words = ["-w", str(tmp_path / "job.*.err"), str(tmp_path / "*.log")]
    script.main(words)
    said = capsys.readouterr().out
    message, name, number, line = json.loads(said)
    assert message == "what has ended there said last: no working directory to be had"
    assert (Path(name).name, number, line) == ("job.0.err", 2, "no working directory to be had")
    (tmp_path / "daemon.log").write_text("ERROR: out of order\n")
    script.main(words)
    assert json.loads(capsys.readouterr().out)[0] == "ERROR: out of order"


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("x.service does not start (exit-code, status 1): ModuleNotFoundError: No module named 'a'", True),
        ("x.service does not start (exit-code, status 1): Starting Factory [FAILED]", False),
        ("x.service does not start (exit-code, status 1): /x: line 3: daemon: command not found", True),
    ],
)
def test_whether_a_message_names_its_cause(message: str, named: bool) -> None:
    assert names_cause(message) is named


def test_changed_files_of_a_diff() -> None:
    diff = (
        "diff -u etc/a.xml /etc/a.xml\n--- etc/a.xml\t1\n+++ /etc/a.xml\t2\n@@ -1 +1 @@\n-x\n+++ /y\n"
        "diff -u etc/b /etc/b\n--- etc/b\t1970\n+++ /etc/b\t2\n@@ -0,0 +1 @@\n+x\n"
    )
    assert configure.changed_files(diff) == ["/etc/a.xml", "/etc/b"]


def test_a_script_that_misses_a_file_names_it() -> None:
    journal = (
        "Starting x.service - X...\n/usr/sbin/x: line 8: /etc/y: No such file or directory\n"
        "/usr/sbin/x: line 9: daemon: command not found\n[FAILED]\nx.service: Failed with result 'exit-code'.\n"
    )
    assert find_cause(journal) == "/usr/sbin/x: line 8: /etc/y: No such file or directory"


def test_what_systemd_says_of_a_silent_end_is_no_cause() -> None:
    journal = (
        "x.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED\n"
        "x.service: Failed with result 'exit-code'.\n"
        "x.service: Unit process 2974 (python3) remains running after unit stopped.\n"
        "x.service: Found left-over process 2974 (python3) in control group while starting unit. Ignoring.\n"
        "x.service: This usually indicates unclean termination of a previous run, or ...\n"
    )
    assert find_cause(journal) == ""
    assert find_cause(f"cannot bind\n{journal}") == "cannot bind"


def test_as_many_glideins_as_there_may_be_are_no_trouble(script: ModuleType) -> None:
    ignored = [re.compile(pattern) for pattern in lookup.load_product("glideinwms").ignored_errors]
    line = "[2026-11-29 03:46:01,1] WARNING: x:391: Entry ITB_CE has hit the limit for {}, cannot submit any more"
    assert script.last_warnings([("log", line.format("total glideins"))], ignored) == []
    assert script.last_warnings([("log", line.format("held glideins"))], ignored)
