"""Redaction of a stream, such as the output of a process while it runs."""

from __future__ import annotations

import re

from itb.util import dumps, key_text
from itb.util.redact import redact_bytes


class Stream:
    """Redacts a stream of bytes in chunks, including secrets that span several chunks and lines.

    Memory: at most ``HOLD`` bytes plus one chunk are held back.
    """

    HOLD = 1 << 20
    _LONGEST = 20_000  # bytes; a token is under 16,384 (WLCG), a key under 14,000 (RSA 16384)
    _SEPARATOR = re.compile(rb"[^A-Za-z0-9_.~+/=-]")  # a character that no token contains
    _BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, chunk: bytes) -> bytes:
        """Add a chunk and return the redacted part that can be shown now; the rest follows later."""
        data = self._pending + chunk
        cut = self._before_open_key(data, self._before_open_lines(data, data.rfind(b"\n") + 1))
        if not cut and len(data) > self.HOLD:
            cut = self._between_tokens(data)
        self._pending = data[cut:]
        return redact_bytes(data[:cut]) if cut else b""

    def close(self) -> bytes:
        """Return the rest that was held back, redacted."""
        rest, self._pending = self._pending, b""
        return redact_bytes(rest)

    def _before_open_lines(self, data: bytes, cut: int) -> int:
        """Return the cut, moved before lines that may go on in the next one: of a long word, a key or a dump."""
        earliest = cut - self._LONGEST
        while cut > max(0, earliest):
            start = data.rfind(b"\n", 0, cut - 1) + 1
            if not (key_text.may_go_on(data, start, cut) or dumps.may_go_on(data, start, cut)):
                break
            cut = start
        return cut

    def _before_open_key(self, data: bytes, cut: int) -> int:
        """Return the cut, moved before a private key whose end has not come yet."""
        window = max(0, len(data) - self._LONGEST)
        for begin in self._BEGIN.finditer(data, window, cut):
            if b"-----END " not in data[begin.end() : cut]:
                return begin.start()
        return cut

    def _between_tokens(self, data: bytes) -> int:
        """Return where an endless line can be cut without splitting a token."""
        end = len(data)
        while end > len(data) - self._LONGEST:
            end -= 1
            if self._SEPARATOR.match(data, end):
                return end + 1
        return end
