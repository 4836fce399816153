"""What the process list shows of secrets that itb was given."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "planted-in-the-command-line-1"


def tree(root: int) -> Iterator[Path]:
    """/proc of a process and of all it has started."""
    yield Path(f"/proc/{root}")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        if parent == root:
            yield from tree(int(path.parent.name))


def seen(processes: list[Path], name: str) -> bytes:
    text = b""
    for process in processes:
        try:
            text += (process / name).read_bytes()
        except OSError:
            continue  # it has ended
    return text


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_a_password_of_the_source_is_in_no_process(by: str, tmp_path: Path) -> None:
    """git is let wait by a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://someone:{PASSWORD}@127.0.0.1:{server.getsockname()[1]}/x.git"
        argv = [sys.executable, "-m", "itb", "refs", "--product", "pocketwms"]
        env = {**os.environ, "ITB_CACHE": str(tmp_path), "BEARER_TOKEN": "planted-bearer-token"}
        argv, env = ([*argv, "--source", url], env) if by == "flag" else (argv, {**env, "ITB_SOURCE": url})
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, env=env, stdout=pipe, stderr=pipe, cwd=tmp_path) as process:
            try:
                server.settimeout(60)
                held, lines = [], b""
                while b"git-remote-http" not in lines:  # itb itself may look first whether somebody answers
                    held.append(server.accept())
                    processes = list(tree(process.pid))
                    lines = seen(processes, "cmdline")
                assert PASSWORD.encode() not in lines
                assert (b"someone:[redacted]@127.0.0.1" in lines) is (by == "flag")
                inherited = seen(processes[1:], "environ")
                assert b"planted-bearer-token" not in inherited
                assert url.encode() not in inherited
            finally:
                process.terminate()
                out, err = process.communicate(timeout=30)
    assert PASSWORD.encode() not in out + err
    assert (b"could be seen in the process list for a moment" in err) is (by == "flag")
