"""Records are frozen, know all of their keys, and come back from disk as they went."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from itb.model import Case, HostInfo, Outcome, Rpm, TestbedHosts


def test_nevra_as_dnf_prints_it() -> None:
    plain = Rpm(name="a-b", version="1.2", release="3.el9", arch="noarch", file="f", sha256="0", size=1)
    assert plain.nevra == "a-b-1.2-3.el9.noarch"
    assert plain.model_copy(update={"epoch": 2}).nevra == "a-b-2:1.2-3.el9.noarch"


def test_frozen_and_closed() -> None:
    case = Case(phase="p", role="r", name="n", outcome=Outcome.PASSED, started=1, seconds=2)
    with pytest.raises(ValidationError):
        case.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Case.model_validate({**case.model_dump(), "extra": 1})
    assert Case.model_validate_json(case.model_dump_json()) == case


def test_host_of_a_role() -> None:
    host = HostInfo(role="ce", container="c", fqdn="f", address="a", image="i", image_id="d")
    testbed = TestbedHosts(name="t", network="n", hosts=(host,))
    assert testbed.host("ce") is host
    with pytest.raises(KeyError):
        testbed.host("factory")
