"""Packages that are made for a test, and hosts with them as they look from outside."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from itb.config import lookup
from itb.config.platform import SideEffects
from itb.config.settings import HostLimits
from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.data import shipped
from itb.install import outside
from itb.isolation import Isolation
from itb.model import PlatformImages
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import embedded
from itb.testbed.testbed import Testbed
from itb.testbed.topology import find_topology

_COMPOSE = """
services:
  bare:
    image: ${ITB_IMAGE_BARE}
    command: ["sleep", "infinity"]
    container_name: ${ITB_PROJECT}-bare
    hostname: bare.example.org
    labels: {itb.run: "${ITB_RUN}", itb.runs: "${ITB_RUNS}", itb.role: bare}
    networks: {testbed: {ipv4_address: "${ITB_NET_PREFIX}.10", aliases: [also.example.org]}}
  services:
    extends: {service: bare, file: two.compose.yaml}
    container_name: ${ITB_PROJECT}-services
    hostname: services.example.org
    labels: {itb.role: services}
    networks: {testbed: {ipv4_address: "${ITB_NET_PREFIX}.11"}}
networks:
  testbed: {name: "${ITB_NETWORK}", external: true}
"""
_HEAD = "Name: hostile\nVersion: 1\nRelease: 1\nSummary: .\nLicense: none\nBuildArch: noarch\n%description\n."


@pytest.fixture(scope="module")
def build_rpms(
    module_hosts: Callable[..., Host], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], dict[str, Path]]:
    """Build the sub-packages of package ``hostile``, of its %install and the rest; return them by their name."""

    def build(install: str, packages: str) -> dict[str, Path]:
        builder = module_hosts("build")
        spec = f"{_HEAD}\n%install\n{install}\n{packages}\n"
        builder.put(FileSpec("/tmp/hostile/hostile.spec", spec.encode()))
        define = ["--define", "_topdir /tmp/hostile", "--define", "__os_install_post %{nil}"]
        builder.call("rpmbuild", "--quiet", "-bb", *define, "/tmp/hostile/hostile.spec")
        folder = tmp_path_factory.mktemp("rpms")
        pack = ["tar", "-C", "/tmp/hostile/RPMS/noarch", "-cf", "-", "."]
        builder.run(Request(pack, stdout_to=folder / "all.tar"))
        builder.engine.runner.run(Request(["tar", "-C", str(folder), "-xf", str(folder / "all.tar")]))
        return {path.name.split("-")[1]: path for path in folder.glob("*.rpm")}

    return build


@pytest.fixture
def start_testbed(
    engine: Engine, images: PlatformImages, tmp_path: Path
) -> Callable[..., contextlib.AbstractContextManager[Testbed]]:
    """Start a testbed of two hosts without systemd, isolated as a run's: ``with start_testbed(Isolation())``."""

    @contextlib.contextmanager
    def start(isolation: Isolation, host_limits: HostLimits = HostLimits()) -> Iterator[Testbed]:  # noqa: B008
        file, short = tmp_path / "two.compose.yaml", secrets.token_hex(4)
        file.write_text(_COMPOSE)
        names = {"run": f"hostile-{short}", "short_id": short}
        testbed = Testbed(engine, find_topology(str(file)), **names, runs=tmp_path, host_limits=host_limits)
        try:
            prefix = testbed.create_network(isolation)
            testbed.up(["bare", "services"], {"bare": images.references["bare"]}, prefix, None, isolation)
            assert testbed.isolate(isolation).problem == ""
            yield testbed
        finally:
            testbed.down()

    return start


@pytest.fixture(scope="session")
def expected() -> SideEffects:
    """What installing packages may change on platform deb13."""
    return outside.side_effects(lookup.load_platform("deb13"))


@pytest.fixture(scope="session")
def look_at(
    images: PlatformImages, own_label: str, expected: SideEffects
) -> Callable[..., outside.Inspection]:
    """Look at a host from outside; these RPM files are the product's, and of them these NEVRAs are installed."""

    def look(host: Host, rpms: Sequence[Path], installed: Sequence[str] = ()) -> outside.Inspection:
        key, _, value = own_label.partition("=")
        checksums = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in rpms)
        served = outside.ServedChecksums(product=checksums)
        labels = {key: value}
        return outside.inspect(
            host, images.bare.id, served=served, expected=expected, labels=labels, installed=installed
        )

    return look


@pytest.fixture
def candidate(tmp_path: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a clone of pocketwms in which the tip of a branch was edited: ``candidate("broken/...", edit)``."""

    def make(branch: str, edit: Callable[[Path], None]) -> Path:
        product = shipped.folder("build_ws") / "products" / "pocketwms" / "history.yaml"
        made, runner, clone = embedded.make_repository(product, tmp_path / "history"), Runner(), tmp_path / "clone"
        runner.run(Request(["git", "clone", "--quiet", "--branch", branch, str(made), str(clone)]))
        edit(clone)
        author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
        runner.run(Request(["git", "-C", str(clone), "add", "--all"]))
        runner.run(Request(["git", "-C", str(clone), *author, "commit", "--quiet", "--message", "Be good"]))
        return clone

    return make
