"""Secrets that go over several lines: in rows of xxd, hexdump, od and curl --trace, and in folded lines."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

WIDTHS = frozenset((60, 64, 70, 72, 75, 76, 78, 79, 80, 100, 120, 128, 132))  # columns at which programs wrap
_REACH = 100  # bytes of a secret on either side of the place where it is folded
# An offset, and groups of digits up to two blanks, a bar or the text that they stand for.
_GROUP = rb"[0-9A-Fa-f]{2,16}"
_ROW = re.compile(
    rb"0(?<![\w.]0)[0-9A-Fa-f]{3,7}(?:: ((?:" + _GROUP + rb"(?: |(?!\w)))++)"
    rb"| {1,2}((?:" + _GROUP + rb"(?: {1,2}|(?!\w)))++))[^\n]*"
)
_ROW_LENGTH = 16  # bytes; of pairs of digits, what follows is the text that they stand for
_MAIL_LINE = re.compile(rb"begin [0-7]{3,4} |M[ -`]{60}\r?\n")  # of uuencode
_SOFT_END = re.compile(rb"[^\n]=\r?\n\Z")  # of quoted-printable


def may_go_on(data: bytes, start: int, end: int) -> bool:
    """Return whether a line, between two places of the data, may go on in the next: a row, folded, or of mail."""
    if end - start - 1 in WIDTHS or _MAIL_LINE.match(data, start, end):
        return True
    if _SOFT_END.search(data, max(start, end - 4), end):
        return True
    return _ROW.search(data, start, min(end, start + 500)) is not None


def redact_rows(data: bytes, mark: bytes, is_secret: Callable[[bytes], bool]) -> bytes:
    """Return the data with all rows of dumps replaced if what they show together contains a secret."""
    rows = [(match[1] or match[2]).split() for match in _ROW.finditer(data)]
    return _ROW.sub(mark, data) if rows and is_secret(_decode(rows)) else data


def redact_folded(data: bytes, mark: bytes, replace: Callable[[bytes, bytes], bytes]) -> bytes:
    """Return the data with each secret replaced that ends one line and begins the next, at a usual column."""
    lines = data.split(b"\n")
    folded = [number for number, line in enumerate(lines[:-1]) if len(line) in WIDTHS]
    joined = b"\n".join(lines[number][-_REACH:] + lines[number + 1][:_REACH] for number in folded)
    if replace(joined, mark) == joined:
        return data
    for number in folded:
        end, begin = lines[number][-_REACH:], lines[number + 1][:_REACH]
        shown = replace(end + begin, mark)
        if shown != end + begin:
            pairs = enumerate(zip(shown, end + begin, strict=False))
            place = next((index for index, (new, old) in pairs if new != old), len(end))
            lines[number] = lines[number][: -len(end)] + shown[:place] + mark
            lines[number + 1] = shown[place + len(mark) :] + lines[number + 1][_REACH:]
    return b"\n".join(lines)


def _decode(rows: list[list[bytes]]) -> bytes:
    """Return the bytes of all rows, as they stand and with the bytes of each group in the other order."""
    plain, swapped = bytearray(), bytearray()
    for groups in rows:
        size = len(groups[0])
        try:
            if size in (3, 6):  # od's octal numbers
                row = [(int(group, 8) & 0xFFFF).to_bytes(2, "little")[: size // 3] for group in groups]
                other = row
            else:
                row = [binascii.unhexlify(group) for group in groups[: _ROW_LENGTH if size == 2 else None]]
                other = [group[::-1] for group in row]
        except ValueError:
            continue
        plain += b"".join(row)
        swapped += b"".join(other)
    return bytes(plain) if plain == swapped else bytes(plain + b"\n" + swapped)
