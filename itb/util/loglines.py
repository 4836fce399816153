"""Lines of log files: where a text is, and what stands around a line; a file of any size takes bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from itb.util import files
from itb.util.text import clean

WINDOW = 32 << 20  # bytes of a log, from its end, in which a text is looked for
_LINE_LIMIT = 1 << 16  # bytes of a line that are looked at
_CHUNK_BYTES = 1 << 20
_COLOURS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")  # one may begin within a word
_CUT_OFF = "…"  # ends a text that was shortened


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a file without their ends; ``first`` is the number of the first, from 1."""

    first: int
    lines: tuple[str, ...]


def number_of(path: Path, text: str, *, begin: int = 0, hint: int = 0, first: bool = False) -> int:
    """Return the number (from 1) of a line of a file that has a text in it; 0 if none.

    White space, colours and other control characters make no difference.
    ``begin`` is the byte before which nothing counts.  The line of the number
    ``hint`` is taken if it has the text; else the ``first`` or, by default,
    the last one that has, one that is the whole text before others.  Of a
    file of more than 32 MiB only the end counts.
    """
    needle = _plain(text).removesuffix(_CUT_OFF)
    if not needle:
        return 0
    # Only lines with this are looked at closely; characters that a report shows as another are in no file.
    word = max(re.split(r"[\s\ufffd]+", needle), key=len).encode()
    containing: list[int] = []
    equal: list[int] = []
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            for number, line in _lines_from(file, begin):
                is_likely = word in (_COLOURS.sub(b"", line) if b"\x1b" in line else line)
                words = _plain(line.decode("utf-8", "replace")) if is_likely else ""
                if number == hint and needle in words:
                    return number
                if words and needle in words:
                    (equal if needle == words else containing).append(number)
    except OSError:
        return 0
    numbers = equal or containing or [0]
    return numbers[0 if first else -1]


def _plain(text: str) -> str:
    return " ".join(clean(text).split())


def excerpt(path: Path, line: int, *, before: int, after: int) -> Excerpt | None:
    """Return a line of a file and as many lines before and after it as there are; None if it cannot be read."""
    lines: list[str] = []
    first = max(1, line - before)
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            for number, text in _numbered(file, 1):
                if number > line + after:
                    break
                if number >= first:
                    lines.append(text.decode("utf-8", "replace").rstrip("\r\n"))
    except OSError:
        return None
    return Excerpt(first, tuple(lines)) if first + len(lines) > line else None


def _lines_from(file: BinaryIO, begin: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines from a byte on, but not from before the window, with their numbers."""
    end = os.fstat(file.fileno()).st_size
    begin = max(min(begin, end), end - WINDOW)
    number, left = 1, begin
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        number += chunk.count(b"\n")
        left -= len(chunk)
    return _numbered(file, number)


def _numbered(file: BinaryIO, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that follow, counted from ``number``; of a long one only its beginning."""
    inside = False
    while piece := file.readline(_LINE_LIMIT):
        if not inside:
            yield number, piece
        inside = not piece.endswith(b"\n")
        number += not inside
