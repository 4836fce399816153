"""Tables of text that others wrote."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from itb.util.text import clean


def shown(text: str) -> str:
    """Return text of others as a table may show it: without control characters, its brackets no markup."""
    return escape(clean(text))


class Listing(Table):
    """A plain table whose first column is never cut: people copy names from there."""

    def __init__(self, first: str, *more: str) -> None:
        super().__init__(box=None)
        self.add_column(first, no_wrap=True)
        for heading in more:
            self.add_column(heading)

    def add(self, *cells: object) -> None:
        """Add a row of text that others may have written."""
        self.add_row(*(shown(str(cell)) for cell in cells))
