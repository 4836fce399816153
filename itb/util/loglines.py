"""Lines of log files: finding the line with a text, and the lines around it, in bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from itb.util import files
from itb.util.text import clean

WINDOW = 32 << 20  # bytes at the end of a log in which a text is looked for
_LINE_LIMIT = 1 << 16  # bytes of a line that are read
_CHUNK_BYTES = 1 << 20
_COLOURS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")  # one may stand inside a word
_CUT_OFF = "…"  # ends a text that was shortened


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a file without line ends; ``first`` is the number of the first, from 1."""

    first: int
    lines: tuple[str, ...]


def number_of(path: Path, text: str, *, begin: int = 0, hint: int = 0, first: bool = False) -> int:
    """Return the number (from 1) of a line of a file that contains a text; 0 if none does.

    White space, colours and other control characters are ignored, and so are
    all lines before the byte ``begin``.  The line number ``hint`` is preferred
    if it has the text, then lines that equal the text, and of these the last
    one, or the ``first``.  Only the last 32 MiB of a file are read.
    """
    needle = _plain(text).removesuffix(_CUT_OFF)
    if not needle:
        return 0
    # A line is decoded only if it has this word, without characters that stand for unshowable ones in reports.
    word = max(re.split(r"[\s\ufffd]+", needle), key=len).encode()
    containing: list[int] = []
    equal: list[int] = []
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            for number, line in _lines_from(file, begin):
                is_likely = word in (_COLOURS.sub(b"", line) if b"\x1b" in line else line)
                text_of_line = _plain(line.decode("utf-8", "replace")) if is_likely else ""
                if number == hint and needle in text_of_line:
                    return number
                if text_of_line and needle in text_of_line:
                    (equal if needle == text_of_line else containing).append(number)
    except OSError:
        return 0
    numbers = equal or containing or [0]
    return numbers[0 if first else -1]


def _plain(text: str) -> str:
    return " ".join(clean(text).split())


def excerpt(path: Path, line: int, *, before: int, after: int) -> Excerpt | None:
    """Return a line of a file with up to ``before`` and ``after`` lines around it; None if it cannot be read."""
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
    """Yield the numbers and the lines after a byte, but only those in the window at the end."""
    end = os.fstat(file.fileno()).st_size
    begin = max(min(begin, end), end - WINDOW)
    number, bytes_before = 1, begin
    while bytes_before and (chunk := file.read(min(bytes_before, _CHUNK_BYTES))):
        number += chunk.count(b"\n")
        bytes_before -= len(chunk)
    return _numbered(file, number)


def _numbered(file: BinaryIO, number: int) -> Iterator[tuple[int, bytes]]:
    """Yield the following lines, numbered from ``number``; of a long line only its beginning."""
    is_continued = False
    while chunk := file.readline(_LINE_LIMIT):
        if not is_continued:
            yield number, chunk
        is_continued = not chunk.endswith(b"\n")
        number += not is_continued
