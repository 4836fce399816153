"""Images of a platform: found in the engine's store by what they are made from, or made.

A key stands for everything that decides the content: the definition's files,
the converter's source, the settings, the base, and the name, version and
checksum of every package the mirror would deliver.  What a mirror has is
looked at once in ``refresh_hours``; in between, and while no mirror answers,
the images that are there are used.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from itb.config.platform import SIDE_EFFECTS, Platform
from itb.containers import naming
from itb.containers.engine import Engine
from itb.containers.naming import ImageLabels
from itb.data import shipped
from itb.errors import TestbedError, UsageError
from itb.model import Image, PlatformImages, Record
from itb.platforms import base_image, stages
from itb.platforms.stages import FINAL, REFRESH_HOURS, Note, Workshop, reference
from itb.process.request import Request
from itb.util import filelock
from itb.util.files import write_atomically
from itb.util.yamlfile import nearest

_FORMAT = "1"  # part of every key: raised when itb makes images of the same definition differently
_KEPT = 2  # generations of a platform's images that stay after a build


class _Memo(Record):
    """What was found when the mirror was last looked at; ``checked`` in seconds since the epoch."""

    definition: str
    key: str
    checked: float


def ensure(
    platform: Platform,
    engine: Engine,
    *,
    cache: Path,
    options: Mapping[str, str] | None = None,
    note: Note = lambda _: None,
    refresh: bool = False,
) -> PlatformImages:
    """Return the images of a platform, making them where there are none for its present key.

    ``options`` override the definition's settings; ``refresh`` looks at the
    mirror even if that was done lately.  One process at a time works on a
    platform, others wait for it.  Raises TestbedError when images are neither
    there nor can be made, UsageError for an unknown option.
    """
    settings = effective(platform, options or {})
    place = cache / "platforms"
    definition = digest(platform, settings)
    memo_file = place / f"{platform.name}.json"
    found = None if refresh else _remembered(engine, platform, settings, definition, memo_file)
    if found:
        return found
    lock = stages.lock_file(platform.name)
    (place / platform.name).mkdir(parents=True, exist_ok=True)
    waiting = functools.partial(note, "waiting for another process that builds it")
    with filelock.hold(lock, engine.runner.stop.event, waiting=waiting):
        found = None if refresh else _remembered(engine, platform, settings, definition, memo_file)
        if found:
            return found  # by the process that was waited for
        stages.remove_leftovers(engine, own=lock)
        shop = Workshop(platform, engine, settings, place / platform.name, lock, note)
        found = _look_up_or_build(shop, definition)
        if not found.notice:
            memo = _Memo(definition=definition, key=found.key, checked=time.time())
            write_atomically(memo_file, memo.model_dump_json())
        return found


def effective(platform: Platform, options: Mapping[str, str]) -> dict[str, str]:
    """Return a platform's settings with the user's on top; UsageError for one it does not have."""
    settings = {REFRESH_HOURS: "24", **platform.settings}
    for name in options:
        if name not in settings:
            raise UsageError(f"platform {platform.name} has no option {name!r}{nearest(name, list(settings))}")
    settings |= options
    try:
        float(settings[REFRESH_HOURS])
    except ValueError:
        raise UsageError(
            f"platform {platform.name}: option {REFRESH_HOURS}: {settings[REFRESH_HOURS]!r} is not a number"
        ) from None
    return settings


def digest(platform: Platform, settings: Mapping[str, str]) -> str:
    """Checksum of everything a platform is made from that is on this machine."""
    made_from = {
        "format": _FORMAT,
        "base": platform.base.model_dump(),
        "settings": {name: value for name, value in settings.items() if name != REFRESH_HOURS},
        "resolve": platform.resolve,
        "shared": platform.shared,
        "stages": {name: stage.model_dump(by_alias=True) for name, stage in platform.stages.items()},
    }
    checksum = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode())
    folders = [*stages.ingredients(platform), *([shipped.converter()] if platform.converter else [])]
    for folder in folders:
        for path in _ingredients(folder):
            checksum.update(f"\0{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0".encode())
            checksum.update(path.read_bytes())
    return checksum.hexdigest()


def _ingredients(folder: Path) -> Iterator[Path]:
    """Files that reach an image: documentation does not, and platform.yaml counts by what it says."""
    for path in sorted(folder.rglob("*")):
        named = path.name in ("platform.yaml", SIDE_EFFECTS)
        if path.is_file() and path.suffix not in (".md", ".pyc") and not named:
            yield path


def _remembered(
    engine: Engine, platform: Platform, settings: Mapping[str, str], definition: str, memo_file: Path
) -> PlatformImages | None:
    try:
        memo = _Memo.model_validate_json(memo_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    age = time.time() - memo.checked
    if memo.definition != definition or not 0 <= age < float(settings[REFRESH_HOURS]) * 3600:
        return None
    return find(engine, platform.name, memo.key)


def find(engine: Engine, name: str, key: str) -> PlatformImages | None:
    """Return the images of this key if all of them are in the engine's store."""
    references = {kind: reference(name, kind, key) for kind in FINAL}
    seen = engine.run(Request(["image", "inspect", *references.values()], check=False))
    if not seen.ok:
        return None
    details = engine.read(seen, count=len(references))
    return PlatformImages(
        platform=name,
        key=key,
        created=max(str(item["Created"]) for item in details)[:19] + "Z",
        size=_size(details),
        **{
            kind: Image(reference=references[kind], id=str(item["Id"]).removeprefix("sha256:"))
            for kind, item in zip(FINAL, details, strict=True)
        },
    )


