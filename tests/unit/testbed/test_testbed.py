"""Compose files that make a testbed, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.testbed import testbed
from itb.testbed.topology import find_topology

SERVICE = """
services:
  ce:
    container_name: ${ITB_PROJECT}-ce
    hostname: ce.example.org
    labels: {itb.run: "${ITB_RUN}", itb.runs: "${ITB_RUNS}", itb.role: ce}
"""


def test_ours() -> None:
    stage = find_topology("three-hosts")
    assert stage.hosts["ce"] == "ce-workspace.glideinwms.org"
    assert {"services", "ce", "factory", "frontend"} <= set(stage.roles)
    assert "workspace" in stage.optional
    assert stage.file.is_absolute()


def test_testbed_that_extends_another() -> None:
    """It has the same roles, and a name of its own for one."""
    ours, base = find_topology("decisionengine"), find_topology("three-hosts")
    frontend = "decisionengine-workspace.glideinwms.org"
    assert ours.hosts == {**base.hosts, "frontend": frontend}
    assert ours.optional == base.optional
    assert ours.bases == (base.file,)
    assert base.bases == ()


def test_testbed_of_one_host() -> None:
    """Its host is another one than those of three-hosts, under no name of theirs, and nobody takes tokens."""
    topology, base = find_topology("one-host"), find_topology("three-hosts")
    assert topology.roles == ["bare", "server", "services", "workspace"]
    assert topology.optional == {"bare", "workspace"}
    assert topology.hosts["server"] not in base.hosts.values()


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("nothing.yaml", "extends needs a file and a service"),
        ("{service: ce}", "extends needs a file and a service"),
        ("{file: nothing.yaml, service: ce}", "extends {folder}/nothing.yaml, which is no file"),
        (
            "{file: base.yaml, service: ceh}",
            "extends 'ceh', which {folder}/base.yaml lacks; it has: ce, extending",
        ),
        ("{file: base.yaml, service: extending}", "extends 'extending', which extends another itself"),
    ],
)
def test_services_that_extend_nothing(tmp_path: Path, extends: str, message: str) -> None:
    (tmp_path / "base.yaml").write_text(SERVICE + "  extending: {extends: {file: x, service: y}}\n")
    path = tmp_path / "mine.yaml"
    path.write_text(f"services: {{ce: {{extends: {extends}}}}}")
    with pytest.raises(UsageError) as caught:
        find_topology(str(path))
    assert message.replace("{folder}", str(tmp_path)) in caught.value.message


def test_labels_are_added_to_those_extended(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(SERVICE)
    path = tmp_path / "mine.yaml"
    path.write_text(
        "services: {a: {extends: {file: base.yaml, service: ce}, container_name: '${ITB_PROJECT}-a',"
        " labels: {itb.role: a}, profiles: [a]},"
        " b: {extends: {file: base.yaml, service: ce}, container_name: '${ITB_PROJECT}-b', labels: {itb.role: b}}}"
    )
    topology = find_topology(str(path))
    assert topology.hosts == {"a": "ce.example.org", "b": "ce.example.org"}
    assert topology.optional == {"a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SERVICE.replace("itb.role: ce", ""), "service 'ce' needs a hostname and the label itb.role"),
        (SERVICE.replace("hostname", "host"), "service 'ce' needs a hostname"),
        (SERVICE.replace('itb.runs: "${ITB_RUNS}", ', ""), "service 'ce' needs the labels itb.run:"),
        (SERVICE.replace("${ITB_RUN}", "mine"), "service 'ce' needs the labels itb.run:"),
        (SERVICE.replace("  ce:", "  gate:"), "service 'gate' must be named as its role is, 'ce'"),
        (SERVICE.replace("container_name", "name"), "service 'ce' needs container_name: ${ITB_PROJECT}-ce"),
        (SERVICE.replace("${ITB_PROJECT}", "itb"), "service 'ce' needs container_name: ${ITB_PROJECT}-ce"),
        (SERVICE + "    profiles: [extra]\n", "service 'ce' needs profiles: [ce], or none"),
        (SERVICE + "    profiles: ce\n", "service 'ce' needs profiles: [ce], or none"),
        (SERVICE + "  ce: {}\n", "appears twice"),
        ("services: [a]", "services must be a mapping"),
        ("services: {ce: x}", "services must be a mapping"),
        ("services: {ce: {labels: [itb.role=ce], hostname: x}}", "labels must be a mapping"),
        ("just text", "services must be a mapping"),
        ("", "services must be a mapping"),
        ("services: {", "not valid YAML"),
        ("a: \x07", "not valid YAML"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.compose.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        find_topology(str(path))
    assert message in caught.value.message
    assert "mine.compose.yaml" in caught.value.message


def test_names_that_lead_nowhere() -> None:
    with pytest.raises(UsageError, match="unknown testbed 'three-host'; did you mean 'three-hosts'"):
        find_topology("three-host")
    with pytest.raises(UsageError, match="unknown testbed 'no/where'; known: "):
        find_topology("no/where")


def test_runs_do_not_share_hardware_addresses(tmp_path: Path) -> None:
    stage = find_topology("three-hosts")
    testbeds = [
        testbed.Testbed(None, stage, run="r", short_id=short, runs=tmp_path)  # type: ignore[arg-type]
        for short in ("01020304", "01020305")
    ]
    assert [each.mac_prefix for each in testbeds] == ["02:01:02:03:04", "02:01:02:03:05"]
    assert testbeds[0].labels == {"itb.run": "r", "itb.runs": str(tmp_path)}
    assert testbeds[0].host("ce").container == "itb-01020304-ce"
