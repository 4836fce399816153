"""Translating Debian relations between packages into RPM's.

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
    """A package name and, if ``operator`` is not empty, a bound on its version."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.version}" if self.operator else self.name


def parse(field: str) -> list[tuple[Relation, ...]]:
    """Return the groups of a relation field, each a tuple of its alternatives in order."""
    groups = []
    for text in field.split(","):
        if text.strip():
            groups.append(tuple(_parse_relation(alternative) for alternative in text.split("|")))
    return groups


def _parse_relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise ConversionError(f"not a Debian relation: {text!r}")
    if not match["operator"]:
        return Relation(match["name"])
    operator, version = _translate_bound(_OPERATORS[match["operator"]], match["version"])
    return Relation(match["name"], operator, str(version))


def _translate_bound(operator: str, text: str) -> tuple[str, RpmVersion]:
    epoch, upstream, revision = versions.split(text)
    version = versions.safe(upstream)
    if revision is None:
        # Only with these two does the release decide whether that very version matches.
        is_exact = operator in (">", "<=")
        return operator, RpmVersion(epoch, version, "0" if is_exact else "")
    if revision[:1] in (".", "+"):
        # "<< 1.0-." is the idiom for "any revision of 1.0, but not what follows".
        operator_for_all = {"<": "<=", "<=": "<=", ">": ">", ">=": ">"}.get(operator)
        if operator_for_all is not None:
            return operator_for_all, RpmVersion(epoch, version, "")
    return operator, RpmVersion(epoch, version, versions.safe(revision) or "0")


def requirement(alternatives: tuple[Relation, ...]) -> str:
    """Return one group as the text after ``Requires:``."""
    unique = list(dict.fromkeys(str(relation) for relation in alternatives))
    return unique[0] if len(unique) == 1 else f"({' or '.join(unique)})"


def requirements(field: str) -> list[str]:
    """Return the requirements that Depends or Pre-Depends mean."""
    return list(dict.fromkeys(requirement(group) for group in parse(field)))


def provisions(field: str, *, without: Collection[str] = ()) -> list[str]:
    """Return the names that Provides means, without those in ``without``."""
    relations = [group[0] for group in parse(field)]
    return list(dict.fromkeys(str(relation) for relation in relations if relation.name not in without))


def conflicts(*fields: str, own: Collection[str], real: Collection[str]) -> list[str]:
    """Return the conflicts that Conflicts and Breaks mean.

    A Debian package may conflict with a name that it provides itself, so that
    only one of several is installed; RPM would never install it, so ``own``
    names are left out.  Only packages converted with it (``real``) count: a
    Debian conflict with a version never applies to a name that is only
    provided, one of RPM does; and a package that a platform adds under a name
    of its own (initscripts) is not the one of Debian.
    """
    relations = [group[0] for field in fields for group in parse(field)]
    relevant = [relation for relation in relations if relation.name in real and relation.name not in own]
    return list(dict.fromkeys(str(relation) for relation in relevant))
