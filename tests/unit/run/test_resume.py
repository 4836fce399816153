"""Whether a run that is to go on is still the same run."""

from __future__ import annotations

import dataclasses
import shutil
import socket
from pathlib import Path

import pytest
import yaml

from itb.cli.commands import existing_run
from itb.config import lookup
from itb.config.product import TokenDelivery
from itb.config.settings import Settings
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import TestbedError, UsageError
from itb.isolation import Isolation, OutsideIssuer
from itb.model import RunTrust, Trust
from itb.run import reach, reopen, resume
from itb.rundir import seal, values
from itb.rundir.directory import RunState
from itb.testbed.topology import find_topology
from tests.unit.run.conftest import NewCell

TOKEN = TokenDelivery(role="frontend", path="/t")
STATE = RunState(id="r", short_id="s", product="p", platform="deb13", ref="", started=0)


def test_definitions_that_changed_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "pocketwms"
    shutil.copytree(shipped.folder("build_ws") / "products" / "pocketwms", folder)
    platform, topology = lookup.load_platform("deb13"), find_topology("three-hosts")

    def now() -> dict[str, str]:
        return resume.checksums(lookup.load_product(str(folder)), platform, topology)

    began = STATE.model_copy(update={"definitions": now()})
    resume.check_unchanged(began, now())
    resume.check_unchanged(STATE, now())
    script = next(iter(folder.rglob("factory.sh")))
    script.write_text(script.read_text() + "# changed\n")
    with pytest.raises(UsageError, match="run r: product pocketwms changed since the run began"):
        resume.check_unchanged(began, now())


def test_a_level_that_is_raised_is_on_record(
    tmp_path: Path, new_cell: NewCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later commands of the run, its reports and itb publish know it; the seal holds."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    cell = new_cell(Settings(trust="branch", token_hook="vault"), token=TOKEN)
    seal.write(cell.rundir)
    lock = cell.rundir.path / "lock.yaml"
    lock.write_text("trust: {level: pr, reference: pr}\nplatform: deb13\n")
    raised = dataclasses.replace(cell, trust=RunTrust(level=Trust.BRANCH, reference=Trust.PR))
    with pytest.raises(UsageError, match="level pr gets no token of 'vault'"):
        reopen.check_trust(cell)
    assert cell.rundir.state.trust is None
    reopen.check_trust(raised)
    assert cell.rundir.state.trust == raised.trust
    assert cell.rundir.state.settings["trust"] == "branch"
    assert seal.is_intact(cell.rundir)
    content = {"trust": {"level": "branch", "reference": "pr"}, "platform": "deb13"}
    assert yaml.safe_load(lock.read_text()) == content
    cell.rundir.update(trust=None, cwd="/")
    reopen.check_trust(raised)
    assert not seal.is_intact(cell.rundir), "nobody else's change gets a seal"


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("roles", [{}, {"ce": "1"}])
def test_a_copy_does_not_say_what_hosts_reach(
    tmp_path: Path, new_cell: NewCell, monkeypatch: pytest.MonkeyPatch, roles: dict[str, str], *, is_sealed: bool
) -> None:
    """Its state/isolation.json opened the network; its issuer was a server that hosts are let to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", ("10.0.0.1", 22))])
    cell = new_cell(Settings())
    cell.testbed.containers.update(roles)
    if is_sealed:
        seal.write(cell.rundir)
    opened = Isolation(internet=True)
    cell.rundir.save(values.ISOLATION, opened)
    cell.rundir.save(values.OUTSIDE_ISSUER, OutsideIssuer(url="http://intranet.example.org:22/"))
    reopen.check_hosts(cell)
    saved = cell.rundir.load(values.ISOLATION)
    assert saved == (opened if is_sealed else Isolation() if roles else None)
    assert bool(reach.declared(cell).servers) is is_sealed


@pytest.mark.parametrize("has_candidate", [True, False])
def test_host_on_which_nothing_can_be_ended_goes(
    new_cell: NewCell, monkeypatch: pytest.MonkeyPatch, *, has_candidate: bool
) -> None:
    """The candidate is root there: without its ps every resumed run ended at once, as the testbed's fault."""
    cell = new_cell(Settings())
    cell.testbed.containers.update(factory="1", frontend="2")

    def script(host: Host, *_: object) -> None:
        if host.role == "factory":
            raise TestbedError("host factory: script: ps: command not found")

    monkeypatch.setattr(Host, "script", script)
    monkeypatch.setattr(resume, "_why_unusable", lambda *_: "")
    monkeypatch.setattr(cell.testbed, "roles_with_container", lambda: {"factory", "frontend"})
    cell.journal.may_have_candidate = lambda role: has_candidate and role == "factory"
    if not has_candidate:
        with pytest.raises(TestbedError, match="ps: command not found"):
            resume.restore_checkpoints(cell, [])
        return
    resume.restore_checkpoints(cell, [])
    assert set(cell.testbed.containers) == {"frontend"}
    assert "removed: factory (commands of the killed itb" in cell.journal.cases[-1].message


def test_hosts_are_those_of_the_directorys_name(new_cell: NewCell) -> None:
    """A copy beside the original, whose run.json has the original's name, had the original's hosts."""
    cell = new_cell(Settings())
    cell.rundir.update(id="20261129T000000Z-original")
    del vars(cell)["testbed"]
    assert cell.testbed.labels["itb.run"] == cell.rundir.id


@pytest.mark.parametrize(
    "flag", ["ref", "product", "platform", "token_hook", "scenario", "engine", "builder", "allow_privileged"]
)
def test_another_setting_is_refused(flag: str) -> None:
    with pytest.raises(UsageError, match=f"--{flag.replace('_', '-')}: a resumed run goes on with its own"):
        existing_run.resume_from({flag: "x", "keep": "failed"}, "r")
