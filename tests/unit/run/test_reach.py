"""What hosts may reach, by what platform, product and user declare; tokens and warnings that depend on it."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable
from typing import Any

import pytest

from itb.config.product import TokenDelivery, Variant, with_variants
from itb.config.settings import Settings
from itb.containers import firewall
from itb.errors import TestbedError, TokenError
from itb.isolation import Isolation, OutsideIssuer, Server
from itb.model import Token
from itb.report.isolation_warnings import isolation_warnings
from itb.run import reach
from itb.run.cell import Cell
from itb.run.phases import token as phases_token
from itb.rundir import values

NewCell = Callable[..., Cell]


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(host: str, port: int, *_: object) -> list[Any]:
        if host.startswith("unknown"):
            raise socket.gaierror
        if host.startswith("dns-"):  # a name with these addresses
            return [(0, 0, 0, "", (address, port)) for address in host.removeprefix("dns-").split("-")]
        return [(0, 0, 0, "", (f"10.0.0.{len(host)}", port))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def reached(cell: Cell) -> tuple[bool, list[str]]:
    isolation = reach.declared(cell)
    return isolation.internet, [f"{server.name}:{server.port}" for server in isolation.servers]


def test_hosts_of_deb13_reach_each_other_only(new_cell: NewCell) -> None:
    cell = new_cell(Settings(platform_options={"deb13": {"mirror": "http://mirror.example.org/debian"}}))
    assert reached(cell) == (False, [])
    assert reach.declared(cell).description == "hosts reach each other and nothing else"


def test_a_declared_way_out(new_cell: NewCell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example.org:3128")
    monkeypatch.setenv("https_proxy", "http://me:secret@unused.example.org:1")
    cell = new_cell(Settings(platform_options={"deb13": {"mirror": "https://own.example.org/x"}}))
    platform = cell.platform.model_copy(update={"internet": True, "settings": {"mirror": "http://unused/"}})
    assert reached(dataclasses.replace(cell, platform=platform)) == (
        True, ["own.example.org:443", "proxy.example.org:3128"]
    )  # fmt: skip
    product = cell.product.model_copy(update={"variants": {"online": Variant(title="x", internet=True)}})
    assert reached(dataclasses.replace(cell, product=product))[0] is False
    assert reached(dataclasses.replace(cell, product=with_variants(product, ["online"])))[0] is True


def test_servers_that_the_user_has_named(new_cell: NewCell) -> None:
    cell = new_cell(Settings(from_repo="https://repo.example.org:8443/x", repo_key="https://unknown/key"))
    cell.rundir.save(values.OUTSIDE_ISSUER, OutsideIssuer(url="https://issuer.example.org/it"))
    assert reached(cell) == (False, ["issuer.example.org:443", "repo.example.org:8443"])


STRANGE = pytest.mark.parametrize(
    "answers",
    [
        "8.8.8.8-169.254.169.254-127.0.0.1-10.88.0.1", "8.8.8.8-10.88.0.1", "10.88.0.1-8.8.8.8",
        "8.8.8.8-100.64.0.1", "127.0.0.1", "127.1.2.3", "10.0.0.1-127.0.0.1", "169.254.169.254", "224.0.0.1",
        "0.0.0.0", "255.255.255.255",
    ],
)  # fmt: skip


@STRANGE
def test_names_that_lead_to_the_machine(new_cell: NewCell, answers: str) -> None:
    """Who answers for a repository's name had this machine's server and the cloud's metadata opened to hosts."""
    cell = new_cell(Settings(from_repo=f"https://dns-{answers}/x", repo_key="https://repo.example.org/key"))
    with pytest.raises(TestbedError, match=f"server dns-{answers}: its name leads to"):
        reach.declared(cell)
    with_issuer = new_cell(Settings())
    with_issuer.rundir.save(values.OUTSIDE_ISSUER, OutsideIssuer(url=f"https://dns-{answers}/it"))
    with pytest.raises(TestbedError, match=f"server dns-{answers}: its name leads to"):
        reach.declared(with_issuer)


@STRANGE
def test_mirrors_and_proxies_of_the_machine_itself(
    new_cell: NewCell, monkeypatch: pytest.MonkeyPatch, answers: str
) -> None:
    """Hosts do not need them."""
    monkeypatch.setenv("http_proxy", f"dns-{answers}:3128")
    cell = new_cell(Settings(platform_options={"deb13": {"mirror": f"http://dns-{answers}/debian"}}))
    platform = cell.platform.model_copy(update={"internet": True, "settings": {}})
    assert reached(dataclasses.replace(cell, platform=platform)) == (True, [])


@pytest.mark.parametrize("answers", ["10.1.0.1-10.1.0.2", "8.8.4.4-8.8.8.8", "192.168.1.1"])
def test_one_address_of_a_server_is_opened(new_cell: NewCell, answers: str) -> None:
    """It is the one that hosts know it by, at each of its ports."""
    name, first = f"dns-{answers}", answers.partition("-")[0]
    isolation = reach.declared(new_cell(Settings(from_repo=f"http://{name}/x", repo_key=f"https://{name}/key")))
    assert isolation.servers == (
        Server(name=name, address=first, port=80), Server(name=name, address=first, port=443)
    )  # fmt: skip
    assert isolation.names == (f"{name}:{first}",)


def test_a_token_of_value_is_not_given_to_hosts_that_reach_everything(
    new_cell: NewCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = TokenDelivery(role="frontend", path="/t")
    cell = new_cell(Settings(token_hook="file", token={"file": {"path": "/nothing"}}), token=delivery)
    monkeypatch.setattr(firewall, "why_impossible", lambda _: "nft is not installed")
    with pytest.raises(TokenError, match=r"no token of hook file for hosts .*: nft is not installed") as caught:
        phases_token.acquire_token(cell)
    assert "install nftables" in caught.value.hint
    assert phases_token.acquire_token(new_cell(Settings(), token=delivery)), "the run's own tokens are of no value"

    checked = phases_token.acquire_token(new_cell(Settings(), token=delivery))
    monkeypatch.setattr(cell.testbed, "is_isolated", lambda: False)
    with pytest.raises(TokenError, match="the packet filter of their network is not set"):
        phases_token.deliver_token(cell, checked)


def test_warnings_of_reports() -> None:
    assert isolation_warnings(None, None) == isolation_warnings(Isolation(), None) == ()
    (line,) = isolation_warnings(Isolation(problem="nft is not installed"), None)
    assert line.startswith("hosts were not kept from this machine and from other networks: nft is not installed; ")
    token = Token(
        provider="vault", issuer="i", subject="s", audience=("ce:9619",), scopes=(), issued=0, expires=1, jti="",
        verified=True,
    )  # fmt: skip
    assert isolation_warnings(None, token) == ()
    for audience in ("ANY", "https://wlcg.cern.ch/jwt/v1/any"):
        (line,) = isolation_warnings(None, token.model_copy(update={"audience": (audience,)}))
        assert line.startswith(f"the token of vault is good for any audience ({audience})")
