"""Services that do not stay up, whose logs and not their journal say why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.config import lookup
from itb.containers.host import Host
from itb.errors import ExitCode, InstallError, LogLine
from itb.install import dnf
from itb.install import services as install_services
from itb.model import Build, Repo, TestbedHosts
from itb.repository import server
from itb.run import pipeline
from itb.run.cell import Cell
from itb.run.phases import install
from itb.run.phases import test as phases_test
from itb.rundir.case_history import RUN_END
from itb.testbed import logs
from itb.testbed.logs import LogError

NewCell = Callable[..., Cell]


def test_a_service_that_ends_is_one_failure(new_cell: NewCell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error that ends the run is the one its case tells of, with the cause from the log."""
    cell = new_cell()
    line = LogLine("ERROR no state", Path("/var/log/x.log"), 2, role="factory")
    finding = LogError("ERROR no state (x.log)", line)
    down = {"httpd": InstallError("httpd does not stay up (exit-code, status 1): its journal names no cause")}
    monkeypatch.setattr(install_services, "check_stays_up", lambda *_, **__: down)
    monkeypatch.setattr(logs, "find_errors", lambda *_, **__: [finding])
    (error,) = install.watch(cell, "factory", ["condor", "httpd"], case=install.still_up, settle=0)
    assert error.message == "httpd does not stay up (exit-code, status 1): ERROR no state (x.log)"
    pipeline._report_error(cell, error)
    bad = [case for case in cell.journal.cases if case.is_bad]
    assert [(case.name, case.message) for case in bad] == [("httpd is still up", error.message)]


def test_a_service_that_a_scenario_has_ended_fails_the_scenario(
    new_cell: NewCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was installed and did start: what a reboot did to it is no failure of the installation."""
    cell = new_cell()
    down = {"httpd": InstallError("httpd does not stay up (exit-code): FileNotFoundError: '/run/x'")}
    monkeypatch.setattr(install_services, "check_stays_up", lambda *_, **__: down)
    services = lookup.load_scenario("services")
    for scenarios, code in (((), ExitCode.INSTALL), ((services,), ExitCode.SCENARIO)):
        error_class = phases_test._end_of_service(dataclasses.replace(cell, scenarios=scenarios), "factory")
        (error,) = install.watch(
            cell, "factory", ["httpd"], case=install.still_up, settle=0, error_class=error_class
        )
        assert (error.exit_code, cell.journal.cases[-1].exit_code) == (code, code)


def test_an_error_with_a_secret_in_it_is_one_failure(new_cell: NewCell) -> None:
    """Its case tells of it without the secret."""
    cell = new_cell()
    with pytest.raises(InstallError) as caught, cell.journal.case("install", "factory", "dnf installs it"):
        raise InstallError("no access to https://me:secret-4711@example.org/x")
    pipeline._report_error(cell, caught.value)
    assert [case.name for case in cell.journal.cases if case.is_bad] == ["dnf installs it"]


def test_an_error_between_cases_is_a_case(new_cell: NewCell) -> None:
    cell = new_cell()
    pipeline._report_error(cell, InstallError("something between"))
    assert [case.key for case in cell.journal.cases if case.is_bad] == [RUN_END]


def test_second_installation_on_a_host_is_not_apart_from_the_candidate(
    new_cell: NewCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What dnf prints of repositories the first time is dnf's own; later the candidate may have replaced it."""
    seen: dict[str, list[bool]] = {}

    def dnf_install(host: Host, *_: object, has_candidate: bool, **__: object) -> None:
        seen.setdefault(host.role, []).append(has_candidate)
        raise InstallError("no package x")

    monkeypatch.setattr(dnf, "dnf_install", dnf_install)
    monkeypatch.setattr(server, "enable", lambda *_: None)
    build, repo = Build.model_construct(), Repo.model_construct()
    for containers in ({"factory": "1", "frontend": "2"}, {"factory": "1", "frontend": "3"}):
        cell = new_cell()
        cell.testbed.containers = containers
        with pytest.raises(InstallError):
            install.install_roles(cell, build, repo, TestbedHosts(name="n", network="n", hosts=()))
    assert seen == {"factory": [False, True], "frontend": [False, False]}
