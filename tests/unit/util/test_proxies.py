"""Proxies with a login stay on this machine; hosts get others for one call."""

from __future__ import annotations

import pytest

from itb.containers.engine import Engine
from itb.process.runner import Runner
from itb.util import proxies


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in proxies.NAMES:
        monkeypatch.delenv(name, raising=False)


def test_a_proxy_without_a_login_is_for_hosts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    exceptions = "localhost,.glideinwms.org"
    assert proxies.variables_for_candidate() == {
        "http_proxy": "http://proxy:3128", "no_proxy": exceptions, "NO_PROXY": exceptions,
    }  # fmt: skip
    assert set(proxies.variables()) == {"http_proxy", "HTTPS_PROXY", "no_proxy"}


@pytest.mark.parametrize("value", ["", "http://token@proxy:3128", "me:secret@proxy:3128"])
def test_a_proxy_with_a_login_is_not(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    if value:
        monkeypatch.setenv("http_proxy", value)
    monkeypatch.setenv("no_proxy", "localhost")
    assert proxies.variables_for_candidate() == {}
    assert proxies.have_login([f"http_proxy={value}"]) is bool(value)


def test_engines_give_containers_no_proxy() -> None:
    """Podman would take it from its environment, docker from its configuration."""
    assert Engine(Runner(), "podman").new_container == ("run", "--http-proxy=false")
    docker = Engine(Runner(), "docker").new_container
    assert {"--env=http_proxy=", "--env=HTTPS_PROXY="} <= set(docker)
