"""What a look at a host comes to; the looking itself is in tests/integration and tests/faults."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.errors import (
    UNDECIDED,
    InstallError,
    InterruptedRunError,
    ItbError,
    ScenarioError,
    TestbedError,
    UsageError,
)
from itb.run import disk_use, testbed_fault
from itb.run.cell import Cell
from itb.rundir.case_history import RUN_END
from itb.rundir.checkpoints import REPO_SERVED, USED_WORKSPACE, CheckpointKey, CheckpointKind
from itb.rundir.directory import RunDir
from itb.rundir.journal import Journal

FULL = "host ce: disk full: /var has 0 KiB left"


def journal_that_finds(tmp_path: Path, cause: str) -> Journal:
    journal = Journal(RunDir(tmp_path))
    journal.find_testbed_fault = lambda role, _seen: cause if role == "ce" else ""
    return journal


@pytest.mark.parametrize("error", [InstallError("no package x", evidence="e"), TestbedError("curl failed")])
def test_a_broken_testbed_is_never_the_products_failure(tmp_path: Path, error: ItbError) -> None:
    journal = journal_that_finds(tmp_path, FULL)
    with pytest.raises(TestbedError, match="disk full"), journal.case("install", "ce", "dnf install x"):
        raise error
    case = journal.cases[-1]
    assert (case.outcome, case.exit_code) == ("error", 5)
    assert case.message == f"{FULL}; seen of it: {error.message}"
    assert case.evidence == error.evidence


def test_a_sound_testbed_leaves_the_verdict_as_it_is(tmp_path: Path) -> None:
    journal = journal_that_finds(tmp_path, FULL)
    with pytest.raises(InstallError), journal.case("install", "factory", "dnf install x"):
        raise InstallError("no package x")
    assert (journal.cases[-1].outcome, journal.cases[-1].exit_code) == ("failed", 7)


def test_a_cause_is_said_once_and_an_interruption_stays_one(tmp_path: Path) -> None:
    journal = journal_that_finds(tmp_path, FULL)
    known = TestbedError(f"{FULL}: tar failed")
    assert journal.diagnose("ce", known) is known
    for error in (InterruptedRunError("interrupted"), UsageError("no")):
        assert journal.diagnose("ce", error) is error
    assert isinstance(journal.diagnose("ce", ScenarioError("no jobs")), TestbedError)


@pytest.mark.parametrize(
    ("findings", "text", "cause"),
    [
        ({"full": ["/var 12"]}, "", "host ce: disk full: /var has 12 KiB left"),
        ({"readonly": ["/"]}, "", "host ce: / cannot be written to"),
        ({"free": ["/ 99999999", "/var 60000"]}, "cp: x: No space left on device",
         "host ce: disk full: /var has only 58 MiB left"),
        ({"free": ["/ 99999999"]}, "cp: x: No space left on device", ""),
        ({"free": ["/ 60000"]}, "Failed to add inotify watch: No space left on device", ""),
        ({"free": ["/ 60000"]}, "jobs are not submitted", ""),
        ({"killed": ["2"]}, "", "host ce: out of memory: the kernel killed 2 of its processes"),
        ({"unresolved": ["repo.x"]}, "", "host ce: name resolution fails: repo.x is not known there"),
        ({}, "jobs are not submitted", ""),
    ],
)  # fmt: skip
def test_what_a_look_at_a_host_comes_to(findings: dict[str, list[str]], text: str, cause: str) -> None:
    assert next(testbed_fault._host_causes("ce", findings, text), "") == cause


def machine_causes(rundir: Path, *, drift: float = 0.0) -> list[str]:
    began = (time.time() - drift, time.monotonic())
    return list(testbed_fault._machine_causes(rundir, [rundir.parent], began))


def test_a_sound_machine_is_not_at_fault(tmp_path: Path) -> None:
    assert machine_causes(tmp_path) == []


@pytest.mark.parametrize("drift", [3600, -3600])
def test_a_clock_that_jumped_is_the_machines_fault(tmp_path: Path, drift: int) -> None:
    assert machine_causes(tmp_path, drift=drift) == [f"the machine's clock jumped by {drift:+d} s during the run"]


def test_a_run_directory_that_is_gone_is_the_machines_fault(tmp_path: Path) -> None:
    assert machine_causes(tmp_path / "gone") == [f"run directory {tmp_path / 'gone'} is gone"]


def test_an_engine_that_cannot_be_asked_is_the_cause(
    new_cell: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_running_roles() -> set[str]:
        raise TestbedError("container engine 'podman' does not answer")

    cell = new_cell()
    monkeypatch.setattr(cell.testbed, "find_running_roles", find_running_roles)
    assert testbed_fault.find(cell, "ce", "") == "container engine 'podman' does not answer"


def test_engine_that_may_wait_for_the_candidates_host_is_no_acquittal(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_running_roles() -> set[str]:
        raise TestbedError("container engine 'podman' does not answer")

    monkeypatch.setattr(cell.testbed, "find_running_roles", find_running_roles)
    said = "container engine 'podman' does not answer"
    assert testbed_fault.find(cell, "factory", "") == f"{UNDECIDED}: {said}"
    assert testbed_fault.find(cell, "services", "") == said


def test_host_that_dies_while_it_is_looked_at_is_no_acquittal(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another host is looked at: the error says which it is."""

    def die(*_: object) -> dict[str, list[str]]:
        error = TestbedError("host factory: container x is not running (exit status 137)")
        error.role = "factory"
        raise error

    monkeypatch.setattr(testbed_fault, "_machine_causes", die)
    assert testbed_fault.find(cell, "services", "").startswith(UNDECIDED)


