"""What was found out about this machine, and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from itb.model import Record


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"  # itb works, but not all of it, or not well
    BAD = "bad"  # itb cannot work


class Finding(Record):
    """One thing that was looked at: what was seen and, unless all is well, the remedy."""

    name: str
    level: Level
    seen: str
    remedy: str = ""


def ok(name: str, seen: str) -> Finding:
    """All is well."""
    return Finding(name=name, level=Level.OK, seen=seen)


def warn(name: str, seen: str, remedy: str) -> Finding:
    """It works, but not all of it, or not well."""
    return Finding(name=name, level=Level.WARN, seen=seen, remedy=remedy)


def bad(name: str, seen: str, remedy: str) -> Finding:
    """It cannot work like this."""
    return Finding(name=name, level=Level.BAD, seen=seen, remedy=remedy)
