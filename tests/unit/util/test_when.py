"""Ages and dates as people type them."""

from __future__ import annotations

import pytest

from itb.errors import UsageError
from itb.util import when


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("12h", 43200), ("3d", 259200), ("2w", 1209600), (" 1d ", 86400)]
)
def test_ages(text: str, seconds: float) -> None:
    assert when.age(text, option="--older-than") == seconds
    assert when.since(text, option="--since", now=1e9) == 1e9 - seconds


@pytest.mark.parametrize("text", ["", "3", "d", "-1d", "1.5d", "1y", "9999999d", "²d", "1d1h"])
def test_no_age(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--older-than: "):
        when.age(text, option="--older-than")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-02", 86400),
        ("1970-01-01T01:00", 3600),
        ("1970-01-01T01:00:00+01:00", 0),
        ("19700102T000000Z", 86400),
    ],
)
def test_dates(text: str, moment: float) -> None:
    assert when.since(text, option="--since") == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01T00:00+99:00", "\0", "é"])
def test_neither_age_nor_date(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--since: .* neither an age nor a date"):
        when.since(text, option="--since")


def test_an_age_beyond_the_beginning_of_time_is_the_beginning() -> None:
    assert when.since("999999w", option="--since") == 0
