"""Causes in real journals: what the program said last, not what systemd says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.errors import InstallError, TestbedError
from itb.install.services import (
    _unit_states,
    add_introduction,
    deliver_idtoken,
    describe_result,
    find_cause,
    find_end,
    names_cause,
    service_error,
)
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner
from itb.util.redact import redact

TRACEBACK = """\
Starting pocketwms-factory.service - Pocket WMS factory...
Traceback (most recent call last):
  File "/usr/sbin/pocketwms-factory", line 9, in <module>
    from pocketwms import factory
  File "/usr/lib/python3/dist-packages/pocketwms/factory.py", line 14, in <module>
    import yaml
ModuleNotFoundError: No module named 'yaml'
pocketwms-factory.service: Main process exited, code=exited, status=1/FAILURE
pocketwms-factory.service: Failed with result 'exit-code'.
Failed to start pocketwms-factory.service - Pocket WMS factory.
pocketwms-factory.service: Scheduled restart job, restart counter is at 5.
pocketwms-factory.service: Start request repeated too quickly.
"""
EXEC = """\
pa.service: Unable to locate executable '/usr/bin/no-such-program': No such file or directory
pa.service: Failed at step EXEC spawning /usr/bin/no-such-program: No such file or directory
Started pa.service.
pa.service: Main process exited, code=exited, status=203/EXEC
pa.service: Failed with result 'exit-code'.
"""
HTTPD = """\
Starting httpd.service - The Apache HTTP Server...
AH00526: Syntax error on line 3 of /etc/httpd/conf.d/pocketwms.conf:
Invalid command 'Bogus', perhaps misspelled or defined by a module not included in the server configuration
httpd.service: Main process exited, code=exited, status=1/FAILURE
httpd.service: Failed with result 'exit-code'.
Failed to start httpd.service - The Apache HTTP Server.
"""


@pytest.mark.parametrize(
    ("journal", "cause"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'yaml'"),
        (EXEC, "pa.service: Failed at step EXEC spawning /usr/bin/no-such-program: No such file or directory"),
        (HTTPD, "Invalid command 'Bogus', perhaps misspelled or defined by a module not included in the server"),
        ("up\nFATAL: lost the disk\nclosing\nx: Failed with result 'exit-code'.", "FATAL: lost the disk"),
        ("Started x.service.\nx.service: Deactivated successfully.\n", ""),
        ("", ""),
    ],
)
def test_cause(journal: str, cause: str) -> None:
    assert find_cause(journal).startswith(cause)
    assert bool(find_cause(journal)) == bool(cause)


CONF = "/etc/condor/config.d/60-pocketwms-factory.conf"


@pytest.mark.parametrize("is_up", [True, False])
def test_no_idtoken_of_an_htcondor_that_has_ended_is_the_candidates_fault(
    is_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package may have brought a configuration that HTCondor refuses."""
    said = {
        "is-active": Completed(("systemctl",), 0 if is_up else 3, "", "", 0.1),
        "show": Completed(("systemctl",), 0, "Result=exit-code\nExecMainStatus=1\n", "", 0.1),
        "journalctl": Completed(("journalctl",), 0, f"Configuration Error Line 13 of {CONF}\nno endif\n", "", 0.1),
    }

    def run(_host: Host, request: Request) -> Completed:
        for word, completed in said.items():
            if word in request.argv:
                return completed
        raise TestbedError("host factory: HTCondor has not made its signing key")  # as a host does

    monkeypatch.setattr(Host, "run", run)
    hosts = [Host(Engine(Runner()), role, role) for role in ("factory", "frontend")]
    with pytest.raises(TestbedError if is_up else InstallError) as caught:
        deliver_idtoken(
            *hosts, key="POOL", identity="p@f", lifetime=60, path="/x/token", owner="u:u", private=tmp_path
        )
    if not is_up:
        cause = f"Configuration Error Line 13 of {CONF}: no endif"
        assert caught.value.message == f"factory: condor does not stay up (exit-code, status 1): {cause}"


NO_WATCH = "Failed to add inotify watch descriptor: No space left on device"


