"""A git server by https that leads to an address by http, where anybody on the way could change what comes."""

from __future__ import annotations

import functools
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from itb.errors import UsageError
from itb.process.request import Request
from itb.process.runner import Runner
from itb.source import git
from itb.source.origin import locate
from itb.testbed.certificates import RunCA


class _Leading(SimpleHTTPRequestHandler):
    """Leads every request to another server."""

    def __init__(self, *args: object, to: str) -> None:
        self.to = to
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Content-Length", "0")
        self.send_header("Location", self.to + self.path)
        self.end_headers()


@contextmanager
def serving(handler: Callable[..., SimpleHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a free port of this machine; yield the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for this machine that git believes."""
    certificate, key = RunCA.create(tmp_path, "test").issue("localhost", addresses=["127.0.0.1"])
    (tmp_path / "both.pem").write_bytes(certificate + key)
    (tmp_path / "ca.pem").write_bytes(RunCA.load(tmp_path).certificate_pem)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    return context


def test_source_by_https_is_not_read_by_http(tmp_path: Path, tls: ssl.SSLContext) -> None:
    folder, runner = tmp_path / "x", Runner()
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    for argv in (["init"], [*author, "commit", "--allow-empty", "--message", "x"], ["update-server-info"]):
        runner.run(Request(["git", "-C", str(tmp_path), *(["init", "x"] if argv == ["init"] else
                                                          ["-C", str(folder), *argv])]))  # fmt: skip
    files = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with serving(files) as http, serving(files, tls) as https:
        def read(address: str) -> str:
            return git.refresh(locate(f"{address}/x/.git"), cache=tmp_path / "cache", runner=runner)[1]

        assert read(http)
        assert read(https)
        with serving(functools.partial(_Leading, to=https), tls) as safe:
            assert read(safe)
        with serving(functools.partial(_Leading, to=http)) as plain:
            assert read(plain), "who asks for http gets http"
        leading = functools.partial(_Leading, to=http)
        with serving(leading, tls) as bad, pytest.raises(UsageError, match=r"may not be read: unable to access"):
            read(bad)
