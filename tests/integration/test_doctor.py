"""The doctor on this machine, and on servers that behave like others'."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from itb.config import lookup
from itb.config.settings import Settings
from itb.containers import naming
from itb.containers.engine import Engine
from itb.machine import doctor, network
from itb.machine.requirements import Finding, Level

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Factory of mirrors: their status and how many seconds their clocks are ahead."""
    servers: list[ThreadingHTTPServer] = []

    def make(*, status: int = 200, ahead: float = 0, silent: bool = False) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if silent:
                    time.sleep(network.TIMEOUT + 1)
                    return
                self.send_response_only(status)
                self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/debian"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def look(mirror: str, *, images_there: bool = False) -> dict[str, Finding]:
    examined = network.examine(lookup.load_platform("deb13"), {"mirror": mirror}, images_there=images_there)
    return {item.name.removeprefix("deb13: "): item for item in examined}


def test_mirror_that_answers(serve: Serve) -> None:
    examined = look(serve())
    assert examined["mirror"].level is Level.OK
    assert examined["clock"].level is Level.OK


def test_clock_that_is_wrong(serve: Serve) -> None:
    examined = look(serve(ahead=600))["clock"]
    if examined.level is Level.OK:
        pytest.skip("a registry answers here too, and its clock is right")
    assert examined.level is Level.BAD
    assert "s behind the servers'" in examined.observation


@pytest.mark.parametrize(
    ("mirror", "words"),
    [
        ("http://no-such-host.invalid/debian", "the name no-such-host.invalid is not known"),
        ("http://127.0.0.1:9/debian", "no connection"),
    ],
)
def test_mirror_that_is_not_there(mirror: str, words: str) -> None:
    assert look(mirror)["mirror"].level is Level.BAD
    later = look(mirror, images_there=True)["mirror"]
    assert later.level is Level.WARN
    assert words in later.observation
    assert later.remedy


def test_mirror_that_is_ill(serve: Serve) -> None:
    assert "HTTP status 503" in look(serve(status=503))["mirror"].observation
    assert "no answer within" in look(serve(silent=True))["mirror"].observation


def test_no_engine(tmp_path: Any, serve: Serve) -> None:
    settings = Settings(engine="no-such-engine", platform_options={"deb13": {"mirror": serve()}})
    examined = {item.name: item for item in doctor.examine(settings)}
    assert examined["engine"].level is Level.BAD
    assert "podman" in examined["engine"].remedy
    assert doctor.exit_code(list(examined.values())) == 5


def test_unknown_platform(engine: Engine) -> None:
    examined = {item.name: item for item in doctor.examine(Settings(platform=("deb31",)))}
    assert "did you mean 'deb13'" in examined["platform deb31"].observation


def test_this_machine_from_top_to_bottom(itb: Any, images: Any, engine: Engine) -> None:
    """With containers that boot and find each other; nothing of them stays."""
    ended = itb("doctor", "--deep", "--json")
    findings = {item["name"]: item for item in json.loads(ended.out)}
    # Runs of other tests may use up most of the inotify instances meanwhile, which is no mistake of this test.
    bad = [name for name, finding in findings.items() if finding["level"] == "bad"]
    assert bad in ([], ["inotify"]), ended.out
    assert ended.code == (5 if bad else 0), ended.out
    assert findings["systemd"]["level"] == "ok"
    assert findings["network"]["level"] == "ok"
    left = engine.containers(naming.any_run())
    assert not [item for item in left if "doctor" in json.dumps(item.get("Names", ""))]
