"""The embedded product's own logic, with HTCondor's bindings replaced: they are the door to its daemons."""

from __future__ import annotations

import base64
import importlib
import json
import logging
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from itb.data import shipped

SOURCE = shipped.folder("build_ws") / "products" / "pocketwms" / "source"


def token(left: float, begin: float = -60) -> str:
    """A token that ends in so many seconds, and is valid from ``begin`` on."""
    claims = {"nbf": int(time.time() + begin), "exp": int(time.time() + left)}
    return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


TOKEN = token(86400)


class Bindings(ModuleType):
    """What htcondor2 and classad2 offer, without daemons behind it."""

    AdTypes = SimpleNamespace(Any=1, Startd=2)
    JobAction = SimpleNamespace(Remove="remove")
    ClassAd = dict
    Submit = dict


class Queue:
    """A schedd with a queue of jobs that remembers what is asked of it."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = list(jobs)
        self.submitted: list[tuple[dict[str, str], int]] = []
        self.removed: list[str] = []

    def query(self, _constraint: str, _attributes: list[str]) -> list[dict[str, Any]]:
        return self.jobs

    def submit(self, description: dict[str, str], count: int) -> SimpleNamespace:
        self.submitted.append((description, count))
        return SimpleNamespace(cluster=lambda: 1)

    def act(self, _action: str, job: str) -> None:
        self.removed.append(job)


@pytest.fixture
def pocket(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.syspath_prepend(str(SOURCE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("htcondor2", "classad2"):
        monkeypatch.setitem(sys.modules, name, Bindings(name))
    names = ("config", "adverts", "daemon", "frontend", "factory")
    yield SimpleNamespace(**{name: importlib.import_module(f"pocketwms.{name}") for name in names})
    for name in [name for name in sys.modules if name.split(".")[0] == "pocketwms"]:
        del sys.modules[name]


@pytest.fixture
def factory(pocket: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    state = tmp_path / "factory"
    for name in ("stage", "credentials"):
        (state / name).mkdir(parents=True)
    (tmp_path / "pilot.sh").write_text("#!/bin/bash\n")
    monkeypatch.setattr(pocket.factory, "STATE", str(state))
    monkeypatch.setattr(pocket.factory, "PILOT", str(tmp_path / "pilot.sh"))
    settings = pocket.config.load(str(SOURCE / "etc" / "factory.yaml"), pocket.factory.KEYS)

    def serve(queue: Queue, ce_token: str = TOKEN, **wanted: Any) -> Queue:
        public = pocket.adverts.public_part(pocket.factory.own_key())
        request = {
            "PocketName": "pocket", "PocketPool": "pool.example.org", "PocketIdlePilots": 5, "PocketMaxPilots": 10,
            "PocketCredentials": pocket.adverts.seal(public, {"ce_token": ce_token, "pilot_token": "pilot"}),
        }  # fmt: skip
        pocket.factory.serve(settings, queue, {**request, **wanted})
        return queue

    return SimpleNamespace(serve=serve, state=state, settings=settings, module=pocket.factory)


def jobs(*statuses: int) -> list[dict[str, Any]]:
    return [{"JobStatus": status} for status in statuses]


def test_shipped_configuration_is_valid(pocket: SimpleNamespace) -> None:
    for role in ("factory", "frontend"):
        keys = getattr(pocket, role).KEYS
        assert set(pocket.config.load(str(SOURCE / "etc" / f"{role}.yaml"), keys)) == set(keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a: b\n", "line 1: mapping values are not allowed"),
        ("nam: x\n", "unknown key nam; valid are loop, name"),
        ("loop: 3\n", "name is missing"),
        ("name: x\nloop: often\n", "loop must be int, not 'often'"),
        ("- name\n", "not a list of"),
    ],
)
def test_wrong_configuration_is_named(pocket: SimpleNamespace, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(pocket.config.ConfigError, match=message):
        pocket.config.load(str(file), {"name": str, "loop": 30})


def test_missing_configuration_is_named(pocket: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(pocket.config.ConfigError, match="No such file"):
        pocket.config.load(str(tmp_path / "none.yaml"), {})


def test_credentials_are_for_their_factory_only(pocket: SimpleNamespace) -> None:
    ours, theirs = pocket.adverts.new_key(), pocket.adverts.new_key()
    sealed = pocket.adverts.seal(pocket.adverts.public_part(ours), {"ce_token": "secret"})
    assert "secret" not in sealed
    assert pocket.adverts.unseal(ours, sealed) == {"ce_token": "secret"}
    with pytest.raises(ValueError, match=r".*"):
        pocket.adverts.unseal(theirs, sealed)
    with pytest.raises(ValueError, match="damaged"):
        pocket.adverts.unseal(ours, sealed[:-8])


@pytest.mark.parametrize(
    ("queue", "wanted", "count"),
    [
        ([], {}, 5),
        ([1, 1], {}, 3),
        ([1, 5], {}, 3),
        ([1] * 5, {}, 0),
        ([2] * 8, {}, 2),
        ([2] * 10, {}, 0),
        ([], {"PocketIdlePilots": 0}, 0),
        ([4, 4, 3], {}, 5),
    ],
    ids=["none", "some wait", "one held", "enough wait", "near the limit", "at the limit", "none asked", "ended"],
)
def test_factory_submits_what_lacks(
    factory: SimpleNamespace, queue: list[int], wanted: dict[str, int], count: int
) -> None:
    submitted = factory.serve(Queue(*jobs(*queue)), **wanted).submitted
    assert [number for _, number in submitted] == ([count] if count else [])


def test_pilot_gets_its_credentials_and_checksum(factory: SimpleNamespace) -> None:
    [(description, _)] = factory.serve(Queue()).submitted
    file = Path(description["scitokens_file"])
    assert file.read_text() == TOKEN
    assert file.stat().st_mode & 0o777 == 0o600
    url, checksum, *rest = description["arguments"].split()
    assert rest == ["example", "pocket", "pool.example.org", "300"]
    assert (factory.state / "stage" / url.rpartition("/")[2]).exists()
    assert checksum.startswith(url.rpartition("-")[2].removesuffix(".sh"))


@pytest.mark.parametrize("name", ['x" || true', "../up", "", "a b"])
def test_factory_refuses_names_that_need_quotes(factory: SimpleNamespace, name: str) -> None:
    with pytest.raises(ValueError, match="not plain"):
        factory.serve(Queue(), PocketName=name)


ENDED = "expired at .* UTC"
OF_THE_FUTURE = "not valid before .* UTC"


@pytest.fixture(params=["UTC", "Asia/Kathmandu", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("ce_token", "message"),
    [(token(-1), ENDED), (token(90000, 86400), OF_THE_FUTURE), ("x", "no token that says when it ends")],
    ids=["ended", "of the future", "none"],
)
def test_a_token_that_no_ce_takes_is_not_used(
    pocket: SimpleNamespace, factory: SimpleNamespace, tmp_path: Path, ce_token: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        factory.serve(Queue(), ce_token)
    assert not list((factory.state / "credentials").rglob("ce_token"))
    (tmp_path / "token").write_text(ce_token)
    with pytest.raises(ValueError, match=message):
        pocket.frontend.read_credentials(dict.fromkeys(("ce_token", "pilot_token"), str(tmp_path / "token")))


@pytest.mark.usefixtures("zone")
def test_frontend_says_when_its_token_ends_and_that_it_was_renewed(
    pocket: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = dict.fromkeys(("ce_token", "pilot_token"), str(tmp_path / "token"))
    for left in (60, 60, 3600):
        (tmp_path / "token").write_text(token(left))
        pocket.frontend.read_credentials(settings)
    first, second = (time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() + left)) for left in (60, 3600))
    assert [message.partition(" ")[2][:-7] for message in caplog.messages] == [
        f"{tmp_path}/token read: ends at {first}",
        f"{tmp_path}/token renewed: ends at {second}",
    ]


def test_factory_keeps_its_key(factory: SimpleNamespace) -> None:
    key = factory.module.own_key()
    assert factory.module.own_key() == key
    assert (factory.state / "key.pem").stat().st_mode & 0o777 == 0o600


def test_held_pilots_are_removed(factory: SimpleNamespace) -> None:
    queue = Queue({"ClusterId": 3, "ProcId": 0, "HoldReason": "AUTHENTICATE:1004"})
    factory.module.remove_held(factory.settings, queue)
    assert queue.removed == ["3.0"]


def test_frontend_asks_for_what_no_free_slot_serves(
    pocket: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings = pocket.frontend.htcondor
    monkeypatch.setattr(bindings, "Schedd", lambda: Queue(*jobs(*[1] * 10)), raising=False)
    for free, wanted in ((0, 5), (7, 3), (12, 0)):
        pool = SimpleNamespace(query=lambda *_, free=free: [{}] * free)
        monkeypatch.setattr(bindings, "Collector", lambda _address, pool=pool: pool, raising=False)
        needed = pocket.frontend.pilots_needed({"name": "x", "pool": "y", "max_idle_pilots": 5})
        assert needed == (10, free, wanted)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SOURCE / "build" / "ReleaseManager"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "release", raising=False)
    return importlib.import_module("release")


@pytest.mark.parametrize(
    ("rc", "number", "expected"),
    [(None, None, "1"), (None, "3", "3"), ("1", None, "0.1.rc1"), ("2", "4.gabc", "0.2.rc2.4.gabc")],
)
def test_release_of_the_rpms(release: Any, rc: str | None, number: str | None, expected: str) -> None:
    assert release.rpm_release(rc, number) == expected


def test_tarball_is_the_source_and_nothing_else(release: Any, tmp_path: Path) -> None:
    for name in (".git/HEAD", "pocketwms/__init__.py", "pocketwms/__pycache__/x.pyc"):
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text("")
    release.make_tarball(str(tmp_path / "src"), str(tmp_path / "t.tgz"))
    with tarfile.open(tmp_path / "t.tgz") as made:
        assert sorted(made.getnames()) == ["pocketwms", "pocketwms/pocketwms", "pocketwms/pocketwms/__init__.py"]
