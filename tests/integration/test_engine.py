"""The engine itself: what it makes carries labels, is found by them, and goes by them."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterator

import pytest

from itb.containers import naming
from itb.containers.description import resource_name
from itb.containers.engine import Engine
from itb.containers.image_store import ImageStore
from itb.errors import TestbedError
from itb.model import PlatformImages


@pytest.fixture
def labels(engine: Engine, own_label: str) -> Iterator[dict[str, str]]:
    """Labels of a run of the test's own, whose folder has an odd name."""
    key, _, value = own_label.partition("=")
    all_labels = {**naming.run_labels(f"test-{secrets.token_hex(4)}", '/no where/ü, "$x"'), key: value}
    yield all_labels
    engine.remove_labelled(naming.run_labels(naming.run_of(all_labels)[0]))


def test_network_and_hosts_of_a_run(engine: Engine, images: PlatformImages, labels: dict[str, str]) -> None:
    name = f"itb-{naming.run_of(labels)[0]}"
    subnet = ipaddress.ip_network(engine.create_network(name, labels))
    assert subnet.version == 4
    options = [option for key, value in labels.items() for option in ("--label", f"{key}={value}")]
    where = ("--name", name, "--network", name)
    engine.call("run", "--detach", *where, *options, images.bare.reference, "sleep", "600")
    assert ipaddress.ip_address(engine.inspect(name)["NetworkSettings"]["Networks"][name]["IPAddress"]) in subnet
    assert len(engine.containers(labels)) == 1
    assert [resource_name(item) for item in engine.networks(labels)] == [name]
    assert not engine.containers({**labels, **naming.runs_labels("/elsewhere")})
    assert engine.remove_labelled(labels) == [f"container {name}", f"network {name}"]
    assert engine.remove_labelled(labels) == [], "what is gone is no failure"
    assert engine.inspect(name) == {}


def test_network_that_is_there_already(engine: Engine, labels: dict[str, str]) -> None:
    name = f"itb-{naming.run_of(labels)[0]}"
    engine.create_network(name, labels)
    with pytest.raises(TestbedError, match=f"{name}.*already"):
        engine.create_network(name, labels)


def test_what_is_not_there(engine: Engine) -> None:
    assert ImageStore(engine).find_id("localhost/no/such:image") == ""
    assert engine.inspect("no-such-container") == {}


def test_ids_of_images(engine: Engine, images: PlatformImages) -> None:
    assert ImageStore(engine).find_id(images.bare.reference) == images.bare.id
    assert len(images.bare.id) == 64
