"""Commands about the images of platforms."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.table import Table

from itb.cli.commands import common
from itb.cli.commands.common import Flags, engine_from, make_console, print_json, print_removed
from itb.cli.commands.listing import Listing
from itb.config import lookup
from itb.config.platform import Platform
from itb.containers.engine import connect
from itb.data import shipped
from itb.platforms import images as platforms_images
from itb.process import orphans, stop
from itb.process.runner import Runner
from itb.util.files import expand


def _platform(flags: Flags, name: str) -> tuple[Platform, dict[str, str]]:
    chosen = common.settings_from(flags)
    folders = [expand(folder) for folder in chosen.platforms]
    return lookup.load_platform(name, folders), dict(chosen.platform_options.get(name, {}))


def platform_build(flags: Flags, name: str) -> None:
    """Make the images of a platform, or say that they are there."""
    chosen = common.settings_from(flags)
    platform, options = _platform(flags, name)
    note: Callable[[str], None] = lambda text: print(text, file=sys.stderr)  # noqa: E731
    ending = stop.Ending()
    # An exception out of the blue would leave the threads of the stages at work.
    with ending.listening(chosen.run_timeout * chosen.timeout_factor), orphans.on_duty():
        runner = Runner(stop=ending.stop(), limits=chosen.time_limits, retries=chosen.retries)
        engine = connect(runner, chosen.engine, chosen.cache_dir)
        images = platforms_images.ensure(
            platform, engine, cache=chosen.cache_dir, options=options, note=note, refresh=True
        )
    print(f"{name}: key {images.key}, {images.size / 1e6:.0f} MB, made {images.created}")


def platform_list(flags: Flags, *, as_json: bool) -> None:
    """Platforms that are defined and images that are there."""
    engine = engine_from(flags)
    built = platforms_images.built(engine)
    names = sorted(file.parent.name for file in shipped.folder("build_ws").glob("platforms/*/platform.yaml"))
    if as_json:
        print_json([images.model_dump(mode="json") for images in built])
        return
    shown = Listing("platform", "title", "tested", "images")
    for name in names:
        platform = lookup.load_platform(name)
        here = [f"{item.key} ({item.size / 1e6:.0f} MB)" for item in built if item.platform == name]
        shown.add(name, platform.title, "yes" if platform.tested else "no", ", ".join(here) or "none")
    make_console().print(shown)


def platform_show(flags: Flags, name: str) -> None:
    """What a platform is."""
    platform, options = _platform(flags, name)
    console = make_console()
    console.print(f"{platform.name}: {platform.title}")
    for line in platform.note.splitlines():
        console.print(f"  {line}")
    shown = Table(box=None, show_header=False)
    shown.add_row("tested", "yes" if platform.tested else "no, by nobody yet")
    shown.add_row("defined in", str(platform.folder))
    shown.add_row("base image", platform.base.image)
    for key, value in {**platform.settings, **options}.items():
        shown.add_row(f"option {key}", value)
    shown.add_row("stand-ins", ", ".join(platform.stand_ins) or "none")
    shown.add_row("CE", ", ".join(platform.ce.packages))
    for images in platforms_images.built(engine_from(flags)):
        if images.platform == name:
            for kind, reference in images.references.items():
                shown.add_row(f"image {kind}", reference)
    console.print(shown)


def platform_remove(flags: Flags, name: str) -> None:
    """Remove a platform's images."""
    platform, _ = _platform(flags, name)
    chosen = common.settings_from(flags)
    removed = platforms_images.remove(common.find_engine(chosen), platform.name, cache=chosen.cache_dir)
    print_removed(removed)
    if not removed:
        print(f"platform {name} has no images here")