def _size(details: list[dict[str, Any]]) -> int:
    """Bytes of several images that share their first layers (those of the smallest, bare)."""
    sizes = [int(item["Size"]) for item in details]
    return sum(sizes) - (len(sizes) - 1) * min(sizes)


def _look_up_or_build(shop: Workshop, definition: str) -> PlatformImages:
    platform, engine = shop.platform, shop.engine
    with ExitStack() as stack:
        try:
            base = base_image.obtain(shop)
            stack.enter_context(shop.open(base))
            packages = shop.resolve()
        except TestbedError as error:
            return _without_mirror(shop, definition, error)
        identity = "" if platform.base.debian else base  # Debian's packages are all among the resolved
        key = hashlib.sha256(f"{definition}\0{identity}\0{packages}".encode()).hexdigest()[:16]
        found = find(engine, platform.name, key)
        if found:
            return found
        shop.labels = ImageLabels(key=key, definition=definition)
        shop.build()
    # Names are given once all images are there, whoever interrupts: what has a name is whole.
    for kind in FINAL:
        engine.uninterruptible.call("tag", shop.images[kind], reference(platform.name, kind, key))
    write_atomically(shop.logs / f"{key}.packages", packages)
    _remove_superseded(shop, key)
    made = find(engine, platform.name, key)
    if made is None:
        raise TestbedError(f"platform {platform.name}: its images vanished as they were made")
    return made


def _without_mirror(shop: Workshop, definition: str, error: TestbedError) -> PlatformImages:
    """Return the newest images of the same definition when what they would be made from now cannot be known."""
    older = _newest(shop.engine, shop.platform.name, definition)
    if older is None:
        raise error
    notice = f"mirror not looked at, images of {older.created}: {error.message}"
    shop.note(notice)
    return older.model_copy(update={"notice": notice})


def built(engine: Engine, name: str = "") -> list[PlatformImages]:
    """Return every complete set of images in the engine's store, newest first; of one platform if named."""
    sets: set[tuple[str, str]] = set()
    for item in _images(engine, name):
        labels = _labels(item)
        if labels.key:
            sets.add((labels.platform, labels.key))
    found = (find(engine, platform, key) for platform, key in sets)
    return sorted((one for one in found if one), key=lambda one: one.created, reverse=True)


