"""Building a platform's images: once, whole or not at all, and never again for the same content."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from itb.config import lookup
from itb.config.platform import Platform
from itb.containers import naming
from itb.containers.description import resource_name
from itb.containers.engine import Engine
from itb.containers.image_store import ImageStore
from itb.errors import InterruptedRunError, TestbedError
from itb.model import Image, PlatformImages
from itb.platforms import images as platforms_images
from itb.platforms import stages
from itb.process import retry
from itb.process.request import Request
from itb.process.runner import Runner
from itb.util import filelock

pytestmark = pytest.mark.long

DEFINITION = """
title: A platform in miniature
base: {image: BASE}
settings: {flavour: plain}
resolve: resolve.sh
stages:
  tools: {from: base, script: tools.sh}
  bare: {from: base, script: bare.sh, after: [tools]}
  build: {from: bare, script: more.sh}
  services: {from: bare, script: more.sh}
ce: {packages: [alpha, beta], configure: condor.sh, services: []}
"""
SCRIPTS = {
    "resolve.sh": "echo package-1.0; echo reading >&2",
    "tools.sh": "echo $ITB_FLAVOUR >/mnt/left && cat /mnt/resolved >>/mnt/left && touch /only-tools",
    "bare.sh": "cp /mnt/left /made && test ! -e /only-tools",
    "more.sh": "cat /made && touch /more",
    "ce.sh": "echo $ITB_CE_PACKAGES >/packages-of-ce",
}


class Yard:
    """A definition of the test's own, and the engine to build it with."""

    def __init__(self, engine: Engine, folder: Path, base: str) -> None:
        self.engine, self.folder, self.cache = engine, folder, folder.parent / "cache"
        folder.mkdir()
        (folder / "platform.yaml").write_text(DEFINITION.replace("BASE", base))
        for name, text in SCRIPTS.items():
            self.script(name, text)

    def script(self, name: str, text: str) -> None:
        """Write one of the definition's scripts."""
        (self.folder / name).write_text(f"#!/bin/bash\nset -euo pipefail\n{text}\n")

    @property
    def platform(self) -> Platform:
        """The definition as it is now."""
        return lookup.load_platform(str(self.folder))

    def ensure(self, *, engine: Engine | None = None, refresh: bool = False, **options: str) -> PlatformImages:
        """Build or find."""
        found = engine or self.engine
        return platforms_images.ensure(self.platform, found, cache=self.cache, options=options, refresh=refresh)

    def inside(self, image: Image, command: str) -> str:
        """What a command prints in a container of an image."""
        return self.engine.call("run", "--rm", image.id, "bash", "-c", command).stdout

    def images(self) -> list[str]:
        """Images of this definition but for the base, which has no key."""
        return [image.id for image in ImageStore(self.engine).of_platform(self.platform.name)]

    def leftovers(self) -> list[str]:
        """Containers and volumes of builds of this definition."""
        lock = str(stages.lock_file(self.platform.name))
        filters = naming.build_labels(lock)
        found = [str(item.get("Names")) for item in self.engine.containers(filters)]
        return found + [resource_name(item) for item in self.engine.volumes(filters)]


