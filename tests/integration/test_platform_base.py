"""A platform's first image: pulled from a registry or made from a mirror, also where those fail for a moment."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from itb.config.platform import Platform
from itb.containers.engine import Engine
from itb.containers.image_store import ImageStore
from itb.errors import TestbedError
from itb.platforms import base_image, images
from itb.platforms.stages import ImageBuild
from itb.process import retry
from itb.process.request import Request
from itb.process.runner import Runner

SETTINGS = {"mirror": "", "security": "", "suite": "trixie", "date": ""}


def small_image() -> dict[str, tuple[str, bytes]]:
    """What a registry has of an image with one file: type and content by what comes last in the path."""
    layer, text = io.BytesIO(), str(time.monotonic_ns()).encode()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    digest = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [digest]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    named = f"sha256:{hashlib.sha256(config).hexdigest()}"
    oci = "application/vnd.oci.image"
    parts = [(f"{oci}.config.v1+json", named, len(config)), (f"{oci}.layer.v1.tar", digest, len(layer.getvalue()))]
    first, second = ({"mediaType": kind, "digest": name, "size": size} for kind, name, size in parts)
    manifest = {"schemaVersion": 2, "config": first, "layers": [second]}
    return {
        "": ("application/json", b"{}"),
        "1": (f"{oci}.manifest.v1+json", json.dumps(manifest).encode()),
        named: ("application/octet-stream", config),
        digest: ("application/octet-stream", layer.getvalue()),
    }


class Server:
    """A registry or mirror on this machine; ``status`` is what it answers, 200 with what it has."""

    def __init__(self) -> None:
        self.status, self.asked = 200, 0
        has, server = small_image(), self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                kind, body = has.get(self.path.rpartition("/")[2], ("", b""))
                self.send_response(server.status if kind or server.status != 200 else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.http.server_address[1]}"
        self.image = f"{self.address}/small/image:1"


@pytest.fixture
def server() -> Iterator[Server]:
    new_server = Server()
    threading.Thread(target=new_server.http.serve_forever, daemon=True).start()
    yield new_server
    new_server.http.shutdown()
    new_server.http.server_close()


class Site:
    """A build whose base image comes from the server; ``notes`` holds its notes."""

    def __init__(self, engine: Engine, folder: Path, server: Server) -> None:
        self.notes: list[str] = []
        self.server = server
        registries = folder / "registries.conf"
        registries.write_text(f'[[registry]]\nlocation = "{server.address}"\ninsecure = true\n')
        self.runner = Runner()
        env = {**engine.env, "CONTAINERS_REGISTRIES_CONF": str(registries)}
        self.engine = Engine(self.runner, engine.program, env=env)
        self.folder, self.name = folder, f"base{secrets.token_hex(6)}"

    def build(self, *, debian: bool = False, **settings: str) -> ImageBuild:
        """Return a build of a platform with this base image."""
        bare = {"from": "base", "script": "bare.sh"}
        platform = Platform.model_validate(
            {
                "title": "t",
                "base": {"image": self.server.image, "debian": debian},
                "stages": {"bare": bare},
                "ce": {"packages": [], "configure": "condor.sh", "services": []},
                "name": self.name,
            }
        )
        return ImageBuild(platform, self.engine, settings, self.folder / "logs", self.folder / "lock", self.note)

    def note(self, text: str) -> None:
        """Record a note of the build; the server works again as soon as another try is announced."""
        self.notes.append(text)
        if "trying again" in text:
            self.server.status = 200


@pytest.fixture
def site(engine: Engine, server: Server, tmp_path: Path) -> Iterator[Site]:
    new_site = Site(engine, tmp_path, server)
    (tmp_path / "logs").mkdir()
    yield new_site
    engine.run(Request(["rmi", server.image], check=False))
    images.remove(engine, new_site.name, cache=tmp_path)
    assert not list(Path(tempfile.gettempdir()).glob(f"itb-scratch-{os.getpid()}-*"))


def test_a_pull_that_fails_for_a_moment_is_tried_again(site: Site) -> None:
    site.server.status = 503
    with retry.collect_causes() as again:
        image = base_image.obtain(site.build())
    assert image == ImageStore(site.engine).find_id(site.server.image) != ""
    assert len(again) == 1
    assert again[0].startswith("base: Error:")
    assert "503" in again[0]


@pytest.mark.parametrize(("status", "cause"), [(404, "manifest unknown|404"), (401, "unauthorized|auth")])
def test_a_pull_that_is_refused_is_not(site: Site, status: int, cause: str) -> None:
    site.server.status = status
    with retry.collect_causes() as again, pytest.raises(TestbedError, match=cause):
        base_image.obtain(site.build())
    assert again == []


def test_an_image_at_hand_is_taken_at_once(site: Site) -> None:
    image = base_image.obtain(site.build())
    site.server.status, site.server.asked = 503, 0
    with retry.collect_causes() as again:
        assert base_image.obtain(site.build()) == image
    assert again == []
    assert site.server.asked > 0, "a newer one would have been taken"


def test_without_a_registry_the_mirror_is_tried_at_once(site: Site) -> None:
    """And the mirror, which is the last there is, again and again."""
    site.server.status = 503
    site.runner.retries = 1
    mirror = f"http://{site.server.address}/debian"
    site.note = site.notes.append  # type: ignore[method-assign]  # it stays unwell
    build = site.build(debian=True, **{**SETTINGS, "mirror": mirror, "security": mirror})
    wanted = r"InRelease cannot be downloaded: 503"
    with retry.collect_causes() as again, pytest.raises(TestbedError, match=wanted) as caught:
        base_image.obtain(build)
    assert len(again) == 1, again
    assert "Failed to fetch" in again[0]
    assert "503" in caught.value.evidence
    assert caught.value.log is not None
    assert caught.value.log.read_text().count("using") == 2
