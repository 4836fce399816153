"""Finding the images of a platform in the engine's store by their key, or making them.

The key is a checksum of everything that decides the content: the
definition's files, the converter's source, the settings, the base image, and
the name, version and checksum of every package that the mirror would deliver.
The mirror is asked once in ``refresh_hours``; in between, and while no mirror
answers, the existing images are used.
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

from itb.config.platform import FINAL_STAGES, SIDE_EFFECTS, Platform
from itb.containers import naming
from itb.containers.engine import Engine
from itb.containers.naming import ImageLabels
from itb.data import shipped
from itb.errors import TestbedError, UsageError
from itb.model import Image, PlatformImages, Record
from itb.platforms import base_image, stages, tools
from itb.platforms.stages import REFRESH_HOURS, ImageBuild, Note, reference
from itb.process.request import Request
from itb.util import filelock, ownership
from itb.util.files import write_atomically
from itb.util.yamlfile import nearest

_FORMAT = "1"  # part of every key: raise it when itb makes other images of the same definition
_KEPT_GENERATIONS = 2  # sets of a platform's images that stay after a build


class _MirrorCheck(Record):
    """The key that the mirror last gave a definition; ``checked`` is in seconds since the epoch."""

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
    """Return the images of a platform; make them if there are none for its present key.

    ``options`` override the definition's settings; ``refresh`` asks the mirror
    even if it was asked lately.  One process at a time works on a platform,
    others wait for it.  Raises TestbedError if there are no images and they
    cannot be made, UsageError for an unknown option.
    """
    settings = effective(platform, options or {})
    folder = cache / "platforms"
    definition = digest(platform, settings)
    check_file = folder / f"{platform.name}.json"
    images = None if refresh else _find_remembered(engine, platform, settings, definition, check_file)
    if images:
        return images
    lock = stages.lock_file(platform.name)
    ownership.own_folder(cache)
    (folder / platform.name).mkdir(parents=True, exist_ok=True)
    waiting = functools.partial(note, "waiting for another process that builds it")
    with filelock.hold(lock, engine.runner.stop.event, waiting=waiting):
        images = None if refresh else _find_remembered(engine, platform, settings, definition, check_file)
        if images:
            return images  # made by the process that held the lock
        stages.remove_leftovers(engine, own=lock)
        build = ImageBuild(platform, engine, settings, folder / platform.name, lock, note)
        images = _look_up_or_build(build, definition)
        if not images.notice:
            check = _MirrorCheck(definition=definition, key=images.key, checked=time.time())
            write_atomically(check_file, check.model_dump_json())
        return images


def effective(platform: Platform, options: Mapping[str, str]) -> dict[str, str]:
    """Return a platform's settings, overridden by the user's; UsageError for an option it does not have."""
    settings = {REFRESH_HOURS: "24", **platform.settings}
    for name in options:
        if name not in settings:
            raise UsageError(f"platform {platform.name} has no option {name!r}{nearest(name, list(settings))}")
    settings |= options
    for name, value in settings.items():
        if value.startswith("-"):  # programs would take it for an option: mmdebstrap has some that run commands
            raise UsageError(f"platform {platform.name}: option {name}: {value[:100]!r} begins with '-'")
    try:
        float(settings[REFRESH_HOURS])
    except ValueError:
        raise UsageError(
            f"platform {platform.name}: option {REFRESH_HOURS}: {settings[REFRESH_HOURS]!r} is not a number"
        ) from None
    return settings


def digest(platform: Platform, settings: Mapping[str, str]) -> str:
    """Return the checksum of everything on this machine that a platform's images are made from."""
    inputs = {
        "format": _FORMAT,
        "base": platform.base.model_dump(),
        "settings": {name: value for name, value in settings.items() if name != REFRESH_HOURS},
        "resolve": platform.resolve,
        "shared": platform.shared,
        "stages": {name: stage.model_dump(by_alias=True) for name, stage in platform.stages.items()},
    }
    checksum = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    folders = [*platform.folders, *([shipped.converter()] if platform.converter else [])]
    for folder in folders:
        for path in _definition_files(folder):
            checksum.update(f"\0{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0".encode())
            checksum.update(path.read_bytes())
    return checksum.hexdigest()


