"""The filter of system calls that hosts get: the engine's, without the kernel's keyrings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from itb.containers import seccomp
from itb.containers.description import privileges_of, syscall_filter_of

PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [
        {"names": ["kexec_load", "keyctl"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["request_key"], "action": "SCMP_ACT_ALLOW"},
    ],
}


def test_what_the_engine_allows_stays_but_the_keyrings() -> None:
    made = json.loads(seccomp.narrow(json.dumps(PROFILE)))
    assert made["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed, refused, old_call = made["syscalls"]
    assert allowed == {"names": ["kexec_load"], "action": "SCMP_ACT_ALLOW"}
    assert set(refused["names"]) == {"add_key", "keyctl", "request_key"}
    assert refused["action"] == old_call["action"] == "SCMP_ACT_ERRNO"
    assert old_call["names"] == ["socketcall"]


NOT_AUDIT = {"index": 2, "value": 9, "op": "SCMP_CMP_NE"}
NOT_NETLINK = {"index": 0, "value": 16, "op": "SCMP_CMP_NE"}


@pytest.mark.parametrize(
    ("conditions", "families", "others"),
    [
        (None, [1, 2, 10, 16, 17], []),
        ([], [1, 2, 10, 16, 17], []),
        ([NOT_AUDIT], [1, 2, 10, 16, 17], [NOT_AUDIT]),
        ([NOT_NETLINK], [1, 2, 10, 17], []),
        ([NOT_NETLINK, NOT_AUDIT], [1, 2, 10, 17], [NOT_AUDIT]),
        ([{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}], [], []),
        ([{"index": 0, "value": 99, "op": "SCMP_CMP_LT"}], [], []),
    ],
)
def test_sockets_are_of_families_that_a_network_namespace_holds(
    conditions: list[dict[str, object]] | None, families: list[int], others: list[dict[str, object]]
) -> None:
    """AF_VSOCK is not: it leads to the machine."""
    rule = {"names": ["sendto", "socket", "socketcall"], "action": "SCMP_ACT_ALLOW", "args": conditions}
    rules = json.loads(seccomp.narrow(json.dumps({"syscalls": [rule, rule]})))["syscalls"]
    assert [old["names"] for old in rules[:2]] == [["sendto"], ["sendto"]]
    sockets = [rule["args"] for rule in rules if rule["names"] == ["socket"]]
    assert [args[0]["value"] for args in sockets] == families, "each once"
    assert all(args[0]["op"] == "SCMP_CMP_EQ" and args[1:] == others for args in sockets)


def test_what_the_engine_refuses_of_sockets_is_refused() -> None:
    audit = {"index": 2, "value": 9, "op": "SCMP_CMP_EQ"}
    rule = {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [audit]}
    rules = json.loads(seccomp.narrow(json.dumps({"syscalls": [rule]})))["syscalls"]
    assert rule in rules


def test_a_filter_that_cannot_be_read_is_left_to_the_engine(tmp_path: Path) -> None:
    assert seccomp.write(tmp_path / "none", tmp_path / "made") is None


@pytest.mark.parametrize(
    ("security", "path"),
    [
        ({"seccompEnabled": True, "seccompProfilePath": "/a/b.json"}, Path("/a/b.json")),
        ({"seccompEnabled": False, "seccompProfilePath": "/a/b.json"}, None),
        ({"seccompEnabled": True, "seccompProfilePath": ""}, None),
        ({"seccompEnabled": True, "seccompProfilePath": "unconfined"}, None),
    ],
)
def test_where_the_engine_says_its_filter_is(security: dict[str, object], path: Path | None) -> None:
    assert syscall_filter_of({"host": {"security": security}}) == path
    assert syscall_filter_of({"SecurityOptions": ["name=seccomp"]}) is None


def test_reports_of_two_runs_name_the_filter_alike() -> None:
    told = {"HostConfig": {"SecurityOpt": ["seccomp=/tmp/somewhere/narrowed-filter.json"]}}
    assert "security options seccomp=narrowed-filter.json" in privileges_of(told)
