"""Platforms: their images."""

from __future__ import annotations

from invoke import Context

from itb.tasks.flags import task

_NAME = {"name": "platform: a name or a folder with platform.yaml"}


@task("cache", "engine", "progress", positional=["name"], help=_NAME)
def build(c: Context, name: str, cache: str = "", engine: str = "", progress: str = "") -> None:
    """Make a platform's images, if they are not there for today's packages."""
    from itb import looking

    looking.platform_build({"cache": cache, "engine": engine, "progress": progress}, name)


@task("engine", "json", name="list", default=True)
def list_(c: Context, engine: str = "", json: bool = False) -> None:
    """List platforms, whether they are tested, and the images that are there."""
    from itb import looking

    looking.platform_list({"engine": engine}, as_json=json)


@task("engine", positional=["name"], help=_NAME)
def show(c: Context, name: str, engine: str = "") -> None:
    """Show a platform: what it is made from, its stand-ins, its images."""
    from itb import looking

    looking.platform_show({"engine": engine}, name)


@task("cache", "engine", positional=["name"], help=_NAME)
def remove(c: Context, name: str, cache: str = "", engine: str = "") -> None:
    """Remove a platform's images; those a run is using stay."""
    from itb import looking

    looking.platform_remove({"cache": cache, "engine": engine}, name)
