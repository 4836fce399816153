"""Secrets out of text: every log, message and report passes through here.

Patterns: JSON Web Tokens (three base64url parts), Vault tokens (``hvs.``,
older ``s.``), PEM private keys, authorization headers.  Exact secrets a run
knows are added with :func:`remember` and replaced wherever they appear.
"""

from __future__ import annotations

import re
import threading

MARK = "[redacted]"

_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
_VAULT = re.compile(rb"\b(?:hv[sbr]\.[A-Za-z0-9_-]{20,}|s\.[A-Za-z0-9]{24}\b)")
_PEM = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_HEADER = re.compile(rb"(?i)\b((?:authorization|x-vault-token)\s*[:=]\s*)(?:bearer\s+)?[^\s\"']+")

_known: set[bytes] = set()
_lock = threading.Lock()


def remember(secret: str) -> None:
    """Replace this exact secret from now on; shorter than 6 characters would hit innocent text."""
    if len(secret) >= 6:
        with _lock:
            _known.add(secret.encode())


def redact_bytes(data: bytes) -> bytes:
    """Return ``data`` with every secret replaced by ``[redacted]``."""
    mark = MARK.encode()
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        if secret in data:
            data = data.replace(secret, mark)
    if b"eyJ" in data:
        data = _JWT.sub(mark, data)
    if b"." in data:
        data = _VAULT.sub(mark, data)
    if b"PRIVATE KEY" in data:
        data = _PEM.sub(mark, data)
    return _HEADER.sub(rb"\1" + mark, data)


def redact(text: str) -> str:
    """Return ``text`` with every secret replaced by ``[redacted]``."""
    return redact_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


class Stream:
    """Redacts a stream of bytes in pieces, secrets that span pieces and lines included.

    Memory: at most ``HOLD`` bytes plus one piece are held back.
    """

    HOLD = 1 << 20
    _LONGEST = 20_000  # a token is under 16,384 bytes (WLCG); nothing longer may be cut in two

    def __init__(self) -> None:
        self._pending = b""
        self._in_key = False

    def feed(self, piece: bytes) -> bytes:
        """Return what is safe to show now; the rest follows later."""
        data = self._pending + piece
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > self.HOLD:
            cut = len(data) - self._LONGEST
        self._pending = data[cut:]
        return self._clean(data[:cut]) if cut else b""

    def close(self) -> bytes:
        """Return what was still held back."""
        rest, self._pending = self._pending, b""
        return self._clean(rest)

    def _clean(self, data: bytes) -> bytes:
        if self._in_key:
            _, end, after = data.partition(b"PRIVATE KEY-----")
            if not end:
                return b""
            self._in_key = False
            data = after
        start = data.rfind(b"-----BEGIN ")
        if start >= 0 and b"PRIVATE KEY-----" in data[start:] and b"-----END " not in data[start:]:
            self._in_key = True
        return redact_bytes(data)
