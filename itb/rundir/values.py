"""The keys of the values that a run saves in its directory; each has the type of its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from itb.isolation import Isolation, OutsideIssuer
from itb.model import (
    Build,
    Commit,
    Installed,
    PlannedCases,
    PlatformImages,
    Record,
    Repo,
    SigningKey,
    TestbedHosts,
    Token,
)

R = TypeVar("R", bound=Record)


class DiskSpace(Record):
    """The free bytes of disks before a run had hosts, by folders of this machine."""

    free: dict[str, int]


class LoggedError(Record):
    """An error that the logs of a role's host have: its first message and line, and how often it came.

    ``kind`` is the message without what is different each time; ``log`` is a path
    on the host, ``number`` that of the line, from 1, 0 where it is not known.
    """

    role: str
    kind: str
    times: int
    message: str
    log: str
    number: int = 0
    line: str = ""


class LoggedErrors(Record):
    """The errors that came again and again in the logs of a run."""

    errors: tuple[LoggedError, ...] = ()


@dataclass(frozen=True)
class ValueKey(Generic[R]):
    """The key of a value that is saved as ``state/NAME.json``."""

    name: str
    type: type[R]


PLANNED_CASES = ValueKey("planned_cases", PlannedCases)
COMMIT = ValueKey("commit", Commit)
PREVIOUS_COMMIT = ValueKey("previous", Commit)  # the version that scenarios upgrade from
IMAGES = ValueKey("platform", PlatformImages)
SIGNING_KEY = ValueKey("key", SigningKey)
BUILD = ValueKey("build", Build)
PUBLISHED_REPO = ValueKey("supplied", Repo)  # where packages that were not built here come from
REPO = ValueKey("repo", Repo)
ISOLATION = ValueKey("isolation", Isolation)
OUTSIDE_ISSUER = ValueKey("issuer", OutsideIssuer)
TESTBED = ValueKey("testbed", TestbedHosts)
DISK_SPACE = ValueKey("disks", DiskSpace)
INSTALLED = ValueKey("installed", Installed)
TOKEN = ValueKey("token", Token)
LOGGED_ERRORS = ValueKey("errors", LoggedErrors)


def installed_on(role: str) -> ValueKey[Installed]:
    """Return the key of what one role's host has installed."""
    return ValueKey(f"installed.{role}", Installed)
