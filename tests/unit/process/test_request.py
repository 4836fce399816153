"""A request is handed down as it is: what a layer adds is in a new one, and the far end is told all of it."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from itb.containers.engine import Engine
from itb.containers.host import Host
from itb.process import ssh
from itb.process.request import Request
from itb.process.result import CommandRecord, Completed
from itb.process.runner import MARK, Runner


class Door(Runner):
    """A runner that starts nothing and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def run(self, request: Request) -> Completed:
        self.requests.append(request)
        return Completed(tuple(request.logged_argv), 0, "", "", 0.1)


def test_request_does_not_change_with_the_list_it_was_made_of() -> None:
    words = ["ls"]
    request = Request(words)
    words.append("-l")
    assert request.argv == ("ls",)
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.timeout = 1  # type: ignore[misc]


def test_host_and_engine_add_their_part_and_keep_the_rest(tmp_path: Path) -> None:
    door = Door()
    host = Host(Engine(door, env={"CONTAINERS_CONF": "x"}), "itb-1-ce", "ce")
    request = Request(["id"], user="u", cwd="/w", env={"A": "b"}, timeout=5, log=tmp_path / "log", check=False)
    host.run(request)
    (asked,) = door.requests
    before, after = asked.argv[: asked.argv.index("itb-1-ce")], asked.argv[asked.argv.index("itb-1-ce") + 1 :]
    assert before[:8] == ("podman", "exec", "--user", "u", "--workdir", "/w", "--env", "A=b")
    assert before[9].startswith(f"{MARK}=")
    assert (after[0], after[-1]) == ("timeout", "id")
    assert (asked.timeout, asked.log, asked.host, asked.alias) == (5, tmp_path / "log", "ce", ("id",))
    assert asked.env == {"CONTAINERS_CONF": "x"}
    assert (request.argv, request.user, request.env) == (("id",), "u", {"A": "b"}), "what was handed down stays"


def test_script_gets_the_words_of_its_request() -> None:
    door = Door()
    Host(Engine(door), "c", "ce").script("echo", Request(["a b", "c"], about="say it"))
    (asked,) = door.requests
    assert asked.argv[-3:] == ("script", "a b", "c")
    assert (asked.input, asked.about) == (b"echo", "say it")
    assert "--interactive" in asked.argv


def test_host_runs_as_a_user_and_the_machine_does_not() -> None:
    with pytest.raises(AssertionError, match="only hosts have other users"):
        Runner().run(Request(["true"], user="nobody"))


def test_command_is_quoted_once_for_the_other_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[tuple[str, Sequence[str], Path]] = []

    class Session:
        """A session that has ended as soon as it is started."""

        status, stdout, stderr, error = 3, b"out", b"err", None

        def __init__(self, host: str, command: str, file: Path) -> None:
            sent.append((host, shlex.split(command), file))

        def start(self) -> None: ...

        def is_alive(self) -> bool:
            return False

        def hang_up(self) -> None: ...

    monkeypatch.setattr(ssh, "_Session", Session)
    told: list[CommandRecord] = []
    odd = ["python3", "-c", "a; 'b' $c", "/srv/a b; rm -rf /"]
    done = ssh.run(Request(odd, host="u@h", input=tmp_path / "f", alias=["x"]), Runner(record=told.append))
    assert sent == [("u@h", odd, tmp_path / "f")]
    assert (done.argv, done.returncode, done.stdout) == (("x",), 3, "out")
    assert [(line.host, line.argv) for line in told] == [("u@h", ("x",))]
