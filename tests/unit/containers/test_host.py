"""What an error of a host says of where it happened."""

from __future__ import annotations

import pytest

from itb.containers.engine import Engine
from itb.containers.host import FileSpec, Host
from itb.errors import InstallError, TestbedError
from itb.process.request import Request
from itb.process.result import Completed
from itb.process.runner import Runner


@pytest.mark.parametrize("is_engines", [True, False])
def test_error_of_a_command_has_the_role_of_its_host(monkeypatch: pytest.MonkeyPatch, is_engines: bool) -> None:
    """Also outside of a case, and as whatever error it is told in the end."""

    def run(_engine: Engine, request: Request) -> Completed:
        if is_engines:
            raise TestbedError("no answer")
        return Completed(tuple(request.argv), 2, "", "tar: x: Cannot open: File exists\n", 0.1)

    monkeypatch.setattr(Engine, "run", run)
    host = Host(Engine(Runner()), "c", "factory")
    with pytest.raises(TestbedError) as caught:
        host.put(FileSpec("/etc/yum.repos.d/itb-previous.repo"))
    assert caught.value.role == "factory"
    assert caught.value.turned_into(InstallError, "x").role == "factory"