@pytest.fixture
def yard(
    engine: Engine, images: PlatformImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Yard]:
    """A platform in miniature on top of deb13's bare image; its own images go as the test ends."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    new_yard = Yard(engine, tmp_path / f"mini{os.getpid()}x{time.monotonic_ns() % 10**9}", images.bare.reference)
    yield new_yard
    platforms_images.remove(engine, new_yard.platform.name, cache=new_yard.cache)
    assert not new_yard.leftovers()
    assert not platforms_images.find_sets(engine, new_yard.platform.name)


def test_stages_build_on_each_other_and_the_same_content_is_found_with_one_call(yard: Yard) -> None:
    definition = yard.folder / "platform.yaml"
    definition.write_text(definition.read_text().replace("stages:", "stages:\n  ce: {from: bare, script: ce.sh}"))
    images = yard.ensure(flavour="sweet")
    calls = yard.engine.calls
    assert yard.ensure(flavour="sweet") == images
    assert yard.engine.calls - calls == 1
    assert yard.ensure(refresh=True, flavour="sweet") == images, "the mirror has nothing new"
    assert yard.inside(images.bare, "cat /made; ls /only-tools /more 2>/dev/null || :") == "sweet\npackage-1.0\n"
    assert yard.inside(images.build, "ls /more") == "/more\n"
    assert yard.inside(images.kinds["ce"], "cat /made /packages-of-ce") == "sweet\npackage-1.0\nalpha beta\n"
    config = yard.engine.call("image", "inspect", "--format", "{{json .Config}}", images.services.reference).stdout
    assert '"/usr/lib/systemd/systemd"' in config
    assert "ITB_FLAVOUR" not in config, "settings are the build's, not the host's"
    assert platforms_images.packages(yard.cache, images) == "package-1.0\n"
    assert [one.key for one in platforms_images.find_sets(yard.engine, yard.platform.name)] == [images.key]


def test_new_content_is_built_and_old_generations_go(yard: Yard) -> None:
    oldest = yard.ensure()
    assert oldest.ce is None
    assert oldest.references["ce"] == oldest.bare.reference, "installed there in every run"
    keys, of_mine = [oldest.key], f"localhost/{yard.platform.name}-of-mine:1"
    yard.engine.call("tag", somebodys_image(yard, oldest.bare), of_mine)
    yard.script("more.sh", "touch /more /and-more")
    keys.append(yard.ensure().key)
    yard.script("resolve.sh", "echo package-1.1")
    keys.append(yard.ensure().key)
    assert len(set(keys)) == 3
    assert {one.key for one in platforms_images.find_sets(yard.engine, yard.platform.name)} == set(keys[1:])
    yard.ensure(flavour="other")
    assert len(ImageStore(yard.engine).base_names(yard.platform.name)) <= 1
    platforms_images.remove(yard.engine, yard.platform.name, cache=yard.cache)
    assert ImageStore(yard.engine).find_id(of_mine), "somebody made it of one that is gone"
    yard.engine.call("rmi", of_mine)


def somebodys_image(yard: Yard, image: Image) -> str:
    """Return the id of an image without a name that somebody makes from one of a platform's."""
    container = yard.engine.call("create", image.reference, "true").stdout.strip()
    change = f"LABEL who=somebody{time.monotonic_ns()}"
    snapshot = yard.engine.call("commit", "--change", change, container).stdout.split()[-1]
    yard.engine.call("rm", container)
    return snapshot


def test_failing_stage_names_its_script_and_leaves_nothing(yard: Yard) -> None:
    yard.script("bare.sh", "echo on the way; echo 'no such package: x' >&2; exit 4")
    with pytest.raises(TestbedError, match=r"bare: bare\.sh: no such package: x") as caught:
        yard.ensure()
    assert caught.value.log is not None
    assert "on the way" in caught.value.log.read_text()
    yard.script("more.sh", "echo 'no such package: y' >&2; exit 4")
    yard.script("bare.sh", SCRIPTS["bare.sh"])
    with pytest.raises(TestbedError, match=r"more\.sh: no such package: y"):
        yard.ensure()
    assert not yard.leftovers()
    assert not yard.images()
    yard.script("more.sh", SCRIPTS["more.sh"])
    yard.ensure()


UNWELL = "E: Failed to fetch http://mirror/jq.deb  503  Service Unavailable [IP: 10.0.0.1 80]"


def test_stage_that_a_mirror_failed_begins_anew(yard: Yard) -> None:
    """In a fresh container; the volume keeps what it had left there."""
    fails_once = f"""
        test ! -e /half
        if [ ! -e /mnt/tried ]; then
            touch /mnt/tried /half
            echo "{UNWELL}" >&2
            exit 100
        fi"""
    yard.script("tools.sh", f"{fails_once}\n{SCRIPTS['tools.sh']}")
    yard.script("resolve.sh", f"{fails_once.replace('tried', 'resolved-once')}\necho package-1.0")
    with retry.collect_causes() as again:
        images = yard.ensure()
    assert again == [f"resolve: {UNWELL}", f"tools: {UNWELL}"]
    assert yard.inside(images.bare, "cat /made") == "plain\npackage-1.0\n"
    log = yard.cache / "platforms" / yard.platform.name / "tools.log"
    assert UNWELL in log.read_text(), "what was tried before is not forgotten"


def test_stage_that_no_second_try_helps_is_not_tried_again(yard: Yard) -> None:
    yard.script(
        "bare.sh", f"echo tried; echo '{UNWELL.replace('503  Service Unavailable', '404  Not Found')}' >&2; false"
    )
    with retry.collect_causes() as again, pytest.raises(TestbedError, match=r"http\S+ cannot be downloaded: 404"):
        yard.ensure()
    assert again == []
    yard.script("bare.sh", f"echo tried; echo '{UNWELL}' >&2; exit 100")
    wanted = r"http\S+ cannot be downloaded: 503"
    with retry.collect_causes() as again, pytest.raises(TestbedError, match=wanted) as caught:
        yard.ensure()
    assert len(again) == yard.engine.runner.retries
    assert caught.value.log is not None
    assert caught.value.log.read_text().count("tried") == 1 + len(again)
    assert not yard.leftovers()


