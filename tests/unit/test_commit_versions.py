"""Versions from tags; that rpm orders them so is shown in tests/integration/test_commit_versions_rpm.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from itb import commit_versions
from itb.config.product import BuildDefinition

PATTERN = commit_versions.compile_pattern(BuildDefinition(checkout_name="x").version_tags)
ID = "14394c235eebe123dabe61a447c17866b675972c"


def after(steps: int) -> Callable[[str], int]:
    return lambda _tag: steps


def derive(
    *,
    here: tuple[str, ...] = (),
    reachable: tuple[str, ...] = (),
    asked: str = "",
    steps: int = 6,
    dirty: bool = False,
) -> commit_versions.CommitVersion:
    return commit_versions.derive(
        pattern=PATTERN,
        requested=asked,
        own_tags=here,
        reachable_tags=(*reachable, *here),
        commit=ID,
        count=after(steps),
        dirty=dirty,
    )


@pytest.mark.parametrize(
    ("tag", "version", "rc"),
    [
        ("v3_11_2", "3.11.2", 0),
        ("v3_11_3_rc2", "3.11.3", 2),
        ("v3_10_7_RC1", "3.10.7", 1),
        ("v3_2_7_2", "3.2.7.2", 0),
        ("v3_11_1_rc10", "3.11.1", 10),
    ],
)
def test_version_tags(tag: str, version: str, rc: int) -> None:
    derived = commit_versions.parse(tag, PATTERN)
    assert derived
    assert (derived.version, derived.rc) == (version, rc)


@pytest.mark.parametrize(
    "tag", ["3_10_12", "v3", "v3_11_2-test", "before_v3_11_2", "v3_11_2_rc0", "v3_11_2_rc", ""]
)
def test_other_tags(tag: str) -> None:
    assert commit_versions.parse(tag, PATTERN) is None


def test_highest_is_by_number_not_by_text() -> None:
    derived = commit_versions.highest(["v3_9_6", "v3_11_1", "v3_11_2_rc10", "v3_11_2_rc9", "nightly"], PATTERN)
    assert derived
    assert derived.tag == "v3_11_2_rc10"


def test_final_is_above_its_candidates() -> None:
    derived = commit_versions.highest(["v3_11_2", "v3_11_2_rc10"], PATTERN)
    assert derived
    assert derived.tag == "v3_11_2"


def test_tagged_commit_is_the_version_itself() -> None:
    assert derive(here=("v3_11_3_rc2",)) == commit_versions.CommitVersion("3.11.3", 2, "", "v3_11_3_rc2")
    assert derive(here=("v3_11_3",)) == commit_versions.CommitVersion("3.11.3", 0, "", "v3_11_3")


def test_of_two_tags_the_one_asked_for_counts_else_the_final() -> None:
    both = ("v3_11_3_rc3", "v3_11_3")
    assert derive(here=both).describe == "v3_11_3"
    assert derive(here=both, asked="v3_11_3_rc3").describe == "v3_11_3_rc3"
    assert derive(here=both, asked="nightly").describe == "v3_11_3"


def test_commit_after_a_candidate() -> None:
    derived = derive(reachable=("v3_11_2", "v3_11_3_rc2"))
    assert (derived.version, derived.rc, derived.rpm_release) == ("3.11.3", 2, "6.g14394c235")
    assert derived.describe == "v3_11_3_rc2-6-g14394c235"
    assert commit_versions.release(derived.rc, derived.rpm_release) == "0.2.rc2.6.g14394c235"


def test_commit_after_a_final_release() -> None:
    derived = derive(reachable=("v3_11_3_rc3", "v3_11_3"))
    assert commit_versions.release(derived.rc, derived.rpm_release) == "1.6.g14394c235"


def test_a_merged_old_branch_does_not_lower_the_version() -> None:
    """The nearest tag of such a commit, git describe's choice, would be the old branch's."""
    assert derive(reachable=("v3_10_18_rc1", "v3_11_3")).version == "3.11.3"


def test_no_version_tag_at_all() -> None:
    derived = derive(reachable=("nightly",), steps=120)
    assert (derived.version, derived.rc, derived.rpm_release) == ("0", 0, "0.120.g14394c235")


def test_work_tree_says_so() -> None:
    derived = derive(reachable=("v3_11_3",), steps=1, dirty=True)
    assert derived.rpm_release == "1.1.g14394c235.dirty"
    assert derived.describe == "v3_11_3-1-g14394c235-dirty"


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("v3.11.3-rc2", "v3_11_3_rc2"),
        ("3.11.2", "v3_11_2"),
        ("v3_11_3_RC2", "v3_11_3_rc2"),
        ("v3_11_9", "v3_11_3"),
        ("v3_12_0", "v3_11_0"),
        ("branch_v311", "branch_v3_11"),
        ("mastre", "master"),
    ],
)
def test_nearest(wanted: str, first: str) -> None:
    names = ["v3_11_0", "v3_11_2", "v3_11_3", "v3_11_3_rc2", "v3_9_5", "master", "branch_v3_11", "branch_v3_9"]
    assert commit_versions.nearest(wanted, names)[0] == first


@pytest.mark.parametrize("wanted", ["", "$(reboot)", "zzz", "é", "-x", "9" * 400])
def test_nothing_is_near_to_nonsense(wanted: str) -> None:
    assert commit_versions.nearest(wanted, ["v3_11_0", "master"]) == []
