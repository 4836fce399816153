"""Fixtures of every kind of test: places of this checkout, and real containers that never outlive their test."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml
from xdist.scheduler import LoadScopeScheduling

from itb.config import lookup
from itb.config.settings import Settings
from itb.containers import naming
from itb.containers.connection import connect
from itb.containers.description import container_name, labels_of
from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.data import shipped
from itb.model import PlatformImages
from itb.platforms import images as platforms_images
from itb.process.request import Request
from itb.process.runner import Runner
from itb.testbed.testbed import wait_booted

TOP = Path(__file__).resolve().parent.parent
OWN_LABEL = "itb.test"  # on whatever a test creates itself; its value is the test session's worker's own
# Fixtures that lead to containers, and those of them that runs are begun with: after a test with these the
# engine is asked what is left. Of other tests it is asked as the session ends: three calls less for each.
_DOORS = {"engine", "itb"}
_RUNS = {"bench", "itb"}

NewHost = Callable[..., Host]


class _Scheduling(LoadScopeScheduling):
    """Hands out whole files, whose tests share hosts, but those of the places in _ONE_BY_ONE one by one."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return nodeid if file.startswith(_ONE_BY_ONE) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Scheduling:
    """Tell pytest-xdist how tests go out to its workers."""
    return _Scheduling(config, log)


