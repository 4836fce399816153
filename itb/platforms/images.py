"""Finding the images of a platform in the engine's store by their key, or making them.

The key is a checksum of everything that decides the content: the
definition's files, the converter's source, the settings, the base image, and
the name, version and checksum of every package that the mirror would deliver.
The mirror is asked once in ``refresh_hours``; in between, and while it does not
answer, the existing images are used.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from itb.config.platform import CE_STAGE, FINAL_STAGES, SIDE_EFFECTS, Platform
from itb.containers import naming
from itb.containers.engine import Engine
from itb.containers.image_store import ImageStore, StoredImage
from itb.containers.naming import ImageLabels
from itb.data import shipped
from itb.errors import TestbedError, UsageError
from itb.model import Image, PlatformImages, Record
from itb.platforms import base_image, stages, tools
from itb.platforms.stages import REFRESH_HOURS, ImageBuild, Note
from itb.util import filelock, known_secrets, ownership
from itb.util.files import write_atomically
from itb.util.yamlfile import nearest

_FORMAT = "1"  # part of every key: raise it when itb makes other images from the same definition
_KEPT_GENERATIONS = 2  # sets of a platform's images that are kept after a build


class _MirrorCheck(Record):
    """The key of a definition's images as of the mirror, at ``checked`` (seconds since the epoch)."""

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
    """Return the images of a platform; make them if there are none for its current key.

    ``options`` override the definition's settings; ``refresh`` asks the mirror
    even if it was asked recently.  One process at a time works on a platform,
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
    ownership.own_folder(folder / platform.name)
    limit = engine.runner.limits("wait-for-build")
    with filelock.hold(lock, engine.runner.stop.event, limit, waiting=note):
        images = None if refresh else _find_remembered(engine, platform, settings, definition, check_file)
        if images:
            return images  # the process that held the lock has made them
        stages.remove_leftovers(engine, own=lock)
        build = ImageBuild(platform, engine, settings, folder / platform.name, lock, note)
        images = _look_up_or_build(build, definition)
        if not images.notice:
            check = _MirrorCheck(definition=definition, key=images.key, checked=time.time())
            _remember(check_file, check.model_dump_json(), note)
        return images


def _remember(path: Path, text: str, note: Note) -> None:
    """Write a file to the cache; a full disk is no fault of the images, which are there."""
    try:
        write_atomically(path, text)
    except OSError as error:
        note(f"not remembered in {path}: {error.strerror}")


def effective(platform: Platform, options: Mapping[str, str]) -> dict[str, str]:
    """Return a platform's settings with the user's options; UsageError for an option that it does not have."""
    settings = {REFRESH_HOURS: "24", **platform.settings}
    for name in options:
        if name not in settings:
            raise UsageError(f"platform {platform.name} has no option {name!r}{nearest(name, list(settings))}")
    settings |= options
    for name, value in settings.items():
        known_secrets.remember_logins(value)
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
    """Return the checksum of a platform's definition: its content, its files and its settings."""
    inputs = {
        "format": _FORMAT,
        "base": platform.base.model_dump(),
        "settings": {name: value for name, value in settings.items() if name != REFRESH_HOURS},
        "resolve": platform.resolve,
        "shared": platform.shared,
        "stages": {name: stage.model_dump(by_alias=True) for name, stage in platform.stages.items()},
    }
    checksum = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
    if CE_STAGE in platform.stages:
        inputs[CE_STAGE] = platform.ce.packages
    folders = [*platform.folders, *([shipped.converter()] if platform.converter else [])]
    for folder in folders:
        for path in _definition_files(folder):
            checksum.update(f"\0{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0".encode())
            checksum.update(path.read_bytes())
    return checksum.hexdigest()


def _definition_files(folder: Path) -> Iterator[Path]:
    """Yield the files that affect an image, without platform.yaml: its content is part of the checksum."""
    for path in sorted(folder.rglob("*")):
        is_excluded = path.name in ("platform.yaml", SIDE_EFFECTS) or path.suffix in (".md", ".pyc")
        if path.is_file() and not is_excluded:
            yield path


def _find_remembered(
    engine: Engine, platform: Platform, settings: Mapping[str, str], definition: str, check_file: Path
) -> PlatformImages | None:
    try:
        check = _MirrorCheck.model_validate_json(ownership.read(check_file))
    except (FileNotFoundError, ValidationError, UsageError):  # not there, of another itb, of somebody else
        return None
    age = time.time() - check.checked
    if check.definition != definition or not 0 <= age < float(settings[REFRESH_HOURS]) * 3600:
        return None
    return find(engine, platform.name, check.key)


def find(engine: Engine, name: str, key: str) -> PlatformImages | None:
    """Return a platform's images of a key; None unless all that every platform has are in the engine's store."""
    store = ImageStore(engine)
    names = {stage: naming.image_name(name, stage, key) for stage in (*FINAL_STAGES, CE_STAGE)}
    stored = store.find_all(names.values())
    if not stored:
        del names[CE_STAGE]
        stored = store.find_all(names.values())
    if not stored:
        return None
    return PlatformImages(
        platform=name,
        key=key,
        created=max(image.created for image in stored)[:19] + "Z",
        size=_total_size(stored),
        **{
            stage: Image(reference=reference, id=image.id)
            for (stage, reference), image in zip(names.items(), stored, strict=True)
        },
    )


