"""Debian's versions and relations in RPM's words."""

from __future__ import annotations

import pytest

from itb.debtorpm import relations, versions
from itb.debtorpm.errors import ConversionError


@pytest.mark.parametrize(
    ("debian", "rpm"),
    [
        ("1.2-3", "1.2-3"),
        ("1.2", "1.2-0"),  # native: no revision is revision 0
        ("2:1.2-3", "2:1.2-3"),
        ("0:1.2-3", "1.2-3"),
        ("1.0~rc1-1~deb13u1", "1.0~rc1-1~deb13u1"),
        ("23.9.6+dfsg-2.1+b10", "23.9.6+dfsg-2.1+b10"),
        ("1.0-beta-1", "1.0_beta-1"),  # only the last hyphen starts the revision
        ("1:2:3-4", "1:2_3-4"),
        ("1:4.16.0-2+really2.41.5-0+deb13u1", "1:4.16.0_2+really2.41.5-0+deb13u1"),
        ("1.134+dfsg+~1.134+~24178.045bd88-3", "1.134+dfsg+~1.134+~24178.045bd88-3"),
    ],
)
def test_version_of_a_package(debian: str, rpm: str) -> None:
    assert str(versions.of_package(debian)) == rpm


@pytest.mark.parametrize("text", ["", "a:1.0-1", "1.0 beta", "1.0-1;rm", "1_0-1"])
def test_what_is_no_debian_version(text: str) -> None:
    with pytest.raises(ConversionError, match="not a Debian version"):
        versions.of_package(text)


@pytest.mark.parametrize(
    ("debian", "rpm"),
    [
        ("libc6 (>= 2.38)", ["libc6 >= 2.38"]),
        ("a, b (= 1:2.0-1)", ["a", "b = 1:2.0-1"]),
        ("a | b (>= 2) | c", ["(a or b >= 2 or c)"]),
        ("python3:any (>= 3~), perl:any", ["python3 >= 3~", "perl"]),
        ("a(>=1),b( << 2 )", ["a >= 1", "b < 2"]),
        ("a (> 1.0-1)", ["a >= 1.0-1"]),  # dpkg's old single signs mean "or equal"
        ("a (< 1.0-1)", ["a <= 1.0-1"]),
        ("a, b, a", ["a", "b"]),
        ("a | a:any", ["a"]),
        ("libstdc++6 (>= 14), g++-14-x86-64-linux-gnu", ["libstdc++6 >= 14", "g++-14-x86-64-linux-gnu"]),
        ("", []),
        ("a,\n b", ["a", "b"]),
    ],
)
def test_requirements(debian: str, rpm: list[str]) -> None:
    assert relations.requirements(debian) == rpm


@pytest.mark.parametrize(
    ("debian", "rpm"),
    [
        ("a (>> 1.0)", "a > 1.0-0"),  # 1.0-1 is later than 1.0 for dpkg
        ("a (<= 1.0)", "a <= 1.0-0"),  # and so it is not meant here
        ("a (<< 1.0)", "a < 1.0"),
        ("a (>= 1.0)", "a >= 1.0"),
        ("a (= 1.0)", "a = 1.0"),
        ("a (<< 1.0-.)", "a <= 1.0"),  # every revision of 1.0
        ("a (>= 1.0-.)", "a > 1.0"),
        ("a (<< 1.0-2~)", "a < 1.0-2~"),
        ("a (<< 3.0-1+b1)", "a < 3.0-1+b1"),
    ],
)
def test_bounds_keep_their_meaning(debian: str, rpm: str) -> None:
    assert relations.requirements(debian) == [rpm]


@pytest.mark.parametrize("text", ["a (2)", "a (== 1)", "a (>= 1", "(>= 1)", "a b", "ä"])
def test_what_is_no_relation(text: str) -> None:
    with pytest.raises(ConversionError, match="not a Debian"):
        relations.requirements(text)


def test_provisions_leave_out_what_nobody_may_offer() -> None:
    field = "httpd, httpd-cgi, apache2-api-20120211 (= 2.4)"
    assert relations.provisions(field, without={"httpd", "httpd-cgi"}) == ["apache2-api-20120211 = 2.4"]


def test_conflicts_with_packages_that_are_there() -> None:
    conflicting = relations.conflicts("old (<< 2), absent", "other", own=set(), real={"old", "other"})
    assert conflicting == ["old < 2", "other"]


def test_no_package_conflicts_with_itself() -> None:
    field = "mail-transport-agent, postfix"
    assert relations.conflicts(field, own={"mail-transport-agent"}, real={"postfix"}) == ["postfix"]
