"""The machine's proxy has a login: no host, and no image made behind it, gets it from the engine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from itb.containers.engine import Engine
from itb.containers.image_store import ImageStore
from itb.model import PlatformImages
from itb.process.request import Request
from itb.testbed.testbed import Testbed
from itb.testbed.topology import find_topology
from itb.util import known_secrets, proxies
from itb.util.redact import MARK, redact

LOGIN = "me:w1relock-Tangent7"
PROXY = f"http://{LOGIN}@127.0.0.1:9"

COMPOSE = """
services:
  bare:
    image: ${ITB_IMAGE_BARE}
    command: ["sleep", "infinity"]
    container_name: ${ITB_PROJECT}-bare
    hostname: bare.example.org
    labels: {itb.run: "${ITB_RUN}", itb.runs: "${ITB_RUNS}", itb.role: bare}
    networks: [testbed]
networks:
  testbed: {name: "${ITB_NETWORK}", external: true}
"""


@pytest.fixture(autouse=True)
def _behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in proxies.NAMES:
        monkeypatch.setenv(name, PROXY)


def environment(engine: Engine, container: str) -> str:
    """What the first process of a container and one that comes later have, and what the engine would give them."""
    read = Request(["exec", container, "sh", "-c", "cat /proc/1/environ; env"])
    return engine.run(read).stdout + json.dumps(engine.inspect(container)["Config"])


def test_a_host_of_a_testbed_has_no_proxy(engine: Engine, images: PlatformImages, tmp_path: Path) -> None:
    file, short = tmp_path / "one.compose.yaml", secrets.token_hex(4)
    file.write_text(COMPOSE)
    testbed = Testbed(engine, find_topology(str(file)), run=f"hostile-{short}", short_id=short, runs=tmp_path)
    try:
        hosts = testbed.up(["bare"], {"bare": images.references["bare"]}, testbed.create_network(), None)
        seen = environment(engine, hosts["bare"].container)
    finally:
        testbed.down()
    assert "PATH=" in seen
    assert "127.0.0.1:9" not in seen


@pytest.fixture
def commit(engine: Engine) -> Iterator[Callable[[str, str], str]]:
    """Make an image of a container, with a change: ``commit(container, "ENV a=b")``; returns its id."""
    made: list[str] = []

    def call(container: str, change: str) -> str:
        made.append(engine.call("commit", "--change", change, container).stdout.split()[-1])
        return made[-1]

    yield call
    for image in made:
        engine.call("rmi", "--force", image)


def test_an_image_that_is_made_behind_a_proxy_does_not_have_it(
    engine: Engine, images: PlatformImages, own_label: str, commit: Callable[[str, str], str]
) -> None:
    name, (key, _, value) = f"itb-test-{secrets.token_hex(4)}", own_label.partition("=")
    volume = f"{name}-volume"
    labels = {key: value}
    engine.create_volume(volume, labels)
    try:
        engine.start_idle(name, images.references["bare"], volume=volume, mount="/mnt", labels=labels)
        assert "127.0.0.1:9" not in environment(engine, name)
        clean, leaky = commit(name, "LABEL a=b"), commit(name, f"ENV https_proxy={PROXY}")
    finally:  # by name: the label is on the worker's shared hosts too
        engine.remove_containers(name, check=False)
        engine.call("volume", "rm", "--force", volume)
    store = ImageStore(engine)
    assert len(store.find_all([clean])) == 1
    assert not store.find_all([clean, leaky])  # made by an earlier version: it is made again


def test_a_command_in_a_container_of_its_own_has_no_proxy(engine: Engine, images: PlatformImages) -> None:
    assert "127.0.0.1:9" not in engine.run_once(images.bare.id, Request(["env"]), labels={}).stdout


def test_the_login_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_secrets, "_texts", set())
    monkeypatch.setenv("ALL_PROXY", "me:with0ut-a-scheme@proxy:3128")
    proxies.remember_logins()
    assert redact("w1relock-Tangent7 with0ut-a-scheme") == f"{MARK} {MARK}"
