"""Private keys in text without their first or last line, with something before each line, or printed in parts.

A whole key, from its first line to its last, needs none of this.
"""

from __future__ import annotations

import re

_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
# The rest of a line, which may have some letters encoded.
_REST = rb"(?:[A-Za-z0-9+/]|%[0-9A-F]{2}|&#?\w{2,5};|\\+(?:/|u[0-9A-Fa-f]{4})){20,}={0,2}"
# How the base64 of a key begins: PKCS #8 and SEC 1 of up to 127, 255 and 65535 bytes, PKCS #1; OpenSSH's.
_FIRST_LINES = (re.compile(
    rb"M(?<![A-Za-z0-9+/]M)(?:[A-P][A-Za-z0-9+/](?:CAQAw|CAQEE)|I[GH][A-Za-z0-9+/]AgE(?:AM|BB)"
    rb"|II[A-Za-z0-9+/]{2}[AQgw]IBA(?:DA|AK))" + _REST
), re.compile(rb"b3BlbnNzaC1rZXktdjE" + _REST))  # fmt: skip
_FULL_LINE = re.compile(rb"(?<![A-Za-z0-9+/])([A-Za-z0-9+/]{40,}+={0,2})[ \t\r]*\Z")
_LAST_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2}[ \t\r]*\Z")

# What openssl prints of a key, number by number; its lines are indented by four blanks.
_NUMBER = rb"(?:priv|privateExponent|prime[0-9]{1,2}|exponent[0-9]{1,2}|coefficient[0-9]{0,2}):"
_NUMBER_LINE = rb"(?:[0-9A-Fa-f]{2}:)*[0-9A-Fa-f]{2}:?[ \t\r]*"
_PRINTED = re.compile(rb"(" + _NUMBER + rb")[ \t\r]*(?:\n[^\n]{0,200}?[ \t]{4}" + _NUMBER_LINE + rb"(?=\n|\Z))+")
_GOES_ON = re.compile(
    rb"(?:[A-Za-z0-9+/_.=-]{40}|" + _NUMBER + rb"|[ \t]{4}" + _NUMBER_LINE + rb")[ \t\r]*\n\Z"
)


def may_go_on(data: bytes, start: int, end: int) -> bool:
    """Return whether the line of the data between two places may belong to a key that goes on in the next line."""
    return bool(_GOES_ON.search(data, max(start, end - 500), end))


def replace(data: bytes, mark: bytes) -> bytes:
    """Return the data with the lines of keys replaced where these are broken."""
    if b"priv" in data or b"prime" in data:
        data = _PRINTED.sub(rb"\1 " + mark, data)
    if b"PRIVATE KEY" not in data and not _find_first_line(data):
        return data
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        if _END.search(line):
            _replace_before(lines, number - 1, mark)
        elif match := _find_first_line(line):
            lines[number] = line[: match.start()] + mark + line[match.end() :]
            _replace_after(lines, number + 1, match.start(), mark)
        elif _BEGIN.search(line) and number + 1 < len(lines) and (first := _FULL_LINE.search(lines[number + 1])):
            _replace_after(lines, number + 1, first.start(1), mark)
    return b"\n".join(lines)


def _find_first_line(data: bytes) -> re.Match[bytes] | None:
    return next(filter(None, (pattern.search(data) for pattern in _FIRST_LINES)), None)


def _replace_before(lines: list[bytes], number: int, mark: bytes) -> None:
    """Replace the lines of a key that end with this one, which is shorter than the others or as long."""
    if number > 0 and not _FULL_LINE.search(lines[number]) and (full := _FULL_LINE.search(lines[number - 1])):
        lines[number] = lines[number][: full.start(1)] + mark
        number -= 1
    while number >= 0 and (full := _FULL_LINE.search(lines[number])):
        lines[number] = lines[number][: full.start(1)] + mark
        number -= 1


def _replace_after(lines: list[bytes], number: int, place: int, mark: bytes) -> None:
    """Replace the lines of a key from this one on, with the last and shorter one; its words begin at ``place``."""
    while number < len(lines) and (full := _FULL_LINE.search(lines[number])):
        place = full.start(1)
        lines[number] = lines[number][:place] + mark
        number += 1
    if number < len(lines) and _LAST_LINE.match(lines[number], place):
        lines[number] = lines[number][:place] + mark