def test_without_a_mirror_the_last_images_are_used(yard: Yard) -> None:
    # The same definition, but its mirror does not answer this time.
    proxy = Runner(env={"http_proxy": "http://127.0.0.1:9"})
    yard.script(
        "resolve.sh", 'if [ -n "${http_proxy:-}" ]; then echo "no route" >&2; exit 1; fi; echo package-1.0'
    )
    usual = yard.ensure()
    os.environ["http_proxy"] = "http://127.0.0.1:9"
    try:
        offline = yard.ensure(engine=Engine(proxy, yard.engine.program, env=yard.engine.env), refresh=True)
    finally:
        del os.environ["http_proxy"]
    assert offline.key == usual.key
    assert "no route" in offline.notice
    assert usual.notice == ""


def _in_background(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except (TestbedError, InterruptedRunError) as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def _wait_for(what: Callable[[], bool], *, within: float = 60) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_two_at_once_build_once(yard: Yard) -> None:
    yard.script("tools.sh", SCRIPTS["tools.sh"] + "\nsleep 1")
    pairs = [_in_background(yard.ensure) for _ in range(2)]
    for thread, _ in pairs:
        thread.join()
    (one,), (two,) = (results for _, results in pairs)
    assert one == two
    assert isinstance(one, PlatformImages)


def test_interrupted_build_cleans_up(yard: Yard) -> None:
    yard.script("tools.sh", "sleep 1000")
    engine = Engine(Runner(), yard.engine.program, env=yard.engine.env)
    thread, results = _in_background(lambda: yard.ensure(engine=engine))
    log = yard.cache / "platforms" / yard.platform.name / "tools.log"
    _wait_for(lambda: any("tools" in name for name in yard.leftovers()))
    engine.runner.stop.request()
    thread.join(120)
    assert isinstance(results[0], InterruptedRunError)
    assert not yard.leftovers()
    assert not log.exists() or log.read_text() == ""


def test_killed_build_is_swept_by_the_next(yard: Yard) -> None:
    yard.script("tools.sh", "sleep 1000")
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from itb.config import lookup
        from itb.containers.engine import Engine
        from itb.platforms import images
        from itb.process.runner import Runner
        found = Engine(Runner(), {yard.engine.program!r}, env={yard.engine.env!r})
        images.ensure(lookup.load_platform({str(yard.folder)!r}), found, cache=Path({str(yard.cache)!r}))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    try:
        _wait_for(lambda: any("tools" in name for name in yard.leftovers()))
        stages.remove_leftovers(yard.engine)
        assert yard.leftovers(), "it lives"
    finally:
        process.kill()
        process.wait()
    assert yard.leftovers(), "a killed process cannot clean up"
    assert platforms_images.find_sets(yard.engine, yard.platform.name) == []
    yard.script("tools.sh", SCRIPTS["tools.sh"])
    yard.ensure()
    assert not yard.leftovers()


def test_unfinished_images_are_found_and_missed_and_others_left_alone(yard: Yard) -> None:
    """Of a set without all its names nothing is of use; what somebody made from a set is theirs."""
    images, lock = yard.ensure(), stages.lock_file(yard.platform.name)
    assert not set(platforms_images.remove_unfinished(yard.engine)) & set(images.references.values())
    snapshot, named = somebodys_image(yard, images.bare), f"localhost/{yard.platform.name}-of-mine:1"
    yard.engine.call("tag", somebodys_image(yard, images.bare), named)
    yard.engine.call("untag", images.services.reference)  # as if killed while it was named
    try:
        assert platforms_images.find_sets(yard.engine, yard.platform.name) == []
        with filelock.hold(lock, threading.Event(), 60):
            platforms_images.remove_unfinished(yard.engine)
            assert ImageStore(yard.engine).find_id(images.build.reference), "its build goes on"
        gone = platforms_images.remove_unfinished(yard.engine)
        assert {images.services.id, images.build.reference} <= set(gone)
        assert ImageStore(yard.engine).find_id(named)
        assert yard.ensure().key == images.key
    finally:
        yard.engine.run(Request(["rmi", named, snapshot], check=False))
