"""Texts as people read them."""

from __future__ import annotations

import pytest

from itb.util.text import clean, count, duration


def test_one_of_a_kind_is_one() -> None:
    assert [count(number, "kind") for number in (0, 1, 2)] == ["0 kinds", "1 kind", "2 kinds"]
    assert count(2, "retry", "retries") == "2 retries"


def test_clean_keeps_what_people_write() -> None:
    text = "Größe ✓ 日本語\ttab\nline"
    assert clean(text) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.00 s"),
        (0.416, "0.42 s"),
        (4.06, "4.1 s"),
        (99.97, "1 min 40 s"),
        (3600, "1 h 00 min"),
        (3540, "59 min 00 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