def _total_size(stored: Sequence[StoredImage]) -> int:
    """Return the bytes of several images; the layers they share (those of the smallest, bare) count once."""
    sizes = [image.size for image in stored]
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
    # Images get names only when all of them exist, uninterruptibly: a set with names is complete.
    for stage in (stage for stage in (CE_STAGE, *FINAL_STAGES) if stage in build.images):
        name = naming.image_name(platform.name, stage, key)
        ImageStore(engine.uninterruptible).add_name(build.images[stage], name)
    _remember(build.logs / f"{key}.packages", packages, build.note)
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
    notice = f"the mirror could not be read, so images of {newest.created} are used: {error.message}"
    build.note(notice)
    return newest.model_copy(update={"notice": notice})


def find_sets(engine: Engine, name: str = "") -> list[PlatformImages]:
    """Return the complete sets of images in the engine's store, newest first, of one platform or of all."""
    stored = ImageStore(engine).of_platform(name)
    keys = {(image.labels.platform, image.labels.key) for image in stored if image.labels.key}
    complete_sets = (find(engine, platform, key) for platform, key in keys)
    return sorted((images for images in complete_sets if images), key=lambda images: images.created, reverse=True)


def _find_newest(engine: Engine, name: str, definition: str) -> PlatformImages | None:
    stored = ImageStore(engine).of_platform(name)
    keys = {image.labels.key for image in stored if image.labels.definition == definition}
    return next((images for images in find_sets(engine, name) if images.key in keys), None)


def packages(cache: Path, images: PlatformImages) -> str:
    """Return the packages that a set of images was made from, one per line; empty if they are not known."""
    path = cache / "platforms" / images.platform / f"{images.key}.packages"
    try:
        return ownership.read(path).decode()
    except (FileNotFoundError, UsageError):
        return ""


def remove(engine: Engine, name: str, *, cache: Path, key: str = "") -> list[str]:
    """Remove a platform's images (of one key, or all with the base); return the names that were removed.

    Images that a container uses are kept.
    """
    removed = []
    store, complete_sets = ImageStore(engine), find_sets(engine, name)
    for image in store.of_platform(name):
        if (not key or image.labels.key == key) and not _is_users(image, complete_sets):
            removed += store.remove_image(image)
    if not key:
        removed += [base for base in store.base_names(name) if store.remove(base)]
        (cache / "platforms" / f"{name}.json").unlink(missing_ok=True)
    tools.remove_unused(cache, name, _keys(engine, name))
    return removed


def _keys(engine: Engine, name: str) -> set[str]:
    return {image.labels.key for image in ImageStore(engine).of_platform(name)}


def remove_unfinished(engine: Engine) -> list[str]:
    """Remove the images of unfinished builds whose process has ended; return their names."""
    store = ImageStore(engine)
    locks = {image.labels.build_lock for image in store.of_platform()}
    removed = []
    for lock in sorted(locks - {""}):
        with filelock.hold_if_free(Path(lock), is_checked=False) as free:
            if free:
                complete_sets = find_sets(engine)
                # Newest first: an image cannot be removed before those made from it.
                for image in store.of_platform():
                    if image.labels.build_lock == lock and _is_unfinished(image, complete_sets):
                        removed += store.remove_image(image)
    return removed


def _is_unfinished(image: StoredImage, complete_sets: Sequence[PlatformImages]) -> bool:
    """Return whether an image belongs to no complete set, and is not a user's own, made from one of a set."""
    keys = [images.key for images in complete_sets if images.platform == image.labels.platform]
    return not (image.names and image.labels.key in keys) and not _is_users(image, complete_sets)


def _is_users(image: StoredImage, complete_sets: Sequence[PlatformImages]) -> bool:
    """Return whether a user made an image, which has the labels of a set, from one of that set."""
    if image.names:
        return not any(map(naming.is_image_name, image.names))
    return image.parent in [kind.id for images in complete_sets for kind in images.kinds.values()]


def _remove_superseded(build: ImageBuild, key: str) -> None:
    """Remove older generations of a platform's images, older bases and unfinished images."""
    engine, name, store = build.engine, build.platform.name, ImageStore(build.engine)
    for base in store.base_names(name):
        if base != base_image.name_of(build):
            store.remove(base)
    complete_sets = find_sets(engine, name)
    kept = {key, *(images.key for images in complete_sets[:_KEPT_GENERATIONS])}
    for image in store.of_platform(name):
        is_old = bool(image.labels.key) and (image.labels.key not in kept or not image.names)
        if is_old and not _is_users(image, complete_sets):
            store.remove_image(image)
    tools.remove_unused(build.logs.parent.parent, name, _keys(engine, name))
