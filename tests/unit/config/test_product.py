"""Variants of a product: what they change, and that those we ship are sound."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from itb.config import lookup
from itb.config.settings import Settings
from itb.data import shipped as data_shipped
from itb.errors import UsageError
from itb.run import assemble
from itb.testbed.topology import find_topology

XML = """<frontend loop_delay="60" frontend_name="NAME">
   <match match_expr="True"><factory query_expr="True"><match_attrs/><collectors>
      <collector node="one" DN="/CN=one" factory_identity="g@one" my_identity="v@one"/>
   </collectors></factory></match>
   <security security_name="s"><credentials><credential absfname="/x" type="grid_proxy"/></credentials></security>
   <attrs><attr name="Rank" value="1" type="string"/></attrs>
   <groups><group name="main" enabled="True"><attrs/><security><credentials/></security></group></groups>
</frontend>
"""
FACTORY_XML = '<glidein><entries><entry name="ITB_CE"><attrs/></entry></entries></glidein>'


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """GlideinWMS's configuration scripts can be imported, as they can on a host."""
    monkeypatch.syspath_prepend(str(data_shipped.folder("build_ws") / "products" / "glideinwms"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


def shipped() -> list[tuple[str, str]]:
    folder = data_shipped.folder("build_ws") / "products"
    names = [path.parent.name for path in folder.glob("*/product.yaml")]
    return [(name, variant) for name in names for variant in lookup.load_product(name).variants]


@pytest.mark.parametrize(("name", "variant"), shipped())
def test_variants_of_ours(name: str, variant: str) -> None:
    """Every role is in the topology, every scenario finds the roles it uses, tokens go where a role is."""
    changed = assemble.load_product(Settings(product=name, variant=(variant,)))
    topology = find_topology(changed.testbed)
    assert set(changed.roles) <= set(topology.hosts)
    for scenario in changed.scenarios:
        assert set(lookup.load_scenario(scenario).roles) <= set(topology.hosts)
    assert not changed.variants[variant].tested, "a variant says that it was run only when it was"
    for id_token in changed.id_tokens:
        assert id_token.identity.partition("@")[2] in topology.hosts.values()


def test_there_are_variants() -> None:
    assert ("glideinwms", "logserver") in shipped()
    assert ("glideinwms", "decisionengine") in shipped()


def test_what_a_variant_adds() -> None:
    plain = assemble.load_product(Settings(product="glideinwms"))
    more = assemble.load_product(Settings(product="glideinwms", variant=("logserver",)))
    assert more.roles["factory"].packages == (*plain.roles["factory"].packages, "glideinwms-logserver")
    assert more.roles["factory"].services[-1] == "php-fpm"
    assert more.roles["factory"].probes == plain.roles["factory"].probes
    assert more.roles["frontend"] == plain.roles["frontend"]
    assert more.token == plain.token


def test_what_a_variant_replaces() -> None:
    other = assemble.load_product(Settings(product="glideinwms", variant=("decisionengine",)))
    role = other.roles["frontend"]
    assert role.packages[0] == "decisionengine-onenode"
    assert role.repositories == ("osg-development",)
    assert "gwms-frontend" not in role.services
    assert find_topology(other.testbed).hosts["frontend"] == "decisionengine-workspace.glideinwms.org"
    both = assemble.load_product(Settings(product="glideinwms", variant=("decisionengine", "logserver")))
    assert both.roles["frontend"] == role
    assert "glideinwms-logserver" in both.roles["factory"].packages


def test_no_such_variant() -> None:
    with pytest.raises(UsageError, match="has no variant 'logserve'; did you mean 'logserver'"):
        assemble.load_product(Settings(product="glideinwms", variant=("logserve",)))
    with pytest.raises(UsageError, match="pocketwms has no variant 'logserver'; known: none"):
        assemble.load_product(Settings(product="pocketwms", variant=("logserver",)))


@pytest.mark.usefixtures("product")
def test_glideins_are_told_of_the_log_server(tmp_path: Path) -> None:
    path = tmp_path / "glideinWMS.xml"
    path.write_text(FACTORY_XML)
    file = load("xmlfile").XmlFile(str(path))
    load("factory_logserver").send_logs(file, "factory.example.org")
    assert 'value="https://factory.example.org/logserver/put.php"' in file.text()
    assert 'name="GLIDEIN_LOG_RECIPIENTS_FACTORY"' in file.text()


@pytest.mark.usefixtures("product")
def test_decision_engine_is_told_what_the_shipped_file_says(tmp_path: Path) -> None:
    path = tmp_path / "frontend.xml"
    path.write_text(XML)
    file = load("xmlfile").XmlFile(str(path))
    load("frontend").edit(file, "factory.example.org", "/t/ce.scitoken")
    configuration = load("decisionengine").as_object(file.root)
    assert configuration["loop_delay"] == "10"
    assert configuration["match"]["factory"]["collectors"][0]["node"] == "factory.example.org"
    assert configuration["security"]["credentials"][0]["absfname"] == "/t/ce.scitoken"
    assert configuration["attrs"]["Rank"] == {"value": "1", "type": "string"}
    assert configuration["attrs"]["GLIDEIN_Singularity_Use"]["value"] == "NEVER"
    assert configuration["groups"]["main"]["security"]["credentials"] == {}
    json.dumps(configuration)


@pytest.mark.usefixtures("product")
def test_channel_of_the_decision_engine() -> None:
    """Every action and fact of its rules exists, and all modules are named."""
    channel = load("decisionengine").channel("de.example.org", "factory.example.org", "main")
    engine = channel["logicengines"]["logicengine1"]["parameters"]
    for rule in engine["rules"].values():
        assert set(rule["actions"]) <= set(channel["publishers"])
        assert rule["expression"].strip("()") in engine["facts"]
    for kind in ("sources", "transforms", "publishers"):
        assert all(module["module"].startswith("decisionengine") for module in channel[kind].values())
    json.dumps(channel)
