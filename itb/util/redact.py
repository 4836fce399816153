"""Redaction: replacing the secrets in every log, message and report.

Patterns: JSON Web Tokens (three base64url parts), Vault tokens (``hvs.``,
older ``s.``), PEM private keys, authorization headers, passwords in URLs.
Exact secrets that a run knows are added with :func:`remember` and replaced
wherever they appear.  A secret is also recognised in base64,
percent-encoded, between colour codes and wrapped over several lines.
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

# Three parts, or the first two of them, because some programs do not print all of it.
_DOT = rb"(?:\.|&#(?:46|[xX]2[eE]);|&period;|\\+u002[eE])"  # plain, in HTML or XML, in JSON
_JWT = re.compile(
    rb"eyJ[A-Za-z0-9_-]{5,}" + _DOT +
    rb"(?:[A-Za-z0-9_-]{5,}" + _DOT + rb"[A-Za-z0-9_-]*|eyJ[A-Za-z0-9_-]{5,})"
)  # fmt: skip
_VAULT = re.compile(rb"\b(?:hv[sbr]" + _DOT + rb"[A-Za-z0-9_-]{20,}|s" + _DOT + rb"[A-Za-z0-9]{24}\b)")
_URL = re.compile(rb"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://[^/\s:@\"']{0,200}:)[^/\s@\"']{1,1000}(?=@)")
_URL_PASSWORD = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://[^/\s:@\"']{0,200}:([^/\s@\"']{1,1000})@")
# With a scheme, or with a value that is too long for a word: "authorization: denied" is no secret.
_HEADER = re.compile(
    rb"(?i)((?:authorization|x-vault-token)\\?[\"']?\s*[:=]\s*\\?[\"']?)"
    rb"(?:(?:bearer|basic|token|negotiate)\s+[^\s\"']+|[^\s\"']{16,})"
)
# Lines of a key: base64, or the headers of an encrypted one; newlines may be escaped, as in JSON.
_KEY_LINE = rb"(?:\s|\\r|\\n)*(?:[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info): [^\s\\]+)"
_PEM = re.compile(
    rb"-----BEGIN (?P<kind>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----"
    rb"(?:(?:(?!-----BEGIN ).){0,20000}?-----END (?P=kind)-----"
    # a key without its end: as far as lines look like a key, and the last, shorter line
    rb"|(?:" + _KEY_LINE + rb")*(?:(?:\s|\\r|\\n)*[A-Za-z0-9+/=]{1,15}(?=\s*\Z))?)",
    re.DOTALL,
)

# Forms in which a secret may stand: base64, percent-encoding, with colours, wrapped over several lines.
_ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{24,}+={0,2}")
_PERCENT = re.compile(
    rb"(?<![\w.~+/=:@&?,%-])[\w.~+/=:@&?,-]{0,2000}+%[0-9A-Fa-f]{2}[\w.~+/=:@&?,%-]{0,20000}+"
)
_COLOUR = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-Z])")
_CHAR = rb"[A-Za-z0-9+/_.=-]"
_LINE_END = re.compile(rb"\r?\n[ \t]*")
_LONG_LINES = rb"(?<!" + _CHAR + rb")" + _CHAR + rb"{40,}+(?:\r?\n[ \t]*+" + _CHAR + rb"{40,}+){0,400}+"
_WRAPPED = re.compile(_LONG_LINES + rb"(?:\r?\n[ \t]*+" + _CHAR + rb"++(?=\r?\n|\Z))?")
_WRAPPED_AT_END = re.compile(_LONG_LINES + rb"\r?\n\Z")
_WIDTHS = frozenset((60, 64, 70, 72, 75, 76, 78, 79, 80, 100, 120, 128, 132))  # columns at which programs wrap

SHORTEST = 4  # characters of a secret that is replaced, as a whole word
_SHORTEST_INSIDE_WORDS = 6  # characters of a secret that is replaced inside words too

_known_secrets: set[bytes] = set()
_short_secrets: set[bytes] = set()
_lock = threading.Lock()


# First bytes of files that redaction cannot read: gzip, bzip2, xz, zstd, zip, ELF, lz4, compress, 7z.
_BINARY_STARTS = (
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\x7fELF",
    b"\x04\x22\x4d\x18", b"\x1f\x9d", b"7z\xbc\xaf\x27\x1c",
)  # fmt: skip
_SAMPLE_SIZE = 1 << 16  # bytes decoded to tell text from binary data
_CONTROL = re.compile(r"[\x01-\x07\x0e-\x1a\x1c-\x1f\x7f\ufffd]")


def is_text(data: bytes) -> bool:
    """Return whether redaction can read data: whether it is not compressed, encrypted or otherwise binary."""
    if data.startswith(_BINARY_STARTS) or b"\0" in data:
        return False
    start = data[:_SAMPLE_SIZE].decode("utf-8", "replace")
    return len(_CONTROL.findall(start)) * 10 <= len(start)


def redact_name(name: str) -> str:
    """Return a file's name with every secret replaced; bytes that are not UTF-8 are kept."""
    return os.fsdecode(redact_bytes(os.fsencode(name)))


