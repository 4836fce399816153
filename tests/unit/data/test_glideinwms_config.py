"""GlideinWMS's XML edited as XML: what has to be set is, all else stays as shipped."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from itb.data import shipped as data_shipped

CE = "ce.example.org:9619"
FACTORY = "factory.example.org"
TOKEN = "/var/lib/example/ce.scitoken"

# Samples of our own, in the shapes of 3.9, 3.10 and 3.11: how credentials are
# selected, elements only some have, attributes only some have.
FACTORY_XML = """<!--
Licence of the file
-->

<glidein advertise_delay="5" factory_name="service" loop_delay="60" schedd_name="a,b@a">
   <security>
      <frontends><frontend name="vofrontend_service" identity="some@factory.example.org"/></frontends>
   </security>
   <entries>
      <!-- an example -->
      <entry name="TEST" enabled="False" gatekeeper="x y" gridtype="{gridtype}" rsl="(jobtype=single)">
         <config>
            <max_jobs>
               <per_entry held="1000" idle="4000" glideins="10000"/>
               <default_per_frontend held="100" idle="400" glideins="5000"/>
            </max_jobs>
         </config>
         <attrs>
            <attr name="CONDOR_OS" const="False" value="default"/>{site}
         </attrs>
      </entry>
      <entry name="OLD" enabled="False" gatekeeper="z" gridtype="gt2"><attrs/></entry>
   </entries>
   <condor_tarballs>
      <condor_tarball arch="default" base_dir="/usr" os="default" version="default"/>
   </condor_tarballs>{more}
</glidein>
"""
SITE = '\n            <attr name="GLIDEIN_Site" const="True" job_publish="True" type="string" value="SOME"/>'
FRONTEND_XML = """<frontend advertise_delay="5" frontend_name="NAME" loop_delay="60">
   <match match_expr="True">
      <factory query_expr='((stringListMember("<vo>", GLIDEIN_Supported_VOs)))'>
         <collectors>
            <collector DN="/CN=one" factory_identity="gfactory@one" my_identity="<username>@one" node="one"/>
            <collector DN="/CN=two" factory_identity="gfactory@two" my_identity="<username>@two" node="two"/>
         </collectors>
      </factory>
      <job query_expr="(JobUniverse==5)&amp;&amp;(Monitor =!= TRUE)"><schedds/></job>
   </match>
   <security classad_proxy="/tmp/proxy" proxy_DN="DN" proxy_selection_plugin="{plugin}" security_name="CHANGE">
      <credentials>
         <credential absfname="/tmp/proxy" security_class="frontend" trust_domain="grid" type="grid_proxy"/>
      </credentials>
   </security>
   <attrs>
      <attr name="GLIDECLIENT_Rank" glidein_publish="False" value="1"/>
   </attrs>
   <groups>
      <group name="main" enabled="True">
         <config>
            <running_glideins_per_entry max="10000" relative_to_queue="1.15"/>{more}
         </config>
      </group>
   </groups>
