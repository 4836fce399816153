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
    made = json.loads(seccomp.without_keyrings(json.dumps(PROFILE)))
    assert made["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed, refused = made["syscalls"]
    assert allowed == {"names": ["kexec_load"], "action": "SCMP_ACT_ALLOW"}
    assert set(refused["names"]) == {"add_key", "keyctl", "request_key"}
    assert refused["action"] == "SCMP_ACT_ERRNO"


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
    told = {"HostConfig": {"SecurityOpt": ["seccomp=/tmp/somewhere/without-keyrings.json"]}}
    assert "security options seccomp=without-keyrings.json" in privileges_of(told)
