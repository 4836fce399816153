"""Commands about the images of platforms."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from rich.table import Table

from itb.cli.commands import common
from itb.cli.commands.common import Flags, engine_from, make_console, print_json, print_removed
from itb.cli.commands.listing import Listing
from itb.config import lookup
from itb.config.platform import Platform
from itb.containers.connection import connect
from itb.model import PlatformImages
from itb.platforms import images as platforms_images
from itb.process import orphans, stop
from itb.process.runner import Runner


def _platform(flags: Flags, name: str) -> tuple[Platform, dict[str, str]]:
    """Return a platform and the options that the settings have for it."""
    settings = common.settings_from(flags)
    return lookup.load_platform(name, settings.folders("platforms")), dict(settings.platform_options.get(name, {}))


def platform_build(flags: Flags, name: str) -> None:
    """Make the images of a platform, or say that they are there."""
    settings = common.settings_from(flags)
    platform, options = _platform(flags, name)
    note = functools.partial(common.print_clean, to_stderr=True)
    ending = stop.Ending()
    # An exception at any moment would leave the threads of the stages at work.
    with ending.listening(settings.run_timeout * settings.timeout_factor), orphans.guard():
        runner = Runner(stop=ending.stop(), limits=settings.time_limits, retries=settings.retries)
        engine = connect(runner, settings.engine, settings.cache_dir)
        images = platforms_images.ensure(
            platform, engine, cache=settings.cache_dir, options=options, note=note, refresh=True
        )
    print(f"{name}: key {images.key}, {images.size / 1e6:.0f} MB, made {images.created}")


def platform_list(flags: Flags, *, as_json: bool) -> None:
    """Print the platforms that are defined and the images that are there."""
    engine = engine_from(flags)
    built = platforms_images.find_sets(engine)
    folders = common.settings_from(flags).folders("platforms")
    platforms = [lookup.load_platform(name, folders) for name in lookup.platform_names(folders)]
    if as_json:
        print_json([_as_json(platform, built) for platform in platforms])
        return
    listing = Listing("platform", "tested", "images", "what it is")
    for platform in platforms:
        name = platform.name
        own = [f"{images.key} ({images.size / 1e6:.0f} MB)" for images in built if images.platform == name]
        listing.add(name, "yes" if platform.tested else "no", ", ".join(own) or "none", platform.title)
    listing.print()


def _as_json(platform: Platform, built: Sequence[PlatformImages]) -> dict[str, object]:
    """Return a platform as ``--json`` lists it, with its own images."""
    own = [images.model_dump(mode="json") for images in built if images.platform == platform.name]
    return {"name": platform.name, "title": platform.title, "tested": platform.tested, "images": own}


def platform_show(flags: Flags, name: str, *, as_json: bool) -> None:
    """Print what a platform is made of."""
    platform, options = _platform(flags, name)
    if as_json:
        listed = _as_json(platform, platforms_images.find_sets(engine_from(flags)))
        print_json({**listed, "options": {**platform.settings, **options}, **platform.model_dump(mode="json")})
        return
    console = make_console()
    console.print(f"{platform.name}: {platform.title}")
    for line in platform.note.splitlines():
        console.print(f"  {line}")
    listing = Table(box=None, show_header=False)
    listing.add_row("tested", "yes" if platform.tested else "no, by nobody yet")
    listing.add_row("defined in", str(platform.folder))
    listing.add_row("base image", platform.base.image)
    for key, value in {**platform.settings, **options}.items():
        listing.add_row(f"option {key}", value)
    listing.add_row("stand-ins", ", ".join(platform.stand_ins) or "none")
    listing.add_row("CE", ", ".join(platform.ce.packages))
    for images in platforms_images.find_sets(engine_from(flags)):
        if images.platform == name:
            for kind, reference in images.references.items():
                listing.add_row(f"image {kind}", reference)
    console.print(listing)


def platform_remove(flags: Flags, name: str) -> None:
    """Remove a platform's images."""
    platform, _ = _platform(flags, name)
    settings = common.settings_from(flags)
    removed = platforms_images.remove(common.find_engine(settings), platform.name, cache=settings.cache_dir)
    print_removed(removed)
    if not removed:
        print(f"platform {name} has no images here")
