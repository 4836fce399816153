"""Finds the lines that messages quote in the logs of a run directory, and reads the lines around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.model import Case, Quote
from itb.util import loglines
from itb.util.text import clean, one_line

BEFORE, AFTER = 30, 60  # lines of a log shown before and after the quoted one
_LAST = 12  # lines of evidence shown at once where none of them is quoted
_MORE = re.compile(r" \(?and \d+ more\)?( \(.*\))?$")  # the end of a message that names the first of several
_WIDEST = 2000  # characters shown of a line


@dataclass(frozen=True)
class QuoteContext:
    """A quoted line with the lines before and after it, of a log or, without a ``file``, of a case's evidence.

    ``line`` is the number of the quoted line, 0 in evidence.  ``quoted`` is
    empty where no line is quoted: ``after`` then holds the end of the evidence.
    """

    before: tuple[str, ...]
    quoted: str
    after: tuple[str, ...]
    file: str = ""
    line: int = 0


def path_inside(rundir: Path, file: str) -> Path | None:
    """Return the path of a regular file inside a run directory, links followed; None if there is none."""
    if not file or Path(file).is_absolute() or ".." in Path(file).parts:
        return None
    path = rundir / file
    try:
        is_inside = path.resolve().is_relative_to(rundir.resolve())
        return path if is_inside and path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def locate(rundir: Path, quote: Quote) -> Quote:
    """Return a quote with the number of its line in the run directory's log; 0 if the log lacks the line.

    A quote of a log that was not collected keeps the number it had on its host.
    """
    path = path_inside(rundir, quote.file)
    if path is None or not quote.text:
        return quote
    return quote.model_copy(update={"line": loglines.number_of(path, quote.text, hint=quote.line)})


def locate_quotes(rundir: Path, case: Case) -> Sequence[Quote]:
    """Return the quotes of a case that are in logs or tell of other trouble, each once, the cause first."""
    quotes = [locate(rundir, quote) for quote in case.quotes if quote.file or quote.also]
    return list({(quote.file, quote.line, quote.also): quote for quote in quotes}.values())


def file_and_line(quote: Quote) -> str:
    """Return the file and line of a quote: ``hosts/factory/journal.txt:12``."""
    return f"{quote.file}:{quote.line}" if quote.line else quote.file


def read_context(rundir: Path, quote: Quote) -> QuoteContext | None:
    """Return a located quote with the lines around it; None if its log does not have it."""
    path = path_inside(rundir, quote.file)
    excerpt = loglines.excerpt(path, quote.line, before=BEFORE, after=AFTER) if path and quote.line else None
    if excerpt is None:
        return None
    lines = tuple(_shown(line) for line in excerpt.lines)
    number = quote.line - excerpt.first
    after = _without_blank_end(lines[number + 1 :])
    return QuoteContext(lines[:number], lines[number], after, quote.file, quote.line)


def find_in_evidence(case: Case) -> QuoteContext | None:
    """Return a case's evidence, split at the line that the message quotes or near its end; None if it is empty."""
    lines = tuple(_shown(line) for line in case.evidence.strip("\n").splitlines())
    if not any(line.strip() for line in lines):
        return None
    message = _MORE.sub("", case.message)
    for text in [*(quote.text for quote in case.quotes if not quote.also), message]:
        quoted = one_line(text).removesuffix("…")
        numbers = [number for number, line in enumerate(lines) if quoted and quoted in " ".join(line.split())]
        if numbers:
            number = numbers[-1]
            return QuoteContext(lines[:number], lines[number], lines[number + 1 :])
    return QuoteContext(lines[:-_LAST], "", lines[-_LAST:])


def _shown(line: str) -> str:
    text = clean(line)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def _without_blank_end(lines: tuple[str, ...]) -> tuple[str, ...]:
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return lines[:end]
