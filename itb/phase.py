"""The phases of a run; a module of its own, which ``itb --help`` can import without pydantic."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """A group of test cases, and what a single command does.

    A case of an older version of itb may have a dot and more after its phase.
    """

    RUN = "run"  # the run itself, between phases
    RESOLVE = "resolve"
    PLATFORM = "platform"
    UP = "up"
    BUILD = "build"
    SERVE = "serve"
    INSTALL = "install"
    CONFIGURE = "configure"
    START = "start"
    TOKEN = "token"
    TEST = "test"
    EVIDENCE = "evidence"
    DOWN = "down"
