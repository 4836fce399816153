"""Debian relations between packages into RPM's.

    a (>= 1:2.0-1), b | c (<< 3)   ->   a >= 1:2.0-1   and   (b or c < 3)

Architecture qualifiers (``python3:any``) are dropped: one platform has one
architecture.  An RPM relation without a release matches every release, a
Debian relation without a revision means revision 0; the table below keeps the
meaning.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from . import versions
from .errors import ConversionError
from .versions import RpmVersion

_RELATION = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9+.\-]*)(?::[a-z0-9\-]+)?"
    r"\s*(?:\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^)\s]+)\s*\))?\s*"
)
_OPERATORS = {"<<": "<", "<=": "<=", "=": "=", ">=": ">=", ">>": ">", "<": "<=", ">": ">="}


@dataclass(frozen=True)
class Relation:
    """A package name and, where ``operator`` is not empty, the versions meant."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.version}" if self.operator else self.name


def parse(field: str) -> list[tuple[Relation, ...]]:
    """Return the groups of a relation field, each with its alternatives in order."""
    groups = []
    for text in field.split(","):
        if text.strip():
            groups.append(tuple(_one(alternative) for alternative in text.split("|")))
    return groups


def _one(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise ConversionError(f"not a Debian relation: {text!r}")
    if not match["operator"]:
        return Relation(match["name"])
    operator, version = _bounds(_OPERATORS[match["operator"]], match["version"])
    return Relation(match["name"], operator, str(version))


def _bounds(operator: str, text: str) -> tuple[str, RpmVersion]:
    epoch, upstream, revision = versions.split(text)
    version = versions.safe(upstream)
    if revision is None:
        # Only these two would take in, or leave out, the releases of that very version.
        exact = operator in (">", "<=")
        return operator, RpmVersion(epoch, version, "0" if exact else "")
    if revision[:1] in (".", "+"):
        # "<< 1.0-." is the idiom for "any revision of 1.0, but not what follows".
        every = {"<": "<=", "<=": "<=", ">": ">", ">=": ">"}.get(operator)
        if every is not None:
            return every, RpmVersion(epoch, version, "")
    return operator, RpmVersion(epoch, version, versions.safe(revision) or "0")


def requirement(alternatives: tuple[Relation, ...]) -> str:
    """Return one group as the text after ``Requires:``."""
    unique = list(dict.fromkeys(str(relation) for relation in alternatives))
    return unique[0] if len(unique) == 1 else f"({' or '.join(unique)})"


def requirements(field: str) -> list[str]:
    """Translate Depends or Pre-Depends."""
    return list(dict.fromkeys(requirement(group) for group in parse(field)))


def provisions(field: str, *, without: Collection[str] = ()) -> list[str]:
    """Translate Provides; ``without`` names what must not be offered."""
    single = [group[0] for group in parse(field)]
    return list(dict.fromkeys(str(relation) for relation in single if relation.name not in without))


def conflicts(*fields: str, own: Collection[str], real: Collection[str]) -> list[str]:
    """Translate Conflicts and Breaks.

    A Debian package may conflict with a name it provides itself ("only one of
    us"); RPM would keep it from ever being installed, so ``own`` names are
    left out.  Only packages converted with it (``real``) are meant at all: a
    Debian conflict with a version never means a name that is merely provided,
    RPM's does; and what a platform adds under a name of its own (initscripts)
    is not what Debian had in mind.
    """
    single = [group[0] for field in fields for group in parse(field)]
    meant = [relation for relation in single if relation.name in real and relation.name not in own]
    return list(dict.fromkeys(str(relation) for relation in meant))
