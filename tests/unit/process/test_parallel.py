"""What needs the same host goes one after the other, in order; what does not goes on at the same time."""

from __future__ import annotations

import threading

import pytest

from itb.errors import TestbedError
from itb.process.parallel import side_by_side

ROLES = {"upgrade": {"bare"}, "smoke": {"ce", "frontend"}, "used": {"frontend"}, "packages": {"bare", "frontend"}}


def test_those_with_nothing_in_common_meet() -> None:
    meeting = threading.Barrier(2, timeout=20)
    order: list[str] = []

    def work(name: str) -> None:
        if name in ("upgrade", "smoke"):
            meeting.wait()  # passes only if both run at the same time
        order.append(name)

    side_by_side(list(ROLES), ROLES.__getitem__, work)
    assert [name for name in order if name != "upgrade"] == ["smoke", "used", "packages"]
    assert order.index("upgrade") < order.index("packages")


def test_after_an_error_none_begins() -> None:
    done: list[str] = []

    def work(name: str) -> None:
        if name == "smoke":
            raise TestbedError("no host")
        done.append(name)

    with pytest.raises(TestbedError, match="no host"):
        side_by_side(["smoke", "used", "packages"], ROLES.__getitem__, work)
    assert done == []
