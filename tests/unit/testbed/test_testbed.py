"""Compose files that make a testbed, and those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.testbed import testbed

SERVICE = """
services:
  ce:
    hostname: ce.example.org
    labels: {itb.run: "${ITB_RUN}", itb.runs: "${ITB_RUNS}", itb.role: ce}
"""


def test_ours() -> None:
    stage = testbed.find_topology("three-hosts")
    assert stage.hosts["ce"] == "ce-workspace.glideinwms.org"
    assert {"services", "ce", "factory", "frontend"} <= set(stage.roles)
    assert "workspace" in stage.optional
    assert stage.file.is_absolute()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SERVICE.replace("itb.role: ce", ""), "service 'ce' needs a hostname and the label itb.role"),
        (SERVICE.replace("hostname", "host"), "service 'ce' needs a hostname"),
        (SERVICE.replace('itb.runs: "${ITB_RUNS}", ', ""), "service 'ce' needs the labels itb.run:"),
        (SERVICE.replace("${ITB_RUN}", "mine"), "service 'ce' needs the labels itb.run:"),
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
        testbed.find_topology(str(path))
    assert message in caught.value.message
    assert "mine.compose.yaml" in caught.value.message


def test_names_that_lead_nowhere() -> None:
    with pytest.raises(UsageError, match="unknown testbed 'three-host'; did you mean 'three-hosts'"):
        testbed.find_topology("three-host")
    with pytest.raises(UsageError, match="unknown testbed 'no/where'; known: "):
        testbed.find_topology("no/where")


def test_runs_do_not_share_hardware_addresses(tmp_path: Path) -> None:
    stage = testbed.find_topology("three-hosts")
    testbeds = [
        testbed.Testbed(None, stage, run="r", short=short, runs=tmp_path)  # type: ignore[arg-type]
        for short in ("01020304", "01020305")
    ]
    assert [testbed.mac_prefix for testbed in testbeds] == ["02:01:02:03:04", "02:01:02:03:05"]
    assert testbeds[0].labels == {"itb.run": "r", "itb.runs": str(tmp_path)}
    assert testbeds[0].host("ce").container == "itb-01020304-ce"