def remember_passwords(text: str) -> None:
    """Remember the passwords of all URLs in a text as secrets."""
    for match in _URL_PASSWORD.finditer(text):
        remember(match[1])
        remember(unquote(match[1]))


def remember(secret: str) -> None:
    """Replace this exact secret from now on, also as it is written in URLs, JSON, HTML and base64.

    A secret of 4 or 5 characters, such as a PIN, is replaced only where it is
    a whole word.  A shorter one is not remembered: it would match innocent text.
    """
    if len(secret) < SHORTEST:
        return
    with _lock:
        if len(secret) < _SHORTEST_INSIDE_WORDS:
            _short_secrets.add(secret.encode())
        else:
            _known_secrets.update(_spellings(secret))


def is_known(text: str) -> bool:
    """Return whether a text is exactly a secret that was remembered."""
    data = text.encode("utf-8", "surrogatepass")
    return data in _known_secrets or data in _short_secrets


def _spellings(secret: str) -> Iterable[bytes]:
    """Yield a secret in the forms of URLs, HTML and JSON and, if it is short, of base64."""
    yield from {form.encode() for form in (
        secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret),
        json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1],
    )}  # fmt: skip
    data = secret.encode()
    if len(data) > 64:
        return  # a longer one is found by decoding
    for offset in range(3):  # bytes before it in the encoded text, modulo 3
        encoded = base64.b64encode(bytes(offset) + data)
        unaffected = encoded[(8 * offset + 5) // 6 : 8 * (offset + len(data)) // 6]
        yield from {unaffected, unaffected.translate(bytes.maketrans(b"+/", b"-_"))}


def redact_bytes(data: bytes) -> bytes:
    """Return ``data`` with every secret replaced by ``[redacted]``; without colours if they split one."""
    shown = _redact_plain_text(data)
    if b"\x1b" in data:
        plain = _redact_plain_text(_COLOUR.sub(b"", data))
        if _COLOUR.sub(b"", shown) != plain:
            return plain
    return shown


def _redact_plain_text(data: bytes) -> bytes:
    """Replace every secret in data without colours: unencoded, wrapped, percent-encoded or in base64."""
    mark = MARK.encode()
    data = _replace_secrets(_WRAPPED.sub(_redact_wrapped, data))
    if b"%" in data:
        data = _PERCENT.sub(lambda match: mark if _contains_secret(unquote_to_bytes(match[0])) else match[0], data)
    if _contains_secret(b"\n".join(_ENCODED.findall(data))):
        data = _ENCODED.sub(lambda match: mark if _contains_secret(match[0]) else match[0], data)
    return data


def _redact_wrapped(match: re.Match[bytes]) -> bytes:
    """Return a word that is wrapped over several lines, or the mark instead if it contains a secret."""
    lines = _LINE_END.split(match[0])
    line_start = match.string.rfind(b"\n", 0, match.start()) + 1
    widths = {len(lines[0]), match.start() - line_start + len(lines[0])}
    if len(lines) == 1 or (len(lines) == 2 and len(lines[1]) < 40 and not widths & _WIDTHS):
        return match[0]  # the next line is no continuation
    return MARK.encode() if _contains_secret(b"".join(lines)) else match[0]


def _contains_secret(text: bytes) -> bool:
    """Return whether a text contains a secret, plain or in base64."""
    decoded = []
    for encoded in _ENCODED.findall(text):
        letters = encoded.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        for skipped in range(4):  # a path or a name may stand before it
            rest = letters[skipped:]
            rest = rest[: len(rest) - (len(rest) % 4 == 1)]
            decoded.append(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)))
    all_text = b"\n".join([text, *decoded])
    return _replace_secrets(all_text) != all_text


def _replace_secrets(data: bytes) -> bytes:
    """Replace every secret in data that is not encoded."""
    mark = MARK.encode()
    with _lock:
        secrets = sorted(_known_secrets, key=len, reverse=True)
        short = b"|".join(re.escape(word) for word in _short_secrets)
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, mark)
    if short:
        data = re.sub(rb"(?<![\w.:/-])(?:" + short + rb")(?![\w:/-]|\.\w)", mark, data)
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
        cut = self._before_open_key(data, self._before_open_word(data, data.rfind(b"\n") + 1))
        if not cut and len(data) > self.HOLD:
            cut = self._between_tokens(data)
        self._pending = data[cut:]
        return redact_bytes(data[:cut]) if cut else b""

    def close(self) -> bytes:
        """Return the rest that was held back, redacted."""
        rest, self._pending = self._pending, b""
        return redact_bytes(rest)

    def _before_open_word(self, data: bytes, cut: int) -> int:
        """Return the cut, moved before the line of a long word that may continue in the next line."""
        match = _WRAPPED_AT_END.search(data, max(0, cut - self._LONGEST), cut)
        return data.rfind(b"\n", 0, match.start()) + 1 if match else cut

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
