"""Secrets out of text: every log, message and report passes through here.

Patterns: JSON Web Tokens (three base64url parts), Vault tokens (``hvs.``,
older ``s.``), PEM private keys, authorization headers, passwords in URLs.
Exact secrets a run knows are added with :func:`remember` and replaced
wherever they appear.
"""

from __future__ import annotations

import os
import re
import threading
from urllib.parse import unquote

MARK = "[redacted]"

_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
_VAULT = re.compile(rb"\b(?:hv[sbr]\.[A-Za-z0-9_-]{20,}|s\.[A-Za-z0-9]{24}\b)")
_URL = re.compile(rb"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://[^/\s:@\"']{0,200}:)[^/\s@\"']{1,1000}(?=@)")
# A scheme, or a value too long for a word: "authorization: denied" is no secret.
_URL_PASSWORD = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://[^/\s:@\"']{0,200}:([^/\s@\"']{1,1000})@")
_HEADER = re.compile(
    rb"(?i)((?:authorization|x-vault-token)\\?[\"']?\s*[:=]\s*\\?[\"']?)"
    rb"(?:(?:bearer|basic|token|negotiate)\s+[^\s\"']+|[^\s\"']{16,})"
)
# Lines of a key: base64, or the headers of an encrypted one; newlines may be escaped, as in JSON.
_KEY_LINE = rb"(?:\s|\\r|\\n)*(?:[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info): [^\s\\]+)"
_PEM = re.compile(
    rb"-----BEGIN (?P<kind>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----"
    rb"(?:(?:(?!-----BEGIN ).){0,20000}?-----END (?P=kind)-----"
    # one that was cut off: as far as it still looks like a key, and its last, shorter line
    rb"|(?:" + _KEY_LINE + rb")*(?:(?:\s|\\r|\\n)*[A-Za-z0-9+/=]{1,15}(?=\s*\Z))?)",
    re.DOTALL,
)

_known: set[bytes] = set()
_lock = threading.Lock()


# Content that could hide a secret from redaction: gzip, bzip2, xz, zstd, zip, ELF, lz4, compress, 7z.
_PACKED = (
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\x7fELF",
    b"\x04\x22\x4d\x18", b"\x1f\x9d", b"7z\xbc\xaf\x27\x1c",
)  # fmt: skip
_LOOKED_AT = 1 << 16  # bytes decoded to tell text from what is none
_MESS = re.compile(r"[\x01-\x07\x0e-\x1a\x1c-\x1f\x7f\ufffd]")


def is_text(data: bytes) -> bool:
    """Return whether redaction sees all there is: nothing packed, encrypted or otherwise binary."""
    if data.startswith(_PACKED) or b"\0" in data:
        return False
    start = data[:_LOOKED_AT].decode("utf-8", "replace")
    return len(_MESS.findall(start)) * 10 <= len(start)


def redact_name(name: str) -> str:
    """Return a file's name without secrets; a name that is no text stays as it is."""
    return os.fsdecode(redact_bytes(os.fsencode(name)))


def remember_passwords(text: str) -> None:
    """Remember the passwords of all URLs in a text."""
    for found in _URL_PASSWORD.finditer(text):
        remember(found[1])
        remember(unquote(found[1]))


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
    if b"@" in data and b"://" in data:
        data = _URL.sub(rb"\1" + mark, data)
    lowered = data.lower()
    if b"authorization" in lowered or b"x-vault-token" in lowered:
        data = _HEADER.sub(rb"\1" + mark, data)
    return data


def redact(text: str) -> str:
    """Return ``text`` with every secret replaced by ``[redacted]``."""
    return redact_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


class Stream:
    """Redacts a stream of bytes in pieces, secrets that span pieces and lines included.

    Memory: at most ``HOLD`` bytes plus one piece are held back.
    """

    HOLD = 1 << 20
    _LONGEST = 20_000  # bytes; a token is under 16,384 (WLCG), a key under 14,000 (RSA 16384)
    _SEPARATOR = re.compile(rb"[^A-Za-z0-9_.~+/=-]")  # what no token has inside
    _BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what is safe to show now; the rest follows later."""
        data = self._pending + piece
        cut = self._before_open_key(data, data.rfind(b"\n") + 1)
        if not cut and len(data) > self.HOLD:
            cut = self._between_tokens(data)
        self._pending = data[cut:]
        return redact_bytes(data[:cut]) if cut else b""

    def close(self) -> bytes:
        """Return what was still held back."""
        rest, self._pending = self._pending, b""
        return redact_bytes(rest)

    def _before_open_key(self, data: bytes, cut: int) -> int:
        """Move a cut to before a key that has begun and may still go on."""
        window = max(0, len(data) - self._LONGEST)
        for begin in self._BEGIN.finditer(data, window, cut):
            if b"-----END " not in data[begin.end() : cut]:
                return begin.start()
        return cut

    def _between_tokens(self, data: bytes) -> int:
        """Return where an endless line may be cut without cutting a token in two."""
        end = len(data)
        while end > len(data) - self._LONGEST:
            end -= 1
            if self._SEPARATOR.match(data, end):
                return end + 1
        return end
