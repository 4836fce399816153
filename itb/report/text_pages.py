"""Writes text files of a run as HTML pages with numbered lines, which reports link to.

Of files that a browser may not take for text, such as a host's ``x.html``, reports link to nothing else.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from itb.report.quotes import path_inside
from itb.report.template import render
from itb.util import loglines
from itb.util.files import write_atomically
from itb.util.text import clean

FOLDER = "pages"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_PLAIN = re.compile(r"[^.]+\.(?:log|txt)")
MARGIN = 2000  # lines shown before and after a line that is linked to; the file has all


def write(rundir: Path, files: Mapping[str, Iterable[int]]) -> dict[str, str]:
    """Write a page for each of these files of a run directory; return the pages' paths by file.

    ``files`` maps a file to the numbers of the lines that reports link to;
    a page without any shows the beginning of its file.  Pages of earlier
    reports are removed.
    """
    shutil.rmtree(rundir / FOLDER, ignore_errors=True)
    pages: dict[str, str] = {}
    for file, numbers in files.items():
        # A host chose the name: with a suffix it may be too long, or it may be the name of another page's folder.
        page = f"{FOLDER}/{len(pages) + 1}-{_UNSAFE.sub('-', Path(file).name)[-60:]}.html"
        if _write(rundir, page, file, sorted(set(numbers))):
            pages[file] = page
    return pages


def is_plain(file: str) -> bool:
    """Return whether every browser and server takes a file of a run directory for plain text, by its name.

    Hosts choose names of their files: one that ends in .html or .svg is a
    page, and one without an ending that is known may be taken for one.  Those
    on top of the run directory are itb's.
    """
    path = Path(file)
    return len(path.parts) == 1 or _PLAIN.fullmatch(path.name) is not None


def _write(rundir: Path, page: str, file: str, numbers: list[int]) -> bool:
    """Write the page of a file; return whether the file has lines to show."""
    path = path_inside(rundir, file)
    lines = _lines(path, numbers) if path else {}
    if lines:
        text = render(
            "text.html.j2",
            file=clean(file),
            raw=f"../{quote(file)}" if is_plain(file) else "",
            lines=lines,
            marked=set(numbers),
        )
        write_atomically(rundir / page, text.encode("utf-8", "replace"))
    return bool(lines)


def _lines(path: Path, numbers: list[int]) -> dict[int, str]:
    """Return the lines of a file around the lines of these numbers, by number."""
    lines: dict[int, str] = {}
    for number in numbers or [1]:
        excerpt = loglines.excerpt(path, number, before=MARGIN, after=MARGIN)
        if excerpt:
            lines |= {excerpt.first + index: clean(line) for index, line in enumerate(excerpt.lines)}
    return dict(sorted(lines.items()))