# Their tests take long, or share nothing.
_ONE_BY_ONE = (
    "tests/acceptance/", "tests/defects/", "tests/faults/", "tests/style/",
    "tests/integration/test_platform_images.py",
)  # fmt: skip
# What is quick comes first, so that it fails soon; then what takes long, a test or a file of
# them; then single runs. Short tests, one by one, are last, so that all workers end at one time.
_LAST = "tests/acceptance/test_bad_input.py"
_ORDER = (
    "tests/style/", "tests/unit/", "long", "tests/hostile/", "tests/integration/",
    "tests/faults/", "tests/defects/", "tests/acceptance/", _LAST,
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests into the order in which workers take them."""

    def place(item: pytest.Item) -> int:
        if item.get_closest_marker("long"):
            return _ORDER.index("long")
        if item.nodeid.startswith(_LAST):
            return _ORDER.index(_LAST)
        return next(place for place, kind in enumerate(_ORDER) if item.nodeid.startswith(kind))

    items.sort(key=place)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a test that failed at once: the suite takes a quarter of an hour, and may be ended before its end."""
    if report.failed and not os.environ.get("PYTEST_XDIST_WORKER"):
        print(f"\n{report.nodeid}: {report.when} failed", flush=True)


@pytest.fixture(scope="session")
def own_label() -> str:
    """Label (``key=value``) of everything this worker's tests create; other sessions have other ones."""
    return f"{OWN_LABEL}={secrets.token_hex(6)}"


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own cache: a platform is built once, not once a test."""
    return Settings().cache_dir


@pytest.fixture(scope="session")
def engine(cache: Path, own_label: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The container engine; at the end of the session nothing with this session's label may be left."""
    connected = connect(Runner(), os.environ.get("ITB_ENGINE", "podman"), cache)
    yield connected
    key, _, value = own_label.partition("=")
    left = connected.remove_labelled({key: value})
    left += _left_by_runs(connected, str(tmp_path_factory.getbasetemp()))
    assert not left, f"left behind by this session's tests: {left}"


@pytest.fixture(scope="session")
def images(engine: Engine, cache: Path) -> PlatformImages:
    """Images of platform deb13, made by the first worker that asks while the others wait."""
    return platforms_images.ensure(lookup.load_platform("deb13"), engine, cache=cache)


@pytest.fixture
def new_host(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[NewHost]:
    """Factory of booted hosts: ``new_host()`` is bare, ``new_host("services", fqdn=...)`` another kind.

    Options that follow are the engine's (``"--network", "none"``).  Hosts are removed as the test ends.
    """
    with _hosts(engine, images, own_label) as make:
        yield make


@pytest.fixture(scope="module")
def module_hosts(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[NewHost]:
    """Like new_host, for hosts that all tests of a module share."""
    with _hosts(engine, images, own_label) as make:
        yield make


@pytest.fixture(scope="session")
def shared_host(engine: Engine, images: PlatformImages, own_label: str) -> Iterator[Host]:
    """One booted bare host for all tests of a worker that leave no trace on it."""
    with _hosts(engine, images, own_label) as make:
        yield make()


@contextlib.contextmanager
def _hosts(engine: Engine, images: PlatformImages, label: str) -> Iterator[NewHost]:
    names: list[str] = []

    def make(
        kind: Literal["bare", "build", "services"] = "bare", *options: str, fqdn: str = "", boot: bool = True
    ) -> Host:
        name = f"itb-test-{secrets.token_hex(4)}"
        names.append(name)
        hostname = ("--hostname", fqdn) if fqdn else ()
        systemd = ("--systemd", "always") if engine.is_podman else ("--privileged",)
        engine.call(
            *("run", "--detach", "--name", name, "--label", label, *systemd, *hostname, *options),
            images.references[kind],
        )
        host = Host(engine, name, kind, fqdn)
        if boot:
            wait_booted(host)
        return host

    try:
        yield make
    finally:
        at_once = ("--time", "0") if engine.is_podman else ()
        if names:
            engine.run(Request(["rm", "--force", *at_once, "--volumes", *names], check=False))


@dataclass(frozen=True)
class Ended:
    """How an ``itb`` command ended."""

    code: int
    out: str
    err: str
    seconds: float


@pytest.fixture
def itb(engine: Engine, tmp_path: Path) -> Callable[..., Ended]:
    """Run ``itb ARGS`` as a user would, in an empty directory of the test's own; runs go to ``runs`` there.

    Configuration of the person who runs the tests does not count; ``env`` adds to the environment.
    """

    def call(
        *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 600
    ) -> Ended:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ITB_")}
        settled = {**inherited, "XDG_CONFIG_HOME": str(tmp_path / "no-config"), "ITB_ENGINE": engine.program}
        began = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("itb")), *args],
            cwd=cwd or tmp_path, env={**settled, **(env or {})}, timeout=timeout,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        out, err = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
        return Ended(done.returncode, out, err, time.monotonic() - began)

    return call


@pytest.fixture
def shorter_scenario(tmp_path: Path) -> Callable[[str, str, float], str]:
    """Copy a scenario, ``(its name, step, seconds)``, whose step polls for so long only; return the path."""

    def copy(scenario: str, step: str, seconds: float) -> str:
        folder = tmp_path / scenario
        shutil.copytree(shipped.folder("scenarios") / scenario, folder)
        content = yaml.safe_load((folder / "scenario.yaml").read_text())
        (polling,) = [item for item in content["steps"] if item["name"] == step]
        polling["eventually"]["within"] = seconds
        (folder / "scenario.yaml").write_text(yaml.safe_dump(content))
        return str(folder)

    return copy


def _left_by_runs(engine: Engine, folder: str) -> list[str]:
    """Names of what carries the label of a run below ``folder``, after removing it."""
    left = []
    wanted = naming.runs_labels()
    items = engine.all_resources(wanted)
    for item in items:
        _, runs = naming.run_of(labels_of(item))
        if runs.startswith(folder):
            left.append(f"{container_name(item) or item.get('name')} of {runs}")
            engine.remove_labelled(naming.runs_labels(runs))
    return left


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose runs leave a container, network, volume or mount."""
    if not _DOORS & set(request.fixturenames):
        yield
        return
    folder = str(request.getfixturevalue("tmp_path"))
    engine: Engine = request.getfixturevalue("engine")
    yield
    left = _left_by_runs(engine, folder) if _RUNS & set(request.fixturenames) else []
    left += [line for line in Path("/proc/self/mounts").read_text().splitlines() if folder in line]
    assert not left, f"left behind: {left}"
