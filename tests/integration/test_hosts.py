"""Hosts that are real containers: commands, their limits, files there and back."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from itb.containers.host import FileSpec, Host
from itb.errors import TestbedError
from itb.process.request import Request
from itb.util.redact import MARK


@pytest.fixture
def place(shared_host: Host) -> Iterator[str]:
    """A directory on the shared host that goes as the test ends."""
    folder = shared_host.call("mktemp", "-d", "/tmp/itb test.XXXXXX").stdout.strip()
    yield folder
    shared_host.call("rm", "-rf", folder)


def test_command_as_it_is(shared_host: Host) -> None:
    odd = ["a b", "c'd", 'e"f', "$(id)", ";", "-x", "", "*", "ü\n"]
    assert shared_host.call("printf", "%s|", *odd).stdout == "|".join(odd) + "|"


def test_user_directory_environment_and_input(shared_host: Host) -> None:
    script = 'echo "$(id -un) $PWD $A"; cat'
    request = Request(["bash", "-c", script], user="nobody", cwd="/usr", env={"A": "x y"}, input=b"in")
    done = shared_host.run(request)
    assert done.stdout == "nobody /usr x y\nin"


def test_failure_names_the_host(shared_host: Host) -> None:
    with pytest.raises(TestbedError, match=r"^host bare: ls /nowhere: .*No such file") as caught:
        shared_host.call("ls", "/nowhere")
    assert "No such file" in caught.value.evidence
    with pytest.raises(TestbedError, match="host bare: look around: "):
        shared_host.run(Request(["ls", "/nowhere"], about="look around"))


def test_limit_holds_inside(shared_host: Host) -> None:
    began = time.monotonic()
    done = shared_host.run(Request(["sleep", "7777"], timeout=0.4, check=False))
    assert done.timed_out, "less than half a second is not 'no limit'"
    assert time.monotonic() - began < 60
    assert not shared_host.run(Request(["pgrep", "-f", "sleep 777[7]"], check=False)).stdout


def test_limit_holds_for_who_ignores_it(shared_host: Host) -> None:
    stubborn = 'trap "" TERM; while true; do sleep 0.2; done; : stubborn-7777'
    done = shared_host.run(Request(["bash", "-c", stubborn], timeout=1, check=False))
    assert done.timed_out
    assert "no end within" in done.reason
    assert not shared_host.run(Request(["pgrep", "-f", "stubborn-777[7]"], check=False)).stdout


@pytest.mark.parametrize("code", [124, 137])
def test_a_command_may_end_like_one_that_timed_out(shared_host: Host, code: int) -> None:
    done = shared_host.run(Request(["bash", "-c", f"exit {code}"], check=False))
    assert (done.returncode, done.timed_out) == (code, False)


def test_script_with_arguments(shared_host: Host, tmp_path: Path) -> None:
    (tmp_path / "my script.sh").write_text('echo "$#: $1|$2"; cat; read -r line || echo end')
    done = shared_host.script(tmp_path / "my script.sh", Request(["a b", "$x"]))
    assert done.stdout == "2: a b|$x\nend\n", "what reads standard input does not eat the script"


@pytest.mark.parametrize("text", ["false; echo later", "false | true; echo later", "echo $unset; echo later"])
def test_script_stops_at_the_first_failure(shared_host: Host, text: str) -> None:
    done = shared_host.script(text, Request(check=False))
    assert not done.ok
    assert "later" not in done.stdout


def test_script_failure_names_it(shared_host: Host, tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_text("true\necho why >&2\nexit 4\n")
    with pytest.raises(TestbedError, match=r"host bare: setup\.sh: why"):
        shared_host.script(tmp_path / "setup.sh")


def test_put_replaces_whole_files(shared_host: Host, place: str) -> None:
    path = f"{place}/deep/er/f'i l$e"
    shared_host.put(FileSpec(path, b"first, and longer"))
    shared_host.put(FileSpec(path, b"\0\xff\n", mode=0o640, owner="nobody:mail"), FileSpec(f"{place}/b", b""))
    seen = shared_host.call("stat", "-c", "%s %a %U:%G", path, f"{place}/b").stdout
    assert seen == "3 640 nobody:mail\n0 644 root:root\n"


def test_put_does_not_write_through_a_symbolic_link(shared_host: Host, place: str) -> None:
    shared_host.script('cd "$1"; echo old > target; ln -s target link', Request([place]))
    shared_host.put(FileSpec(f"{place}/link", b"new"))
    assert shared_host.get(f"{place}/target") == b"old\n"
    assert shared_host.get(f"{place}/link") == b"new"


def test_trees_and_files(shared_host: Host, place: str, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "x.sh").write_text("#!/bin/sh\n")
    (tmp_path / "tree" / "sub" / "x.sh").chmod(0o755)
    (tmp_path / "-odd name.rpm").write_text("r")
    shared_host.put_tree(tmp_path / "tree", f"{place}/copy")
    shared_host.put_into(f"{place}/made", tmp_path / "tree", tmp_path / "-odd name.rpm")
    seen = shared_host.call("find", place, "-type", "f", "-printf", "%P %m %u\n").stdout
    assert sorted(seen.splitlines()) == [
        "copy/sub/x.sh 755 root", "made/-odd name.rpm 644 root", "made/tree/sub/x.sh 755 root"
    ]  # fmt: skip


@pytest.mark.parametrize("umask", [0o077, 0o027, 0o000])
def test_other_users_of_a_host_read_what_is_put_there(
    shared_host: Host, place: str, tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "tree" / "sub").mkdir(parents=True)
        for name in ("file", "sub/program"):
            (tmp_path / "tree" / name).write_text("#!/bin/sh\necho said\n")
        (tmp_path / "tree" / "sub" / "program").chmod(0o777 & ~umask)
        (tmp_path / "tree" / "link").symlink_to("sub/program")
    finally:
        os.umask(before)
    shared_host.call("chmod", "755", place)
    shared_host.put_tree(tmp_path / "tree", f"{place}/a")
    shared_host.put_into(f"{place}/b", tmp_path / "tree" / "file", tmp_path / "tree")
    look = "cat file >&2; ./link; find . -not -type l -printf '%m %P\\n'"
    for folder in ("a", "b/tree"):
        seen = shared_host.run(Request(["bash", "-ec", look], user="nobody", cwd=f"{place}/{folder}")).stdout
        assert sorted(seen.splitlines()) == ["644 file", "755 ", "755 sub", "755 sub/program", "said"]
    stat = ["stat", "--format=%a %U", f"{place}/b", f"{place}/b/file"]
    assert shared_host.call(*stat).stdout.splitlines() == ["755 root", "644 root"]


def test_tree_over_a_tree(shared_host: Host, place: str, tmp_path: Path) -> None:
    """A platform's own files over those it shares; what runs and what a link leads to stay as they are."""
    for name, files in {"one": ("a", "b", "sub/c", "link"), "two": ("b", "sub/d", "link", "run")}.items():
        for file in files:
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    shared_host.put_tree(tmp_path / "one", f"{place}/copy")
    script = """
        cd "$1"
        echo old >target
        ln -sf ../target copy/link
        cp /usr/bin/sleep copy/run
        copy/run 60 &>/dev/null &
        until pgrep -f "copy/run 6[0]" >/dev/null; do sleep 0.05; done
    """
    shared_host.script(script, Request([place]))
    try:
        shared_host.put_tree(tmp_path / "two", f"{place}/copy")
        shared_host.put_into(f"{place}", tmp_path / "one")
        shared_host.put_into(f"{place}", tmp_path / "one")
    finally:
        shared_host.call("pkill", "-f", "copy/run 6[0]")
    seen = shared_host.script('cd "$1/copy"; grep --recursive . | sort; cat ../target', Request([place])).stdout
    assert seen.split() == ["a:one", "b:two", "link:two", "run:two", "sub/c:one", "sub/d:two", "old"]


