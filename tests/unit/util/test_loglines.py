"""Where a text is in a log, whatever the log is like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from itb.util import loglines


def log(folder: Path, content: str | bytes) -> Path:
    path = folder / "log"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("text", "more", "number"),
    [
        ("lost the disk", {}, 4),  # the last one
        ("lost the", {"first": True}, 2),
        ("lost the disk", {"first": True}, 4),  # which is the whole line
        ("lost the disk", {"hint": 2}, 2),
        ("lost the disk", {"hint": 3}, 4),  # that line says something else
        ("FATAL: lost the disk", {}, 2),
        ("FATAL:   lost\tthe disk", {}, 2),
        ("FATAL: lost the d…", {}, 2),  # shortened
        ("FATAL: lost the disk", {"begin": 21}, 0),
        ("found", {}, 0),
        ("up", {}, 1),  # not "upper"
        ("…", {}, 0),
        ("", {}, 0),
    ],
)
def test_the_line_of_a_text(tmp_path: Path, text: str, more: dict[str, int], number: int) -> None:
    path = log(tmp_path, "up\nFATAL: lost  the disk\nclosing\nlost the disk\nupper\n")
    assert loglines.number_of(path, text, **more) == number  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["\x1b[31mERROR: the \x1b[1mkey\x1b[0m is\x07 lost", "ERROR: the key is\ufffd lost", "the key"]
)
def test_a_line_with_colours_is_found_by_what_it_says(tmp_path: Path, text: str) -> None:
    """As it was printed, and as a report shows it."""
    path = log(tmp_path, "up\n\x1b[31mERROR: the \x1b[1mkey\x1b[0m is\x07 lost\r\ndown\n")
    assert loglines.number_of(path, text) == 2
    assert loglines.number_of(path, text, hint=2) == 2


def test_lines_are_counted_as_they_are_in_the_file(tmp_path: Path) -> None:
    """Not as str.splitlines() has them; a line of any length is one."""
    long = b"x" * 200_000
    path = log(tmp_path, b"a\x0b\x0cb\xe2\x80\xa8c\r\n\xff\n" + long + b"\nhere\n")
    assert loglines.number_of(path, "here") == 4
    found = loglines.excerpt(path, 4, before=2, after=9)
    assert found is not None
    assert (found.first, found.lines[0], found.lines[-1]) == (2, "\ufffd", "here")
    assert len(found.lines[1]) < len(long)


def test_of_a_huge_log_the_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loglines, "WINDOW", 40)
    path = log(tmp_path, "early\n" + "noise\n" * 100 + "late\n")
    assert loglines.number_of(path, "late") == 102
    assert loglines.number_of(path, "early") == 0


def test_what_is_no_file_has_no_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "fifo"):
        assert loglines.number_of(path, "x") == 0
        assert loglines.excerpt(path, 1, before=0, after=0) is None
    assert loglines.excerpt(log(tmp_path, "one\n"), 2, before=5, after=5) is None