def _images(engine: Engine, name: str) -> list[dict[str, Any]]:
    label = f"label={naming.image_filter(name)}"
    ids = engine.call("images", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split()
    if not ids:
        return []
    seen = engine.run(Request(["image", "inspect", *dict.fromkeys(ids)], check=False))
    return engine.read(seen)


def _newest(engine: Engine, name: str, definition: str) -> PlatformImages | None:
    keys = {
        labels.key
        for item in _images(engine, name)
        if (labels := _labels(item)).definition == definition
    }
    return next((one for one in built(engine, name) if one.key in keys), None)


def packages(cache: Path, images: PlatformImages) -> str:
    """Return the list of packages a set of images was made from, one per line; empty if it is not known."""
    path = cache / "platforms" / images.platform / f"{images.key}.packages"
    return path.read_text() if path.exists() else ""


def remove(engine: Engine, name: str, *, cache: Path, key: str = "") -> list[str]:
    """Remove a platform's images (of one key, or all with the base); return the names removed.

    Images a container still uses stay.
    """
    gone = []
    for item in _images(engine, name):
        labels = _labels(item)
        if not key or labels.key == key:
            gone += _remove_image(engine, item)
    if not key:
        gone += [base for base in _bases(engine, name) if engine.run(Request(["rmi", base], check=False)).ok]
        (cache / "platforms" / f"{name}.json").unlink(missing_ok=True)
    return gone


def remove_unfinished(engine: Engine) -> list[str]:
    """Remove the images of builds that never came to their end and whose process is gone; return their names."""
    locked = {_labels(item).builder for item in _images(engine, "")}
    gone = []
    for lock in sorted(locked - {""}):
        with filelock.hold_if_free(Path(lock)) as free:
            if free:
                whole = built(engine)
                for item in _images(engine, ""):  # newest first: none goes before what was made from it
                    if _labels(item).builder == lock and _is_unfinished(item, whole):
                        gone += _remove_image(engine, item)
    return gone


def _is_unfinished(item: Mapping[str, Any], whole: Sequence[PlatformImages]) -> bool:
    """True unless an image belongs to a complete set, or is somebody's own, made from one of a set."""
    names, labels = item.get("RepoTags") or [], _labels(item)
    same = [one for one in whole if one.platform == labels.platform]
    if names:
        finished = labels.key in [one.key for one in same]
        return not finished and all(name.startswith("localhost/itb/") for name in names)
    parents = [getattr(one, kind).id for one in same for kind in FINAL]
    return str(item.get("Parent", "")).removeprefix("sha256:") not in parents


def _labels(item: Mapping[str, Any]) -> ImageLabels:
    return ImageLabels.read(item.get("Config", {}).get("Labels") or {})


def _bases(engine: Engine, name: str) -> list[str]:
    """Names of the images a platform's first stage started from; a pulled one has no label of itb's."""
    form = ("--format", "{{.Repository}}:{{.Tag}}")
    listed = engine.call("images", *form, "--filter", f"reference=localhost/itb/{name}-base").stdout
    return listed.split()


def _remove_superseded(shop: Workshop, key: str) -> None:
    """Keep the newest generations and their base, and no image that was never finished."""
    engine, name = shop.engine, shop.platform.name
    for base in _bases(engine, name):
        if base != base_image.name_of(shop):
            engine.run(Request(["rmi", base], check=False))
    kept = {key, *(one.key for one in built(engine, name)[:_KEPT])}
    for item in _images(engine, name):
        labels = _labels(item)
        if labels.key and (labels.key not in kept or not item.get("RepoTags")):
            _remove_image(engine, item)


def _remove_image(engine: Engine, item: Mapping[str, Any]) -> list[str]:
    # Without force: an image that is in use, or another one's parent, stays.
    names = list(item.get("RepoTags") or []) or [str(item["Id"])]
    return [name for name in names if engine.run(Request(["rmi", name], check=False)).ok]