def test_what_was_never_started_is_not_missing(
    new_cell: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that fails before there is a testbed, or a build without the other hosts, names no container."""
    cell = new_cell()
    cell.testbed.containers, cell.testbed.started = {"workspace": "1"}, {"workspace"}
    assert list(testbed_fault._container_causes(cell, "images")) == []
    assert list(testbed_fault._container_causes(cell, "workspace")) == []
    cell.testbed.started = {"workspace", "services"}
    monkeypatch.setattr(Host, "why_not_running", lambda host: f"{host.role} is gone")
    assert list(testbed_fault._container_causes(cell, "workspace")) == ["services is gone"]


@pytest.fixture
def cell(new_cell: Callable[[], Cell], monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell whose factory has the candidate; the services host is sound."""
    made = new_cell()
    made.testbed.containers = {"factory": "1", "ce": "2", "services": "3"}
    key = CheckpointKey(CheckpointKind.INSTALLATION, "factory")
    made.checkpoints.begin(key, {"factory": "1"}, taints=["factory"])
    monkeypatch.setattr(Host, "is_running", lambda _host: True)
    monkeypatch.setattr(testbed_fault, "_inspect_host", lambda *_: {})
    return made


@pytest.mark.parametrize(
    ("cause", "is_undecided"),
    [
        ("host factory: name resolution fails: repo.x is not known there", True),
        ("host factory: disk full: / has 0 KiB left", True),
        ("host factory: container x is not running (exit status 137, out of memory)", True),
        ("host ce: disk full: / has 0 KiB left", True),  # by pilots, which are the candidate's
        ("host ce: out of memory: the kernel killed 2 of its processes", True),
        ("host ce: repo.x:443 cannot be reached", True),  # its hosts take all connections
        ("host ce: container x is not running (exit status 137, out of memory)", True),
        ("host ce: /tmp cannot be written to", True),
        ("host ce: container x is not running (exit status 137)", True),
        ("host ce: name resolution fails: repo.x is not known there", True),
        ("host services: the web server that serves the packages does not run", False),
        ("the disk of /runs is full (1 MiB left)", False),
        ("", False),
    ],
)
def test_fault_of_a_host_with_the_candidate_is_no_acquittal(cell: Cell, cause: str, is_undecided: bool) -> None:
    assert testbed_fault.qualify(cell, cause) == (f"{UNDECIDED}: {cause}" if is_undecided else cause)


@pytest.mark.parametrize("role", ["ce", "factory"])
def test_fault_before_the_installation_is_the_testbeds(new_cell: Callable[[], Cell], role: str) -> None:
    cause = FULL.replace("ce", role)
    assert testbed_fault.qualify(new_cell(), cause) == cause


def test_fault_that_a_host_without_the_candidate_has_too_is_the_testbeds(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testbed_fault, "_inspect_host", lambda *_: {"unresolved": ["repo.x"]})
    cause = "host factory: name resolution fails: repo.x is not known there"
    assert testbed_fault.qualify(cell, cause) == cause


@pytest.mark.parametrize(
    ("before", "hosts", "is_undecided"),
    [
        (1 << 30, 800 << 20, True),
        (1 << 30, 100 << 20, False),
        (0, 800 << 20, False),  # it was full before
    ],
)
def test_shared_disk_that_the_candidate_filled_is_no_acquittal(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, hosts: int, is_undecided: bool
) -> None:
    monkeypatch.setattr(testbed_fault, "_inspect_host", lambda *_: {"full": ["/ 0"]})
    monkeypatch.setattr(cell.testbed, "roles_with_container", lambda: {"factory", "services"})
    monkeypatch.setattr(Engine, "own_sizes", lambda _, names: [hosts] if names == ["itb-s-factory"] else [])
    monkeypatch.setattr(Engine, "inspect_all", lambda *_: [])
    cell.engine.storage = tmp_path
    monkeypatch.setattr(disk_use, "free_bytes", lambda _: before)
    disk_use.remember(cell)
    monkeypatch.setattr(disk_use, "free_bytes", lambda _: 0)
    disk_use.remember(cell)
    machine = f"the disk of {tmp_path} is full (0 MiB left)"
    for cause in ("host factory: disk full: / has 0 KiB left", machine):
        assert testbed_fault.qualify(cell, cause) == (f"{UNDECIDED}: {cause}" if is_undecided else cause)
    assert next(testbed_fault._causes(cell, "factory", "")).startswith("the disk of ")


def test_services_that_the_candidates_packages_use_up_are_no_acquittal(cell: Cell) -> None:
    """A package of 14 MB with a million of Provides takes 1.6 GB of memory to be indexed."""
    cause = "host services: out of memory: the kernel killed 1 of its processes"
    assert testbed_fault.qualify(cell, cause) == cause
    cell.checkpoints.begin(REPO_SERVED, {"services": "3"})
    for doubtful in (cause, "host services: too many processes: the kernel refused 3 more"):
        assert testbed_fault.qualify(cell, doubtful) == f"{UNDECIDED}: {doubtful}"
    other = "host services: container x is not running (exit status 137)"
    assert testbed_fault.qualify(cell, other) == other


def test_file_of_the_engine_that_the_candidate_filled_is_its_own(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written to /etc/hosts is no file of the container's own; podman has it where /run is, in memory."""
    (tmp_path / "hosts").write_bytes(bytes(1 << 20))
    monkeypatch.setattr(cell.testbed, "roles_with_container", lambda: {"factory", "services"})
    monkeypatch.setattr(Engine, "own_sizes", lambda *_: [0])
    monkeypatch.setattr(Engine, "inspect_all", lambda *_: [{"HostsPath": str(tmp_path / "hosts"), "LogPath": ""}])
    cell.engine.storage = cell.engine.state = tmp_path
    monkeypatch.setattr(disk_use, "free_bytes", lambda _: 1 << 20)
    disk_use.remember(cell)
    monkeypatch.setattr(disk_use, "free_bytes", lambda _: 0)
    cause = f"the disk of {tmp_path} is full (0 MiB left)"
    assert testbed_fault.qualify(cell, cause) == f"{UNDECIDED}: {cause}"


def test_machine_without_inodes_is_no_acquittal(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty files take no bytes that could be counted."""
    monkeypatch.setattr(disk_use, "lacks_inodes", lambda _: True)
    cell.engine.storage = cell.rundir.path
    disk_use.remember(cell)
    cause = next(testbed_fault._machine_causes(cell.rundir.path, [cell.rundir.path], cell.journal.began))
    assert cause == f"the disk of {cell.rundir.path} is full (no inode left)"
    assert testbed_fault.qualify(cell, cause) == f"{UNDECIDED}: {cause}"


def test_build_that_fills_its_host_is_no_acquittal(cell: Cell) -> None:
    cause = "host workspace: disk full: / has 0 KiB left"
    assert testbed_fault.qualify(cell, cause) == cause
    cell.checkpoints.begin(USED_WORKSPACE, {"workspace": "4"})
    assert testbed_fault.qualify(cell, cause) == f"{UNDECIDED}: {cause}"


def test_workspace_in_which_a_build_has_begun_is_the_candidates(new_cell: Callable[[], Cell]) -> None:
    """Though nothing is installed anywhere yet, and whatever becomes of itb's own tools there."""
    cell = new_cell()
    assert not testbed_fault.may_have_candidate(cell, "workspace")
    cell.checkpoints.begin(USED_WORKSPACE, {"workspace": "4"})
    assert testbed_fault.may_have_candidate(cell, "workspace")


@pytest.mark.parametrize(
    ("role", "error", "is_undecided"),
    [
        ("factory", TestbedError("host factory: list packages: exit status 1, no output"), True),
        ("factory", IndexError("list index out of range"), True),
        ("factory", InstallError("no package x"), False),
        ("ce", TestbedError("host ce: container x cannot be entered any more: no more processes"), True),
        ("services", TestbedError("host services: gpg made no key"), False),
        ("workspace", TestbedError("x.rpm changed on its way out of the build workspace"), True),
        ("factory", TestbedError("container engine 'podman' fails: exec"), False),
        # It waits for ever if a host's /etc/passwd is a pipe.
        ("factory", TestbedError("container engine 'podman' does not answer: ps: no end within 60 s"), True),
        ("services", TestbedError("container engine 'podman' does not answer: ps: no end within 60 s"), False),
        ("factory", OSError(5, "Input/output error", "/runs/x"), False),
    ],
)
def test_broken_program_of_a_host_with_the_candidate_is_no_acquittal(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, role: str, error: Exception, is_undecided: bool
) -> None:
    """It is root there: it may replace dnf, so that itb's own command fails; pilots may take all processes."""
    monkeypatch.setattr(testbed_fault, "find", lambda *_: "")
    cell.journal.may_have_candidate = functools.partial(testbed_fault.may_have_candidate, cell)
    cell.checkpoints.begin(USED_WORKSPACE, {"workspace": "4"})
    with pytest.raises((TestbedError, type(error))), cell.journal.case("install", role, "look"):
        raise error
    assert cell.journal.cases[-1].message.startswith(UNDECIDED) is is_undecided
    apart = TestbedError("Curl error (7): cannot connect")
    apart.apart_from_candidate = True
    assert cell.journal.diagnose(role, apart) is apart


@pytest.mark.parametrize(("role", "is_undecided"), [("factory", True), ("services", False), ("", False)])
def test_command_outside_of_a_case_is_no_acquittal(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, role: str, is_undecided: bool
) -> None:
    """A case of itb's own tells it, which has no host; the error knows where it happened."""
    looked_at: list[str] = []
    monkeypatch.setattr(testbed_fault, "find", lambda _cell, role, _text: looked_at.append(role) or "")
    cell.journal.find_testbed_fault = functools.partial(testbed_fault.find, cell)
    cell.journal.may_have_candidate = functools.partial(testbed_fault.may_have_candidate, cell)
    error = TestbedError(f"host {role}: put /etc/yum.repos.d/itb-previous.repo: tar: Cannot open: File exists")
    error.role = role
    for case in (RUN_END, ("test", "ce", "jobs run")):
        with pytest.raises(TestbedError), cell.journal.case(*case):
            raise error
    assert looked_at == [role or "itb", "ce"]
    assert cell.journal.cases[0].message.startswith(UNDECIDED) is is_undecided


def test_undecided_cause_is_said_once(tmp_path: Path) -> None:
    cause = "host ce: container x is not running (exit status 0)"
    journal = journal_that_finds(tmp_path, f"{UNDECIDED}: {cause}")
    error = journal.diagnose("ce", TestbedError(cause))
    assert (error.message, error.exit_code) == (f"{UNDECIDED}: {cause}", 5)
    assert journal.diagnose("ce", error) is error
    assert journal.diagnose("ce", ScenarioError("no jobs")).message == f"{UNDECIDED}: {cause}; seen of it: no jobs"
