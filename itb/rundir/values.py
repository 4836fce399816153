"""The values that phases save in a run directory, as typed keys: a type checker knows what a name holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

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


@dataclass(frozen=True)
class Value(Generic[R]):
    """A value that is saved as ``state/NAME.json``."""

    name: str
    type: type[R]


PLANNED_CASES = Value("planned_cases", PlannedCases)
COMMIT = Value("commit", Commit)
PREVIOUS = Value("previous", Commit)  # what scenarios upgrade from
IMAGES = Value("platform", PlatformImages)
SIGNING_KEY = Value("key", SigningKey)
BUILD = Value("build", Build)
SUPPLIED = Value("supplied", Repo)  # where packages that were not built here are published
REPO = Value("repo", Repo)
TESTBED = Value("testbed", TestbedHosts)
INSTALLED = Value("installed", Installed)
TOKEN = Value("token", Token)


def installed_on(role: str) -> Value[Installed]:
    """Return the key of what one role's host has installed."""
    return Value(f"installed.{role}", Installed)
