"""Tables for any width of terminal and for pipes; their text may come from others."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from itb.util.text import clean

_GAP = "  "
_LAST_COLUMN = 24  # columns; if the last column has no room for these, each row becomes a block


class Listing:
    """A plain table; for a pipe a row is one line, for a narrow terminal a block of lines.

    Names in the first column are never cut nor folded: people copy them from there.
    Without ``labels`` the cells of a block go without their headings.
    """

    def __init__(self, *headings: str, labels: bool = True) -> None:
        self.headings = headings
        self.labels = labels
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: object) -> None:
        """Add a row; its text may come from others."""
        self.rows.append(tuple(" ".join(str(cell).split()) for cell in cells))

    def print(self) -> None:
        """Print the table to the width of the terminal; elsewhere a line for each row."""
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in self.lines(width):
            print(line)

    def lines(self, width: int | None = None) -> list[str]:
        """Return the table in lines of at most ``width`` columns; without a width, a line for each row."""
        table = self._cleaned()
        filled = [place for place in range(len(self.headings)) if any(row[place] for row in table)]
        rows = [[row[place] for place in filled] for row in (self.headings, *table)]
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        fixed = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
        if width is None or fixed + widths[-1] <= width:
            return [_joined(row, widths).rstrip() for row in rows]
        if fixed + min(widths[-1], _LAST_COLUMN) <= width:
            return [line for row in rows for line in _folded(row, widths, width)]
        labels = rows[0] if self.labels else [""] * len(widths)
        return [line for row in rows[1:] for line in _block(row, labels, width)]

    def _cleaned(self) -> list[tuple[str, ...]]:
        """Return the rows without control characters and secrets; all at once, which is much quicker."""
        cells = clean("\n".join(cell for row in self.rows for cell in row)).split("\n")
        count = len(self.headings)
        if len(cells) != count * len(self.rows):  # a secret that went on from one cell to the next
            return [tuple(" ".join(clean(cell).split()) for cell in row) for row in self.rows]
        return [tuple(cells[start : start + count]) for start in range(0, len(cells), count)]


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))


def _folded(row: Sequence[str], widths: Sequence[int], width: int) -> list[str]:
    """Return a row in lines, the last cell folded."""
    margin = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    first, *more = textwrap.wrap(row[-1], width - margin, break_on_hyphens=False) or [""]
    line = _joined([*row[:-1], first], [*widths[:-1], 0]).rstrip()
    return [line, *(" " * margin + text for text in more)]


def _block(row: Sequence[str], labels: Sequence[str], width: int) -> list[str]:
    """Return a row as its first cell and, below it, the others, the last one in lines of its own."""
    name, *cells = row
    named = [
        f"{label}: {cell}" if label else cell for label, cell in zip(labels[1:-1], cells, strict=False) if cell
    ]
    separator = "; " if any(labels) else ", "
    return [name, *_wrapped(separator.join(named), width), *_wrapped(cells[-1] if cells else "", width)]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=_GAP, subsequent_indent=_GAP, break_long_words=False, break_on_hyphens=False
    )