@pytest.mark.parametrize(
    ("systemd_says", "is_testbeds"),
    [
        (f"x.service: {NO_WATCH}", True),
        ("Started x.service.", False),
        (f"Started {NO_WATCH}.", False),  # the unit's description
        (f"Started x\u2028x.service: {NO_WATCH}", False),  # U+2028 ends no line of the journal
    ],
)
def test_no_inotify_instance_is_left_if_systemd_says_so_itself(
    systemd_says: str, is_testbeds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that printed it and failed was not the candidate's fault."""

    def run(_host: Host, request: Request) -> Completed:
        own = "_PID=1" in request.argv
        text = systemd_says if own else f"{systemd_says}\n{NO_WATCH}\n"
        return Completed(tuple(request.argv), 0, text if "journalctl" in request.argv else "", "", 0.1)

    monkeypatch.setattr(Host, "run", run)
    error = service_error(Host(Engine(Runner()), "factory", "factory"), "x", "does not stay up")
    assert isinstance(error, TestbedError if is_testbeds else InstallError)


NOT_PERMITTED = "Failed at step USER spawning /usr/sbin/x: Operation not permitted"


@pytest.mark.parametrize(
    ("systemd_says", "is_testbeds"),
    [
        (f"x.service: {NOT_PERMITTED}", True),
        ("x.service: Failed at step USER spawning /usr/sbin/x: No such process", False),
        (f"Started {NOT_PERMITTED}.", False),  # the unit's description
    ],
)
def test_what_systemd_may_not_do_in_a_container_is_not_the_candidates_fault(
    systemd_says: str, is_testbeds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A unit with RestrictSUIDSGID= and a user does well on a machine."""

    def run(_host: Host, request: Request) -> Completed:
        text = systemd_says if "_PID=1" in request.argv else f"{systemd_says}\n{NOT_PERMITTED}\n"
        return Completed(tuple(request.argv), 0, text if "journalctl" in request.argv else "", "", 0.1)

    monkeypatch.setattr(Host, "run", run)
    error = service_error(Host(Engine(Runner()), "factory", "factory"), "x", "does not start")
    assert isinstance(error, TestbedError if is_testbeds else InstallError)


def test_no_place_for_an_idtoken_is_the_candidates_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packages bring the user that owns the token."""

    def run(host: Host, request: Request) -> Completed:
        if request.stdout_to:
            request.stdout_to.write_text("kdjfhgkq.wieurhtz.mznxbvqp")
        ok = host.role == "factory"
        return Completed(tuple(request.argv), 0 if ok else 1, "", "" if ok else "there is no user u", 0.1)

    monkeypatch.setattr(Host, "run", run)
    hosts = [Host(Engine(Runner()), role, role) for role in ("factory", "frontend")]
    with pytest.raises(InstallError, match="no place for the IDTOKEN: there is no user u"):
        deliver_idtoken(
            *hosts, key="POOL", identity="p@f", lifetime=60, path="/x/token", owner="u:u", private=tmp_path
        )


def test_words_of_a_host_are_no_secret_that_reports_leave_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "nothing of the platform was changed. It was. Really"

    def run(_host: Host, request: Request) -> Completed:
        assert request.stdout_to
        request.stdout_to.write_text(words)
        return Completed(tuple(request.argv), 0, "", "", 0.1)

    monkeypatch.setattr(Host, "run", run)
    hosts = [Host(Engine(Runner()), role, role) for role in ("factory", "frontend")]
    with pytest.raises(TestbedError, match="made no token for p@f"):
        deliver_idtoken(
            *hosts, key="POOL", identity="p@f", lifetime=60, path="/x/token", owner="u:u", private=tmp_path
        )
    assert redact(words) == words


@pytest.mark.parametrize(
    ("journal", "line"),
    [
        (TRACEBACK, "pocketwms-factory.service: Main process exited, code=exited, status=1/FAILURE"),
        ("Started x.\nx.service: Failed with result 'timeout'.\n", "x.service: Failed with result 'timeout'."),
        ("Started x.service.\nx.service: Deactivated successfully.\n", "x.service: Deactivated successfully."),
        ("", ""),
    ],
)
def test_what_systemd_says_of_an_end(journal: str, line: str) -> None:
    """The line to show where the program itself said nothing."""
    assert find_end(journal) == line


@pytest.mark.parametrize(
    ("result", "status", "words"),
    [
        ("exit-code", "5", " (exit-code, status 5)"),
        ("exit-code", "0", " (exit-code)"),
        ("exit-code", "217", " (exit-code, status 217, its User= does not exist)"),
        ("core-dump", "11", " (core-dump, SIGSEGV)"),
        ("signal", "9", " (signal, SIGKILL)"),
        ("signal", "99", " (signal, 99)"),
        ("timeout", "0", " (timeout)"),
        ("success", "0", ""),
    ],
)
def test_how_a_unit_ended(result: str, status: str, words: str) -> None:
    assert describe_result({"Result": result, "ExecMainStatus": status, "ActiveState": "failed"}) == words


def test_a_cause_has_the_line_that_introduces_it() -> None:
    cause = find_cause(HTTPD)
    place = "AH00526: Syntax error on line 3 of /etc/httpd/conf.d/pocketwms.conf:"
    assert add_introduction(HTTPD, cause) == f"{place} {cause}"
    condor = f"Configuration Error Line 13 while reading config source {CONF}\nendif(s) not found\n"
    assert add_introduction(condor, find_cause(condor)) == ": ".join(condor.splitlines())
    assert add_introduction(TRACEBACK, find_cause(TRACEBACK)) == find_cause(TRACEBACK)
    assert add_introduction("Traceback (most recent call last):\nKeyError: 1\n", "KeyError: 1") == "KeyError: 1"


def test_states() -> None:
    shown = "MainPID=12\nId=a.service\nActiveState=active\nNRestarts=0\n\nId=b.socket\nActiveState=failed\n"
    assert _unit_states(shown)["a.service"]["MainPID"] == "12"
    assert _unit_states(shown)["b.socket"]["ActiveState"] == "failed"


def test_unit_is_known_by_its_alias() -> None:
    shown = "Id=factoryd.service\nNames=factoryd.service factory.service\nActiveState=active\nMainPID=3\n"
    assert _unit_states(shown)["factory.service"] == _unit_states(shown)["factoryd.service"]


def test_journal_of_an_alias_is_that_of_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_host: Host, request: Request) -> Completed:
        shown = "Id=factoryd.service\nResult=exit-code\nExecMainStatus=1\n"
        is_own = "_SYSTEMD_UNIT=factoryd.service" in request.argv
        text = shown if "show" in request.argv else "KeyError: 'name'\n" if is_own else ""
        return Completed(tuple(request.argv), 0, text, "", 0.1)

    monkeypatch.setattr(Host, "run", run)
    error = service_error(Host(Engine(Runner()), "factory", "factory"), "factory", "does not start")
    assert error.message == "factory does not start (exit-code, status 1): KeyError: 'name'"


def test_messages_that_name_a_cause() -> None:
    assert names_cause("x: KeyError: 'a'")
    assert names_cause("x.service - X skipped, unmet condition check ConditionPathExists=/run/x")
    assert not names_cause("exit status 1, no output")
