"""Platforms: their images."""

from __future__ import annotations

from itb.cli.declaration import Flags, argument, command
from itb.config.options import JSON

_NAME = argument("name", "platform: a name or a folder with platform.yaml", completes="platforms")


@command(_NAME, "cache", "engine", "progress", example="itb platform build deb13")
def build(flags: Flags, *, name: str) -> None:
    """Make a platform's images, if they are not there for today's packages."""
    from itb.cli.commands import platform

    platform.platform_build(flags, name)


@command("engine", JSON, example="itb platform list", name="list")
def list_(flags: Flags, *, json: bool) -> None:
    """List platforms, whether they are tested, and the images that are there."""
    from itb.cli.commands import platform

    platform.platform_list(flags, as_json=json)


@command(_NAME, "engine", JSON, example="itb platform show deb13")
def show(flags: Flags, *, name: str, json: bool) -> None:
    """Show a platform: what it is made from, its stand-ins, its images."""
    from itb.cli.commands import platform

    platform.platform_show(flags, name, as_json=json)


@command(_NAME, "cache", "engine", example="itb platform remove deb13")
def remove(flags: Flags, *, name: str) -> None:
    """Remove a platform's images; those a run is using stay."""
    from itb.cli.commands import platform

    platform.platform_remove(flags, name)
