"""Records are frozen, know all of their keys, and come back from disk as they went."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from itb.model import Case, Commit, CommitKind, HostInfo, Outcome, Rpm, TestbedHosts


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
    testbed_hosts = TestbedHosts(name="t", network="n", hosts=(host,))
    assert testbed_hosts.host("ce") is host
    with pytest.raises(KeyError):
        testbed_hosts.host("factory")


ID = "a1" * 20


@pytest.mark.parametrize(
    ("source", "ref", "scheme"),
    [
        ("git://example.org/x.git", "v1", "git"),
        ("http://example.org/x.git", "v1", "http"),
        ("HTTP://[2001:db8::1]/x.git", "v1", "http"),
        ("http://localhost.example.org/x.git", "v1", "http"),
        ("http://example.org/x.git", ID[:12], "http"),
        ("http://example.org/x.git", ID.upper(), ""),  # what comes has this id, or git refuses it
        ("http://localhost:8000/x.git", "v1", ""),
        ("http://127.0.0.2/x.git", "v1", ""),
        ("http://[::1]/x.git", "v1", ""),
        ("https://example.org/x.git", "v1", ""),
        ("ssh://git@example.org/x.git", "v1", ""),
        ("git@example.org:x.git", "v1", ""),
        ("file:///srv/x.git", "v1", ""),
        ("/srv/x.git", "v1", ""),
    ],
)
def test_source_that_anybody_on_the_way_could_have_changed(source: str, ref: str, scheme: str) -> None:
    commit = Commit(
        product="p", source=source, ref=ref, kind=CommitKind.TAG, id=ID, tree=ID, date="2026-11-20", subject="s",
        version="1",
    )  # fmt: skip
    assert commit.open_transport == scheme
    assert not commit.model_copy(update={"kind": CommitKind.PUBLISHED}).open_transport
