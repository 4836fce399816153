"""Tables on terminals of any width, and where programs read them."""

from __future__ import annotations

import pytest

from itb.cli.commands.listing import Listing
from itb.util.redact import MARK

TOKEN = "hvs." + "a" * 24
LONG = "a cause that goes on and on, for as long as a line of a log may well be"


def table(**options: bool) -> Listing:
    shown = Listing("run", "outcome", "hosts", "cause", **options)
    shown.add("20261128T205244Z-pocketwms-db662936-deb13", "failed (install)", "", LONG)
    shown.add("20261128T205144Z-pocketwms-116951f8-deb13", "passed", "", "")
    return shown


def test_for_programs_a_row_is_a_line() -> None:
    lines = table().lines(None)
    assert [len(line.split("  ")) for line in lines] == [line.count("  ") + 1 for line in lines]
    assert lines[1].endswith(LONG)
    assert len(lines) == 3
    assert "hosts" not in lines[0], "a column of nothing tells nothing"


@pytest.mark.parametrize("width", [120, 100, 80, 60, 40])
def test_nothing_is_lost_at_any_width(width: int) -> None:
    lines = table().lines(width)
    assert all(len(line) <= max(width, 41) for line in lines)
    words = " ".join(" ".join(lines).split())
    for text in ("20261128T205244Z-pocketwms-db662936-deb13", "failed (install)", "passed"):
        assert text in words
    assert set(LONG.split()) <= set(words.split())


def test_blocks_of_a_narrow_terminal_say_what_each_value_is() -> None:
    assert table().lines(60)[:2] == ["20261128T205244Z-pocketwms-db662936-deb13", "  outcome: failed (install)"]
    assert table(labels=False).lines(60)[1] == "  failed (install)"


def test_what_others_wrote_commands_no_terminal_and_makes_no_columns() -> None:
    shown = Listing("a", "b")
    shown.add("[red]x", "\x1b[31mred\x1b[0m \x07bell\u202eturned\ttab\nline\u2028more\rend")
    assert shown.lines()[1] == "[red]x  red \ufffdbell\ufffdturned tab line more end"


def test_secrets_are_not_shown_even_where_a_cell_is_not_the_whole_of_one() -> None:
    shown = Listing("a", "b")
    for _ in range(3):
        shown.add(TOKEN, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl")
    text = "\n".join(shown.lines())
    assert text.count(MARK) == 6
    assert TOKEN not in text


def test_wide_letters_take_two_columns() -> None:
    shown = Listing("a", "b")
    shown.add("日本", "x")
    shown.add("ab", "y")
    assert shown.lines() == ["a     b", "日本  x", "ab    y"]
