"""A product and a scenario out of templates: green at once, in silence, with reports where CI wants them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxml import etree

from itb.data import shipped


def test_what_is_new_works_at_once(itb: Callable[..., Any], tmp_path: Path) -> None:
    """Its RPMs are made by its build command, on a testbed without a Compute Entrypoint."""
    for command in (("product", "hello"), ("scenario", "mine", "--product", "hello")):
        assert itb("new", *command).code == 0
    done = itb(
        "run", "--product", "hello", "--scenario", "works,mine", "--fresh-build",
        "--progress", "quiet", "--report-dir", "reports",
    )  # fmt: skip
    assert (done.code, done.out, done.err) == (0, "", "")
    verdict = json.loads((tmp_path / "reports" / "verdict.json").read_text())
    assert verdict["exit_code"] == 0
    suites = etree.parse(tmp_path / "reports" / "junit.xml")
    etree.XMLSchema(etree.parse(shipped.folder("reports") / "junit.xsd")).assertValid(suites)
    names = {str(case.get("name")) for case in suites.iter("testcase")}
    assert {
        "works: the service says what it was configured to say",
        "mine: the product's packages are installed",
        "mine: all services are up",
    } <= names
    assert any(name.startswith("mine: logs and disk") and "no unit has failed" in name for name in names)
    assert not list(suites.iter("failure", "error"))
