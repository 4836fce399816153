"""A token in the place of a URL's user: git gets it, and nobody reads it in the process list or a message."""

from __future__ import annotations

import base64
import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.process.result import CommandRecord
from itb.process.runner import Runner
from itb.source import git
from itb.source.origin import locate

TOKEN = "ghp_w1relockTangent7"


@contextmanager
def answering(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Let a handler answer by http; yields host and port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def served(folder: Path, login: str) -> Iterator[str]:
    """Serve a folder to whoever has the login; yields host and port."""
    expected = "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == expected:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with answering(functools.partial(Handler, directory=str(folder))) as address:
        yield address


@contextmanager
def leading(to: str) -> Iterator[str]:
    """Lead whoever asks to another server; yields host and port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://{to}{self.path}")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with answering(Handler) as address:
        yield address


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A bare repository of one commit, as it is served by http."""
    runner, path = Runner(), tmp_path / "x.git"
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    git.Git(runner).call("init", "--quiet", "--bare", str(path))
    own = git.Git(runner, path)
    tree = own.text("hash-object", "-t", "tree", "-w", "--stdin")
    commit = own.text(*author, "commit-tree", tree, "-m", "x")
    own.call("update-ref", "refs/heads/master", commit)
    own.call("symbolic-ref", "HEAD", "refs/heads/master")
    own.call("update-server-info")
    return path


def test_git_gets_the_token_and_no_command_line_has_it(repository: Path, tmp_path: Path) -> None:
    commands: list[CommandRecord] = []
    runner = Runner(record=commands.append)
    with served(repository.parent, f"{TOKEN}:") as place:
        clone, default = git.refresh(
            locate(f"http://{TOKEN}@{place}/x.git"), cache=tmp_path / "cache", runner=runner
        )
        assert default == "refs/heads/master"
        assert clone.text("rev-parse", "refs/heads/master")
        with pytest.raises(UsageError) as caught:
            git.refresh(locate(f"http://{TOKEN}x@{place}/x.git"), cache=tmp_path / "cache", runner=runner)
    assert any("fetch" in command.argv for command in commands)
    assert TOKEN not in f"{[command.argv for command in commands]}{caught.value.message}{caught.value.evidence}"
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize("login", [TOKEN, "someone:w1relockTangent7"])
def test_a_server_to_which_another_leads_does_not_get_the_login(
    repository: Path, tmp_path: Path, login: str
) -> None:
    """Who asks for it there, and would be answered, is not the server that the user gave it for."""
    with served(repository.parent, login if ":" in login else f"{login}:") as place:
        to = place.replace("127.0.0.1", "localhost")
        with leading(to) as first, pytest.raises(UsageError, match="may not be read"):
            git.refresh(locate(f"http://{login}@{first}/x.git"), cache=tmp_path / "cache", runner=Runner())
        with leading(place) as first, pytest.raises(UsageError):  # another port is another server
            git.refresh(locate(f"http://{login}@{first}/x.git"), cache=tmp_path / "cache", runner=Runner())
        assert git.refresh(locate(f"http://{login}@{place}/x.git"), cache=tmp_path / "cache", runner=Runner())
