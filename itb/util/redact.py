"""Secrets out of text: every log, message and report passes through here.

Patterns: JSON Web Tokens (three base64url parts), Vault tokens (``hvs.``,
older ``s.``), PEM private keys, authorization headers, passwords in URLs.
Exact secrets a run knows are added with :func:`remember` and replaced
wherever they appear.  All of them are found in base64, percent-encoded,
between colour codes and wrapped over several lines too.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import os
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_to_bytes

MARK = "[redacted]"

# Three parts, or the first two of them: some programs do not write the whole.
_DOT = rb"(?:\.|&#(?:46|[xX]2[eE]);|&period;|\\+u002[eE])"  # as it is, in HTML or XML, in JSON
_JWT = re.compile(
    rb"eyJ[A-Za-z0-9_-]{5,}" + _DOT +
    rb"(?:[A-Za-z0-9_-]{5,}" + _DOT + rb"[A-Za-z0-9_-]*|eyJ[A-Za-z0-9_-]{5,})"
)  # fmt: skip
_VAULT = re.compile(rb"\b(?:hv[sbr]" + _DOT + rb"[A-Za-z0-9_-]{20,}|s" + _DOT + rb"[A-Za-z0-9]{24}\b)")
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

# What may hide a secret: base64, percent-encoding, colours, and long words that go on in the next lines.
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{24,}+={0,2}")
_PERCENT = re.compile(
    rb"(?<![\w.~+/=:@&?,%-])[\w.~+/=:@&?,-]{0,2000}+%[0-9A-Fa-f]{2}[\w.~+/=:@&?,%-]{0,20000}+"
)
_COLOUR = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-Z])")
_WORD = rb"[A-Za-z0-9+/_.=-]"
_LINE_END = re.compile(rb"\r?\n[ \t]*")
_FULL = rb"(?<!" + _WORD + rb")" + _WORD + rb"{40,}+(?:\r?\n[ \t]*+" + _WORD + rb"{40,}+){0,400}+"
_WRAPPED = re.compile(_FULL + rb"(?:\r?\n[ \t]*+" + _WORD + rb"++(?=\r?\n|\Z))?")
_STILL_OPEN = re.compile(_FULL + rb"\r?\n\Z")
_WIDTHS = frozenset((60, 64, 70, 72, 75, 76, 78, 79, 80, 100, 120, 128, 132))  # at which programs wrap a word

SHORTEST = 4  # characters of a secret that can be told from innocent text, as a word of its own
_ANYWHERE = 6  # characters of one that is replaced inside of words too

_known: set[bytes] = set()
_words: set[bytes] = set()
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
    """Replace this exact secret from now on, and what programs make of it in URLs, JSON, HTML and base64.

    One of 4 or 5 characters, a PIN, is replaced as a word of its own only; a
    shorter one would hit innocent text.
    """
    if len(secret) < SHORTEST:
        return
    with _lock:
        if len(secret) < _ANYWHERE:
            _words.add(secret.encode())
        else:
            _known.update(_forms(secret))


def is_known(text: str) -> bool:
    """Return whether a text is, to the letter, a secret that was remembered."""
    data = text.encode("utf-8", "surrogatepass")
    return data in _known or data in _words


def _forms(secret: str) -> Iterable[bytes]:
    yield from {form.encode() for form in (
        secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret),
        json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1],
    )}  # fmt: skip
    data = secret.encode()
    if len(data) > 64:
        return  # what is as long is found by decoding
    for before in range(3):  # base64 of a text that has it after so many bytes, modulo 3
        whole = base64.b64encode(bytes(before) + data)
        sure = whole[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
        yield from {sure, sure.translate(bytes.maketrans(b"+/", b"-_"))}


def redact_bytes(data: bytes) -> bytes:
    """Return ``data`` with every secret replaced by ``[redacted]``; without its colours if they cut one in two."""
    shown = _redacted(data)
    if b"\x1b" in data:
        plain = _redacted(_COLOUR.sub(b"", data))
        if _COLOUR.sub(b"", shown) != plain:
            return plain
    return shown


def _redacted(data: bytes) -> bytes:
    mark = MARK.encode()
    data = _plainly(_WRAPPED.sub(_unwrapped, data))
    if b"%" in data:
        data = _PERCENT.sub(lambda found: mark if _hides(unquote_to_bytes(found[0])) else found[0], data)
    if _hides(b"\n".join(_ENCODED.findall(data))):
        data = _ENCODED.sub(lambda found: mark if _hides(found[0]) else found[0], data)
    return data


def _unwrapped(found: re.Match[bytes]) -> bytes:
    """Return what is shown of a word that goes on in the next lines: all of it, or the mark."""
    lines = _LINE_END.split(found[0])
    begin = found.string.rfind(b"\n", 0, found.start()) + 1
    widths = {len(lines[0]), found.start() - begin + len(lines[0])}
    if len(lines) == 1 or (len(lines) == 2 and len(lines[1]) < 40 and not widths & _WIDTHS):
        return found[0]  # the next line is another one
    return MARK.encode() if _hides(b"".join(lines)) else found[0]


def _hides(text: bytes) -> bool:
    """Return whether there is a secret in a text, as it stands or in base64."""
    decoded = []
    for run in _ENCODED.findall(text):
        letters = run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        for skipped in range(4):  # a path or a name may stand before it
            rest = letters[skipped:]
            rest = rest[: len(rest) - (len(rest) % 4 == 1)]
            decoded.append(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)))
    seen = b"\n".join([text, *decoded])
    return _plainly(seen) != seen


def _plainly(data: bytes) -> bytes:
    mark = MARK.encode()
    with _lock:
        known = sorted(_known, key=len, reverse=True)
        words = b"|".join(re.escape(word) for word in _words)
    for secret in known:
        if secret in data:
            data = data.replace(secret, mark)
    if words:
        data = re.sub(rb"(?<![\w.:/-])(?:" + words + rb")(?![\w:/-]|\.\w)", mark, data)
    if b"eyJ" in data:
        data = _JWT.sub(mark, data)
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
        cut = self._before_open_key(data, self._before_open_word(data, data.rfind(b"\n") + 1))
        if not cut and len(data) > self.HOLD:
            cut = self._between_tokens(data)
        self._pending = data[cut:]
        return redact_bytes(data[:cut]) if cut else b""

    def close(self) -> bytes:
        """Return what was still held back."""
        rest, self._pending = self._pending, b""
        return redact_bytes(rest)

    def _before_open_word(self, data: bytes, cut: int) -> int:
        """Move a cut to before the line of a long word that may go on in the next one."""
        found = _STILL_OPEN.search(data, max(0, cut - self._LONGEST), cut)
        return data.rfind(b"\n", 0, found.start()) + 1 if found else cut

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
