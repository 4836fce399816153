"""Making the folder of tools for the hosts of a platform (``itb/containers/tools.py`` says what they are for)."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from itb.containers import naming, tools
from itb.containers.archive import ArchiveError, Bounds, receive_tree
from itb.containers.engine import Engine
from itb.data import shipped
from itb.errors import TestbedError
from itb.model import PlatformImages
from itb.platforms import stages
from itb.process.request import Request
from itb.util import filelock, ownership

_PREFIX = "tools-"
_BOUNDS = Bounds(total=256 << 20, file=64 << 20, members=1000)  # deb13's have some 20 MB


def ensure(images: PlatformImages, engine: Engine, *, cache: Path) -> Path:
    """Return the folder with the tools from a platform's bare image; make it if it does not exist.

    Raises TestbedError if the programs cannot be copied from the image.
    """
    script = (shipped.folder("build_ws") / "hosts" / "tools.py").read_text(encoding="utf-8")
    version = hashlib.sha256("\0".join([script, tools.FOLDER, *tools.NAMES]).encode()).hexdigest()[:8]
    folder = _tools_folder(cache, images.platform) / f"{_PREFIX}{images.key}-{version}"
    lock = stages.lock_file(images.platform)
    if not folder.is_dir():
        with filelock.hold(lock, engine.runner.stop.event, engine.runner.limits("wait-for-build")):
            if not folder.is_dir():  # the process that held the lock has not made it
                _make(folder, images, engine, script, naming.build_labels(lock))
    ownership.check_tree(folder)
    return folder


def _tools_folder(cache: Path, platform: str) -> Path:
    return cache / "platforms" / platform


def _make(folder: Path, images: PlatformImages, engine: Engine, script: str, labels: naming.Labels) -> None:
    ownership.own_folder(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as temporary:
        archive, unpacked = Path(temporary) / "tools.tar", Path(temporary) / "tools"
        request = Request(
            ["sh", "-c", tools.RUN_PYTHON, "sh", script, tools.FOLDER, *tools.NAMES],
            stdout_to=archive,
            stdout_limit=_BOUNDS.total,
            timeout=engine.runner.limits("look-outside"),
            alias=["tools.py", images.bare.reference],
            about=f"take programs from {images.bare.reference}",
        )
        engine.run_once(images.bare.id, request, labels=labels)
        try:
            receive_tree(archive, unpacked, _BOUNDS)
        except ArchiveError as error:
            raise TestbedError(f"{images.bare.reference} gives no programs for its hosts: {error}") from None
        for path in (unpacked, unpacked / "bin", unpacked / "lib"):
            path.chmod(0o755)  # any user of a host runs them
        unpacked.rename(folder)


def remove_unused(cache: Path, platform: str, keys: Collection[str]) -> None:
    """Remove the tools of images of a platform that are gone; ``keys`` are those of existing images."""
    for folder in _tools_folder(cache, platform).glob(f"{_PREFIX}*"):
        if folder.name.removeprefix(_PREFIX).rpartition("-")[0] not in keys:
            shutil.rmtree(folder, ignore_errors=True)