def test_put_and_then(shared_host: Host, place: str, tmp_path: Path) -> None:
    script = 'read -r line || echo "nothing to read"; cat "$1"; false; echo later'
    request = Request([f"{place}/a"], about="prepare")
    with pytest.raises(TestbedError, match="host bare: prepare: ") as caught:
        shared_host.put(FileSpec(f"{place}/a", b"content\n"), then=script, request=request)
    assert caught.value.evidence == "nothing to read\ncontent"
    (tmp_path / "f").write_text("x")
    done = shared_host.put_into(f"{place}/in", tmp_path / "f", then='ls "$1"', request=Request([f"{place}/in"]))
    assert done.stdout == "f\n"


def test_get_is_redacted(shared_host: Host, place: str) -> None:
    shared_host.put(FileSpec(f"{place}/log", b"Authorization: Bearer abcdef\n"))
    assert shared_host.get(f"{place}/log") == f"Authorization: {MARK}\n".encode()
    with pytest.raises(TestbedError, match="read /nowhere"):
        shared_host.get("/nowhere")


def test_host_that_is_gone(engine: object, new_host: object) -> None:
    host: Host = new_host(boot=False)  # type: ignore[operator]
    assert host.is_running()
    host.engine.call("kill", host.container)
    assert not host.is_running()
    with pytest.raises(TestbedError, match=f"host bare: container {host.container} is not running"):
        host.call("true")


def test_host_that_dies_under_a_command(new_host: object) -> None:
    host: Host = new_host(boot=False)  # type: ignore[operator]
    threading.Timer(1, host.engine.call, ["kill", host.container]).start()
    with pytest.raises(TestbedError, match="is not running"):
        host.run(Request(["sleep", "60"], timeout=50))


def test_size_of_what_was_written_in_a_host(shared_host: Host) -> None:
    """On its own file system: what is mounted, such as /tmp, is none of it."""
    (before,) = shared_host.engine.own_sizes([shared_host.container])
    shared_host.script("head -c 20000000 /dev/urandom >/opt/large; sync")
    try:
        (after,) = shared_host.engine.own_sizes([shared_host.container])
    finally:
        shared_host.call("rm", "/opt/large")
    assert after - before > 15_000_000
    assert shared_host.engine.storage
