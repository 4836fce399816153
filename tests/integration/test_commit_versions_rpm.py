"""rpm itself orders the releases of :mod:`itb.commit_versions` as history does."""

from __future__ import annotations

import itertools

import pytest

from itb import commit_versions
from itb.config.product import BuildDefinition
from itb.containers.host import Host

PATTERN = commit_versions.compile_pattern(BuildDefinition(checkout_name="x").version_tags)


def compare(host: Host, pairs: list[tuple[str, str]]) -> list[int]:
    """What a host's rpm thinks of pairs of versions or releases: -1, 0 or 1."""
    lua = "; ".join(f'print(rpm.vercmp("{left}", "{right}"), "")' for left, right in pairs)
    return [int(word) for word in host.call("rpm", "--eval", f"%{{lua:{lua}}}").stdout.split()]


def build(tags: list[str], steps: int, commit: str, *, here: bool = False) -> tuple[str, str]:
    """Version and Release, with a dist, of a commit so many commits after the highest of these tags."""
    derived = commit_versions.derive(
        pattern=PATTERN,
        requested="",
        own_tags=tags if here else [],
        reachable_tags=tags,
        commit=commit,
        count=lambda _: steps,
    )
    return derived.version, f"{commit_versions.release(derived.rc, derived.rpm_release)}.el9"


@pytest.mark.parametrize("ids", [("a", "b"), ("b", "a"), ("0", "9"), ("9", "0"), ("e", "1")])
def test_history_is_in_order(ids: tuple[str, str], shared_host: Host) -> None:
    """From no tag at all to the next release's candidate; commit ids must not matter."""
    one, two = (letter * 40 for letter in ids)
    rc1, rc2 = ["v3_11_3_rc1"], ["v3_11_3_rc1", "v3_11_3_rc2"]
    final, following = [*rc2, "v3_11_3"], [*rc2, "v3_11_3", "v3_11_4_rc1"]
    history = [
        build([], 9, one), build([], 10, two),
        build(rc1, 0, one, here=True), build(rc1, 1, one), build(rc1, 2, two),
        build(rc1, 10, one), build(rc1, 11, two),
        build(rc2, 0, one, here=True), build(rc2, 1, two), build(rc2, 99, one), build(rc2, 100, two),
        build(final, 0, one, here=True), build(final, 1, two), build(final, 6, one), build(final, 17, two),
        ("3.11.3", "2.el9"),  # a respin of the final release
        build(following, 0, one, here=True), build(following, 3, one),
        build([*following, "v3_11_10"], 0, one, here=True),
    ]  # fmt: skip
    steps = list(itertools.pairwise(history))
    versions_differ = compare(shared_host, [(old, new) for (old, _), (new, _) in steps])
    releases_differ = compare(shared_host, [(old, new) for (_, old), (_, new) in steps])
    orders = [first or second for first, second in zip(versions_differ, releases_differ, strict=True)]
    wrong = [step for step, order in zip(steps, orders, strict=True) if order != -1]
    assert not wrong, "the first of each is not older than the second"
