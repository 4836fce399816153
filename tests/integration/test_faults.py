"""Faults on one host, seen from outside: what is over its time, what a look at a host finds, a silent engine."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.data import shipped
from itb.errors import TestbedError
from itb.process import stop
from itb.process.limits import Limits
from itb.process.request import Request
from itb.process.runner import Runner

LOOK = (shipped.folder("build_ws") / "hosts" / "fault.sh").read_text()
STUBBORN = """
(setsid bash -c 'trap "" TERM; exec -a stubborn-one sleep 300' &)
(setsid setsid bash -c 'exec -a stubborn-two sleep 300' &)
env -u ITB_COMMAND bash -c 'exec -a stubborn-three sleep 300'
"""


def test_what_is_over_its_limit_ends_to_the_last_child_and_is_told(
    shared_host: Host, tmp_path: Path, limits_start_when: Callable[..., None]
) -> None:
    names = ("stubborn-one", "stubborn-two", "stubborn-three")
    limits_start_when(lambda: all(_runs(f"{name} 300") for name in names))
    argv = ["bash", "-c", f"echo so far so good\n{STUBBORN}"]
    done = shared_host.run(Request(argv, timeout=Limits().of(2, "step"), check=False, log=tmp_path / "log"))
    assert (done.timed_out, done.reason) == (True, "no end within 2 s (limit 'step')")
    for text in (done.output, (tmp_path / "log").read_text()):
        assert "so far so good" in text
        for name in names:
            assert name in text
    assert shared_host.run(Request(["pgrep", "--full", "stubborn[-]"], check=False)).stdout == ""


def test_local_command_over_its_limit_ends_to_the_last_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits_start_when: Callable[..., None]
) -> None:
    names = ("stubborn-one", "stubborn-two", "stubborn-three")
    limits_start_when(lambda: all(_runs(f"{name} 300", mark) for name in names))
    monkeypatch.setattr(stop, "GRACE", 0.2)
    mark = f"ITB_COMMAND={tmp_path.name}-{os.getpid()}"
    name, _, value = mark.partition("=")
    done = Runner().run(Request(
        ["bash", "-c", STUBBORN.replace("env -u ITB_COMMAND ", "")],
        env={name: value}, mark=mark, timeout=1.0, check=False,
    ))  # fmt: skip
    assert done.timed_out
    for word in names:
        assert word in done.processes
    left = [path for path in Path("/proc").glob("[0-9]*/environ") if _has(path, mark)]
    assert not left


def _runs(line: str, mark: str = "") -> bool:
    """True if there is a process of this command line that has this in its environment."""
    wanted = line.replace(" ", "\0").encode() + b"\0"
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cmdline").read_bytes() == wanted and (not mark or _has(path / "environ", mark)):
                return True
        except OSError:
            continue  # it has ended
    return False


def _has(path: Path, mark: str) -> bool:
    try:
        return mark.encode() in path.read_bytes()
    except OSError:
        return False


def test_look_at_a_host(new_host: Callable[..., Host]) -> None:
    host = new_host("bare", "--tmpfs", "/var/cache:rw,size=4m", boot=False)
    seen = host.script(LOOK, Request(["localhost"])).stdout.splitlines()
    assert [line for line in seen if not line.startswith("free ")] == []
    host.call("sh", "-c", "head -c 5000000 /dev/zero >/var/cache/all || true")
    seen = host.script(LOOK, Request(["nowhere.invalid", "localhost:1"])).stdout.splitlines()
    wrong = [line for line in seen if not line.startswith("free ")]
    assert [line.split()[:2] for line in wrong] == [
        ["full", "/var/cache"], ["unresolved", "nowhere.invalid"], ["unreachable", "localhost:1"]
    ]  # fmt: skip


def test_silent_engine_is_named_and_not_waited_for_again(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits_start_when: Callable[..., None]
) -> None:
    monkeypatch.setattr(stop, "GRACE", 0.2)
    seconds = 300 + secrets.randbelow(1_000_000)
    limits_start_when(lambda: _runs(f"sleep {seconds}"))
    program = tmp_path / "podman"
    program.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep {seconds}\n")
    program.chmod(0o755)
    limits = Limits(overrides={"engine": 1, "engine-again": 0.2})
    silent = Engine(Runner(limits=limits), str(program), env=engine.env)
    for limit in ("1 s (limit 'engine')", "0 s (limit 'engine-again')"):
        with pytest.raises(TestbedError) as caught:
            silent.containers({})
        assert f"container engine '{program}' does not answer: ps: no end within {limit}" in caught.value.message
        assert f"sleep {seconds}" in caught.value.evidence
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if _has(path, str(program))]
