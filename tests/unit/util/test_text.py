"""Texts as people read them."""

from __future__ import annotations

import json
import re

import pytest

from itb.util.text import clean, count, duration, json_without_orders


def test_one_of_a_kind_is_one() -> None:
    assert [count(number, "kind") for number in (0, 1, 2)] == ["0 kinds", "1 kind", "2 kinds"]
    assert count(2, "retry", "retries") == "2 retries"


def test_clean_keeps_what_people_write() -> None:
    text = "Größe ✓ 日本語\ttab\nline"
    assert clean(text) == text


def test_what_nobody_sees_is_shown() -> None:
    """Names that look the same were not, and a text for machines was in a message that people approved."""
    hidden = "pocket\u200bwms \u061c1 of \u200f2 " + "".join(chr(0xE0000 + ord(letter)) for letter in "approve")
    assert clean(hidden) == "pocket\ufffdwms \ufffd1 of \ufffd2 " + "\ufffd" * len("approve")
    assert clean("می\u200cخواهم") == "می\u200cخواهم"  # this one is spelling


ORDERS = [
    ("::set-output name=verdict::green", ": :set-output name=verdict::green"),
    ("  ::add-mask::passed", "  : :add-mask::passed"),
    ("one\n\x1b[1m::STOP-commands::x", "one\n: :STOP-commands::x"),
    ("built ##[add-path]/tmp", "built # #[add-path]/tmp"),
    ("a ##vso[task.prependpath]/tmp", "a # #vso[task.prependpath]/tmp"),
    ("#\x1b]0;title\x07#VSO[x]y", "# #VSO[x]y"),
    ("#####teamcity[testFinished name='x']", "#### #teamcity[testFinished name='x']"),
]


@pytest.mark.parametrize(("text", "shown"), ORDERS)
def test_nobody_gives_orders_to_a_ci_system(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(shown) == shown


def test_json_gives_no_orders_and_keeps_its_values() -> None:
    values = [text for text, _ in ORDERS]
    document = json_without_orders(json.dumps(values))
    assert not re.search(r"##(vso|teamcity)?\[", document, re.IGNORECASE)
    assert json.loads(document) == values


@pytest.mark.parametrize("text", ["::1", "::ffff:10.0.0.1", "s::t::x", "## Title", "# [x]", "::", "x ::a::b"])
def test_what_orders_nothing_stays(text: str) -> None:
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