</frontend>
"""
SHAPES = [
    pytest.param({"gridtype": "gt2", "site": "", "more": ""}, {"plugin": "ProxyAll", "more": ""}, id="3.9"),
    pytest.param({"gridtype": "condor", "site": SITE, "more": ""}, {"plugin": "ProxyAll", "more": ""}, id="3.10"),
    pytest.param(
        {"gridtype": "condor", "site": SITE, "more": '\n   <cvmfsexec_distro sources="" platforms=""/>'},
        {"plugin": "CredentialsBasic", "more": '<partitionable_glidein min_memory="2500"/>'},
        id="3.11",
    ),
]
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Load one of the product's scripts as a host does: from its own folder."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(data_shipped.folder("build_ws") / "products" / "glideinwms"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def edited(load: Load, folder: Path, text: str, role: str) -> str:
    path = folder / "config.xml"
    path.write_text(text)
    file = load("xmlfile").XmlFile(str(path))
    if role == "factory":
        load("factory").edit(file, CE)
    else:
        load("frontend").edit(file, FACTORY, TOKEN)
    file.write()
    return path.read_text()


@pytest.mark.parametrize(("factory", "frontend"), SHAPES)
def test_factory(load: Load, tmp_path: Path, factory: dict[str, str], frontend: dict[str, str]) -> None:
    text = edited(load, tmp_path, FACTORY_XML.format(**factory), "factory")
    root = ElementTree.fromstring(text)
    (entry,) = root.findall("entries/entry")
    assert entry.get("gatekeeper") == "ce.example.org ce.example.org:9619"
    assert (entry.get("enabled"), entry.get("gridtype"), entry.get("rsl")) == ("True", "condor", None)
    assert (entry.get("auth_method"), entry.get("trust_domain")) == ("scitoken", "grid")
    sites = [item for item in entry.findall("attrs/attr") if item.get("name") == "GLIDEIN_Site"]
    assert [site.get("value") for site in sites] == ["itb"]
    assert sites[0].get("job_publish") == "True"
    assert [limit.get("glideins") for limit in entry.findall("config/max_jobs/*")] == ["3", "3"]
    assert root.get("schedd_name") == "a,b@a"
    assert "Licence of the file" in text
    assert "<!-- an example -->" in text


@pytest.mark.parametrize(("factory", "frontend"), SHAPES)
def test_frontend(load: Load, tmp_path: Path, factory: dict[str, str], frontend: dict[str, str]) -> None:
    root = ElementTree.fromstring(edited(load, tmp_path, FRONTEND_XML.format(**frontend), "frontend"))
    (collector,) = root.findall("match/factory/collectors/collector")
    assert collector.get("node") == FACTORY
    assert collector.get("my_identity") == "vofrontend_service@factory.example.org"
    (credential,) = root.findall("security/credentials/credential")
    assert (credential.get("absfname"), credential.get("type")) == (TOKEN, "scitoken")
    security = root.find("security")
    assert security is not None
    assert security.get("security_name") == "vofrontend_service"
    assert security.get("proxy_selection_plugin") == frontend["plugin"]
    job = root.find("match/job")
    assert job is not None
    assert job.get("query_expr") == "(JobUniverse==5)&&(Monitor =!= TRUE)"


def test_the_root_begins_a_line(load: Load, tmp_path: Path) -> None:
    # The start scripts grep for ^<frontend.
    text = edited(load, tmp_path, "<!-- a -->\n" + FRONTEND_XML.format(plugin="x", more=""), "frontend")
    assert "\n<frontend " in text


def test_tokens_are_selected_by_what_is_made_for_them(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 3.11.2 has the new selection and ships the old one; 3.10 has the old one only.
    cases = [
        ("ProxyAll", ("ProxyAll", "CredentialsBasic"), "CredentialsBasic"),
        ("ProxyAll", ("ProxyAll",), "ProxyAll"),
        ("CredentialsBasik", ("ProxyAll", "CredentialsBasic"), "CredentialsBasik"),
    ]
    for number, (shipped, offered, used) in enumerate(cases):
        path = tmp_path / f"{number}.xml"
        path.write_text(FRONTEND_XML.format(plugin=shipped, more=""))
        file = load("xmlfile").XmlFile(str(path))
        load("frontend").edit(file, FACTORY, TOKEN, offered)
        assert file.one("security").getAttribute("proxy_selection_plugin") == used
    assert capsys.readouterr().out.count("note: the shipped /etc/gwms-frontend/frontend.xml selects") == 1


def test_an_edit_twice_changes_nothing_more(load: Load, tmp_path: Path) -> None:
    once = edited(load, tmp_path, FRONTEND_XML.format(plugin="ProxyAll", more=""), "frontend")
    assert edited(load, tmp_path, once, "frontend") == once


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<glidein><entries></entries></glidein>", "config.xml: no <entry> in <entries>"),
        ("<glidein/>", "config.xml: no <entries> in <glidein>"),
        ("<glidein><entries>", "config.xml: not well-formed XML"),
    ],
)
def test_a_broken_shipped_file_is_named(load: Load, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        edited(load, tmp_path, text, "factory")


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (
            "Using\nTraceback (most recent call last):\n  F\nModuleNotFoundError: No module named 'x'\n[FAIL]",
            "ModuleNotFoundError: No module named 'x'",
        ),
        (
            "/usr/sbin/x: line 83: /etc/y: No such file or directory\n/usr/sbin/x: success: command not found",
            "/usr/sbin/x: line 83: /etc/y: No such file or directory",
        ),
        (
            'Traceback (most recent call last):\n  File "/a/b.py", line 7, in <module>\n    import c\n'
            '  File "/a/c.py", line 99\n    def (x):\n        ^\nSyntaxError: invalid syntax\n[FAIL]',
            "SyntaxError: invalid syntax (/a/c.py line 99)",
        ),
        ("Using\nUpgrading [FAILED]\n", "Upgrading [FAILED]"),
    ],
)
def test_the_cause_of_a_failed_command(load: Load, output: str, cause: str) -> None:
    assert load("host").cause(output) == cause
