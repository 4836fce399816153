"""Deriving the version of a commit from its tags, so that rpm orders builds as history does.

A ReleaseManager turns ``--release-version``, ``--rc`` and ``--rpm-release``
into an RPM's Version and Release like this (GlideinWMS 3.9.6 and later;
``%dist`` follows)::

    candidate N        0.N.rcN          candidate N, release R    0.N.rcN.R
    final              1                final, release R          R

A commit that has a version tag is that version.  Any other is built as a
step after the highest version tag in its history, K commits later:

    after candidate N  0.N.rcN.K.gCOMMIT    above that candidate, below the next and the final
    after the final    1.K.gCOMMIT          above the final, below a respin (2) and the next version
    without any tag    0.K.gCOMMIT of version 0

A descendant has all tags of its ancestors in its history and more commits
after the same tag, so it never sorts below them; ``git describe`` alone,
which prefers the nearest tag to the highest, does not keep that promise
where an old branch is merged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

ID_LENGTH = 9  # hex digits of a commit id in a release: unambiguous in a repository of millions of objects


@dataclass(frozen=True, order=True)
class TagVersion:
    """The version of a tag; ``rank`` is the candidate's number, or infinite for the final version."""

    numbers: tuple[int, ...]
    rank: float
    tag: str

    @property
    def version(self) -> str:
        """Return the version with dots: 3.11.2."""
        return ".".join(str(number) for number in self.numbers)

    @property
    def rc(self) -> int:
        """Return the number of the release candidate, 0 for a final release."""
        return 0 if self.rank == float("inf") else int(self.rank)


@dataclass(frozen=True)
class CommitVersion:
    """The version of a commit; ``describe`` is like git's: tag, or tag-commits-gid."""

    version: str
    rc: int
    rpm_release: str
    describe: str


def parse(tag: str, pattern: re.Pattern[str]) -> TagVersion | None:
    """Return the version of a tag, or None if it is no version tag.

    ``pattern`` must match the whole tag; its group ``version`` holds numbers
    between underscores, dots or dashes, its group ``rc``, if it has one, a
    positive number.
    """
    match = pattern.fullmatch(tag)
    if match is None:
        return None
    groups = match.groupdict()
    numbers = tuple(int(number) for number in re.findall(r"\d+", groups["version"] or ""))
    candidate = groups.get("rc")
    if not numbers or (candidate is not None and int(candidate) == 0):
        return None
    return TagVersion(numbers, float("inf") if candidate is None else int(candidate), tag)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a product's ``version_tags``; ``v3_10_7_RC1`` is a candidate as much as ``..._rc1``."""
    return re.compile(text, re.IGNORECASE)


def highest(tags: Iterable[str], pattern: re.Pattern[str]) -> TagVersion | None:
    """Return the highest version among tags, None if none of them is a version tag."""
    return max((version for tag in tags if (version := parse(tag, pattern))), default=None)


def derive(
    *,
    pattern: re.Pattern[str],
    requested: str,
    own_tags: Iterable[str],
    reachable_tags: Iterable[str],
    commit: str,
    count: Callable[[str], int],
    dirty: bool = False,
) -> CommitVersion:
    """Return the version of a commit.

    ``requested`` is the tag that the user named, or empty; ``own_tags`` are
    the tags of the commit, ``reachable_tags`` those of its history; ``count``
    returns the number of commits after a tag (all, for the empty string);
    ``dirty`` marks a commit made of a work tree.
    """
    own_tags = list(own_tags)
    exact = (parse(requested, pattern) if requested in own_tags else None) or highest(own_tags, pattern)
    if exact is not None:
        return CommitVersion(exact.version, exact.rc, "", exact.tag)
    base = highest(reachable_tags, pattern)
    steps = count(base.tag if base else "")
    suffix = f"{steps}.g{commit[:ID_LENGTH]}" + (".dirty" if dirty else "")
    mark = "-dirty" if dirty else ""
    if base is None:
        return CommitVersion("0", 0, f"0.{suffix}", f"g{commit[:ID_LENGTH]}{mark}")
    release = suffix if base.rc else f"1.{suffix}"
    return CommitVersion(base.version, base.rc, release, f"{base.tag}-{steps}-g{commit[:ID_LENGTH]}{mark}")


def release(rc: int, rpm_release: str) -> str:
    """Return the Release, without ``%dist``, that a ReleaseManager makes from these arguments."""
    if rc:
        return f"0.{rc}.rc{rc}" + (f".{rpm_release}" if rpm_release else "")
    return rpm_release or "1"


def nearest(name: str, names: Iterable[str], *, limit: int = 3) -> list[str]:
    """Return the most similar names: first the same version in another notation, then similar spellings."""
    names = list(dict.fromkeys(names))
    key = _normalize(name)
    by_key: dict[str, list[str]] = {}
    for other in names:
        by_key.setdefault(_normalize(other), []).append(other)
    close = difflib.get_close_matches(key, by_key, n=4 * limit, cutoff=0.65)
    numbers = _numbers(name)
    close.sort(key=lambda item: (-difflib.SequenceMatcher(None, key, item).ratio(), _gap(numbers, item)))
    similar = [other for item in close for other in by_key[item]]
    return list(dict.fromkeys([*by_key.get(key, []), *similar]))[:limit]


def _normalize(name: str) -> str:
    """Return ``3_11_2_rc1`` for ``v3.11.2-rc1``, ``3_11_2_RC1`` and ``origin/v3_11_2_rc1`` alike."""
    last = name.rpartition("/")[2] if re.search(r"\d", name) else name
    return re.sub(r"[._-]*rc[._-]*", "_rc", re.sub(r"[._\-]+", "_", last.lower()).removeprefix("v"))


def _numbers(name: str) -> list[int]:
    return [int(number[:9]) for number in re.findall(r"\d+", name)]


def _gap(numbers: list[int], name: str) -> list[int]:
    """Return the differences between the numbers of two versions, first number first."""
    other = _numbers(name)
    length = max(len(numbers), len(other))
    padded = [[*item, *[0] * (length - len(item))] for item in (numbers, other)]
    return [abs(left - right) for left, right in zip(*padded, strict=True)]