def _definition_files(folder: Path) -> Iterator[Path]:
    """Yield the files that reach an image: no documentation; of platform.yaml the content counts instead."""
    for path in sorted(folder.rglob("*")):
        named = path.name in ("platform.yaml", SIDE_EFFECTS)
        if path.is_file() and path.suffix not in (".md", ".pyc") and not named:
            yield path


def _find_remembered(
    engine: Engine, platform: Platform, settings: Mapping[str, str], definition: str, check_file: Path
) -> PlatformImages | None:
    try:
        check = _MirrorCheck.model_validate_json(check_file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    age = time.time() - check.checked
    if check.definition != definition or not 0 <= age < float(settings[REFRESH_HOURS]) * 3600:
        return None
    return find(engine, platform.name, check.key)


def find(engine: Engine, name: str, key: str) -> PlatformImages | None:
    """Return the images of a key, None unless all of them are in the engine's store."""
    references = {kind: reference(name, kind, key) for kind in FINAL_STAGES}
    answer = engine.run(Request(["image", "inspect", *references.values()], check=False))
    if not answer.ok:
        return None
    details = engine.parse_answer(answer, count=len(references))
    return PlatformImages(
        platform=name,
        key=key,
        created=max(str(image["Created"]) for image in details)[:19] + "Z",
        size=_size(details),
        **{
            kind: Image(reference=references[kind], id=str(image["Id"]).removeprefix("sha256:"))
            for kind, image in zip(FINAL_STAGES, details, strict=True)
        },
    )


def _size(details: list[dict[str, Any]]) -> int:
    """Return the bytes of several images; the layers they share (those of the smallest, bare) count once."""
    sizes = [int(image["Size"]) for image in details]
    return sum(sizes) - (len(sizes) - 1) * min(sizes)


def _look_up_or_build(build: ImageBuild, definition: str) -> PlatformImages:
    platform, engine = build.platform, build.engine
    with ExitStack() as stack:
        try:
            base = base_image.obtain(build)
            stack.enter_context(build.open(base))
            packages = build.resolve()
        except TestbedError as error:
            return _newest_with_notice(build, definition, error)
        identity = "" if platform.base.debian else base  # the resolved packages include all of a Debian base
        key = hashlib.sha256(f"{definition}\0{identity}\0{packages}".encode()).hexdigest()[:16]
        images = find(engine, platform.name, key)
        if images:
            return images
        build.labels = ImageLabels(key=key, definition=definition)
        build.run_stages()
    # Images get names once all of them exist, uninterruptibly: a set with names is complete.
    for kind in FINAL_STAGES:
        engine.uninterruptible.call("tag", build.images[kind], reference(platform.name, kind, key))
    write_atomically(build.logs / f"{key}.packages", packages)
    _remove_superseded(build, key)
    images = find(engine, platform.name, key)
    if images is None:
        raise TestbedError(f"platform {platform.name}: its images vanished as they were made")
    return images


def _newest_with_notice(build: ImageBuild, definition: str, error: TestbedError) -> PlatformImages:
    """Return the newest images of the definition, with a notice; raise the mirror's error if there are none."""
    newest = _find_newest(build.engine, build.platform.name, definition)
    if newest is None:
        raise error
    notice = f"mirror not looked at, images of {newest.created}: {error.message}"
    build.note(notice)
    return newest.model_copy(update={"notice": notice})


def built(engine: Engine, name: str = "") -> list[PlatformImages]:
    """Return the complete sets of images in the engine's store, newest first; of one platform if it is named."""
    keys: set[tuple[str, str]] = set()
    for image in _inspect_images(engine, name):
        labels = _labels(image)
        if labels.key:
            keys.add((labels.platform, labels.key))
    complete_sets = (find(engine, platform, key) for platform, key in keys)
    return sorted((images for images in complete_sets if images), key=lambda images: images.created, reverse=True)


def _inspect_images(engine: Engine, name: str) -> list[dict[str, Any]]:
    label = f"label={naming.image_filter(name)}"
    ids = engine.call("images", "--all", "--quiet", "--no-trunc", "--filter", label).stdout.split()
    if not ids:
        return []
    answer = engine.run(Request(["image", "inspect", *dict.fromkeys(ids)], check=False))
    return engine.parse_answer(answer)


def _find_newest(engine: Engine, name: str, definition: str) -> PlatformImages | None:
    keys = {
        labels.key
        for image in _inspect_images(engine, name)
        if (labels := _labels(image)).definition == definition
    }
    return next((images for images in built(engine, name) if images.key in keys), None)


def packages(cache: Path, images: PlatformImages) -> str:
    """Return the list of packages a set of images was made from, one per line; empty if it is not known."""
    path = cache / "platforms" / images.platform / f"{images.key}.packages"
    return path.read_text() if path.exists() else ""


def remove(engine: Engine, name: str, *, cache: Path, key: str = "") -> list[str]:
    """Remove a platform's images (of one key, or all with the base); return the names removed.

    Images a container still uses stay.
    """
    removed = []
    for image in _inspect_images(engine, name):
        labels = _labels(image)
        if not key or labels.key == key:
            removed += _remove_image(engine, image)
    if not key:
        for base in _base_names(engine, name):
            if engine.run(Request(["rmi", base], check=False)).ok:
                removed.append(base)
        (cache / "platforms" / f"{name}.json").unlink(missing_ok=True)
    tools.remove_unused(cache, name, _keys(engine, name))
    return removed


def _keys(engine: Engine, name: str) -> set[str]:
    return {_labels(image).key for image in _inspect_images(engine, name)}


def remove_unfinished(engine: Engine) -> list[str]:
    """Remove the images of unfinished builds whose process has ended; return their names."""
    locks = {_labels(image).builder for image in _inspect_images(engine, "")}
    removed = []
    for lock in sorted(locks - {""}):
        with filelock.hold_if_free(Path(lock)) as free:
            if free:
                complete_sets = built(engine)
                # Newest first: an image cannot be removed before those made from it.
                for image in _inspect_images(engine, ""):
                    if _labels(image).builder == lock and _is_unfinished(image, complete_sets):
                        removed += _remove_image(engine, image)
    return removed


def _is_unfinished(image: Mapping[str, Any], complete_sets: Sequence[PlatformImages]) -> bool:
    """Return whether an image belongs to no complete set, and is not a user's own, made from one of a set."""
    names, labels = image.get("RepoTags") or [], _labels(image)
    sets = [images for images in complete_sets if images.platform == labels.platform]
    if names:
        finished = labels.key in [images.key for images in sets]
        return not finished and all(name.startswith("localhost/itb/") for name in names)
    parents = [getattr(images, kind).id for images in sets for kind in FINAL_STAGES]
    return str(image.get("Parent", "")).removeprefix("sha256:") not in parents


def _labels(image: Mapping[str, Any]) -> ImageLabels:
    return ImageLabels.read(image.get("Config", {}).get("Labels") or {})


def _base_names(engine: Engine, name: str) -> list[str]:
    """Return the names of a platform's base images: a pulled one has none of itb's labels to find it by."""
    options = ("--format", "{{.Repository}}:{{.Tag}}")
    answer = engine.call("images", *options, "--filter", f"reference=localhost/itb/{name}-base").stdout
    return answer.split()


def _remove_superseded(build: ImageBuild, key: str) -> None:
    """Remove older generations of a platform's images, older bases and unfinished images."""
    engine, name = build.engine, build.platform.name
    for base in _base_names(engine, name):
        if base != base_image.name_of(build):
            engine.run(Request(["rmi", base], check=False))
    kept = {key, *(images.key for images in built(engine, name)[:_KEPT_GENERATIONS])}
    for image in _inspect_images(engine, name):
        labels = _labels(image)
        if labels.key and (labels.key not in kept or not image.get("RepoTags")):
            _remove_image(engine, image)
    tools.remove_unused(build.logs.parent.parent, name, _keys(engine, name))


def _remove_image(engine: Engine, image: Mapping[str, Any]) -> list[str]:
    # Without force, an image stays that is in use or the parent of another.
    names = list(image.get("RepoTags") or []) or [str(image["Id"])]
    return [name for name in names if engine.run(Request(["rmi", name], check=False)).ok]
