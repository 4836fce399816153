"""Time limits: every limit has a name and a default; one factor multiplies all of them.

A limit is a number of seconds with its name, so that a message about it can
say which one to raise with the setting ``limits``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Seconds.  Limits of building, of installing a role and of a step are in the
# definition of the product or scenario; the factor multiplies them too.
DEFAULTS: dict[str, float] = {
    "command": 300,  # any command on a host that has no limit of its own
    "engine": 60,  # a call of the container engine: inspect, remove, networks
    "engine-pulse": 30,  # between two checks that the engine answers
    "engine-again": 15,  # a call of the engine after one that it did not answer
    "start": 180,  # starting the containers of a run
    "boot": 60,  # from a started container to a booted system
    "reboot": 150,
    "pull": 600,  # of a base image
    "pull-patience": 60,  # of a base image that can also be had in another way
    "bootstrap": 900,  # a base image from a mirror
    "image-stage": 1800,  # one script of a platform's images: a slow mirror, not a slow machine
    "image-save": 600,
    "wait-for-build": 3600,  # for another process that builds, fetches or removes the same
    "git": 120,
    "git-answer": 45,  # for a remote to list its references
    "git-fetch": 600,  # for its objects
    "build-requires": 300,
    "configure": 120,
    "service": 120,  # until a unit has started
    "dnf-ce": 600,
    "publish": 300,  # signing and indexing the RPMs of a run
    "publish-copy": 900,  # of RPMs to another directory or machine by itb publish
    "results": 120,  # fetching a step's result files
    "deliver": 60,  # putting a token on a host
    "idtoken": 90,  # making an IDTOKEN, and waiting for HTCondor before
    "search-logs": 60,  # for the cause of a failure, on one host
    "look": 40,  # examining whether a host itself is at fault
    "look-outside": 120,  # inspecting the files of a host from outside
    "read-rpms": 180,  # reading headers and the source RPM in a container in which nothing was built
    "evidence": 60,  # of one host
    "lint": 120,  # of all packages
    "phase-platform": 5400,
    "phase-up": 900,
    "phase-build": 7200,
    "phase-serve": 900,
    "phase-install": 3600,
    "phase-configure": 1800,
    "phase-start": 1800,
    "phase-token": 900,
    "phase-test": 14400,
}


class Limit(float):
    """A number of seconds that something may take, with the name of this limit."""

    name: str

    def __new__(cls, seconds: float, name: str) -> Limit:
        """Return ``seconds`` as the limit ``name``."""
        limit = super().__new__(cls, seconds)
        limit.name = name
        return limit


@dataclass(frozen=True)
class Limits:
    """The limits of a run: the defaults or their ``overrides`` by name, multiplied by ``factor``."""

    factor: float = 1.0
    overrides: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, name: str) -> Limit:
        """Return the limit of this name, in seconds."""
        return Limit(self.overrides.get(name, DEFAULTS[name]) * self.factor, name)

    def of(self, seconds: float, name: str) -> Limit:
        """Return a limit of a product's or scenario's definition, multiplied by the factor."""
        return Limit(seconds * self.factor, name)


def name_of_limit(limit: float) -> str:
    """Return the name of a limit for a message: " (limit 'boot')"; empty for a limit without a name."""
    return f" (limit {limit.name!r})" if isinstance(limit, Limit) else ""
