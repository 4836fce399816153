"""Encodings that may hide a secret: base64, hexadecimal, percent-encoding, character references, escapes.

Each finds words of its kind in a text and decodes them; a word that decodes to
a secret is replaced as a whole.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

_LETTERS = rb"\w.~+/=:@?,;#\-"  # characters that a word with something encoded in it may have
_ANY_LETTERS = rb"!#$(-\[\]-~\x80-\xff"  # of Python's text of bytes: all but blanks and quotes


@dataclass(frozen=True)
class Encoding:
    """How to find words of an encoding and to decode them; where ``code`` is not in a text, there are none."""

    words: re.Pattern[bytes]
    decode: Callable[[bytes], bytes]
    code: re.Pattern[bytes] | None = None

    def decoded(self, data: bytes) -> bytes:
        """Return all words of this encoding in the data, decoded, one to a line."""
        if self.code and not self.code.search(data):
            return b""
        return b"\n".join(map(self.decode, self.words.findall(data)))

    def replace(self, data: bytes, mark: bytes, is_secret: Callable[[bytes], bool]) -> bytes:
        """Return the data with every word that decodes to a secret replaced."""
        return self.words.sub(lambda match: mark if is_secret(self.decode(match[0])) else match[0], data)


def _with_codes(code: bytes, sign: bytes, decode: Callable[[bytes], bytes], letters: bytes = _LETTERS) -> Encoding:
    """Return the encoding of words that have a code in them, such as ``%2F``; it begins with its sign, ``%``.

    A word never ends between a backslash and a quote: JSON stays JSON when it is replaced.
    """
    before = letters + b"&%\\\\".replace(sign, b"")
    words = re.compile(
        rb"(?<![" + letters + rb"&%\\])[" + before + rb"]{0,2000}+" + code
        + rb"(?:[" + letters + rb"&%]|\\[^\"'\s]){0,20000}+"
    )
    return Encoding(words, decode, re.compile(code))


def _decode_base64(word: bytes) -> bytes:
    """Return what a word is in base64, from each of its first four letters on: a name may stand before it."""
    if word.islower():  # a path, or hexadecimal: of base64, every fourth letter would be a capital
        return b""
    letters = word.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    decoded = []
    for skipped in range(4):
        rest = letters[skipped:]
        rest = rest[: len(rest) - (len(rest) % 4 == 1)]
        decoded.append(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)))
    return b"\n".join(decoded)


_NO_DIGIT = re.compile(rb"0x|\\x|[^0-9A-Fa-f]")


def _decode_hexadecimal(word: bytes) -> bytes:
    digits = _NO_DIGIT.sub(b"", word)
    return binascii.unhexlify(digits[: len(digits) - len(digits) % 2])


def _decode_references(word: bytes) -> bytes:
    return html.unescape(word.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


_ESCAPE = re.compile(rb"\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrt])|([/\"'\\]))")


def _decode_escapes(word: bytes) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return chr(int(match[1], 16)).encode("utf-8", "surrogatepass")
        return bytes([int(match[2], 16)]) if match[2] else b"\n" if match[3] else match[4]

    return _ESCAPE.sub(character, word)


BASE64 = Encoding(re.compile(rb"[A-Za-z0-9+/_-]{24,}+={0,2}"), _decode_base64)
_PAIR = rb"(?:\\x|0x)?[0-9A-Fa-f]{2}"  # as in aa:bb, \xaa\xbb, 0xaa, 0xbb, or nothing between them
HEXADECIMAL = Encoding(
    re.compile(rb"[0-9A-Fa-f](?<![0-9A-WYZa-wyz].)[0-9A-Fa-f](?:[:,]? ?" + _PAIR + rb"){5,}+"), _decode_hexadecimal
)
PERCENT = _with_codes(rb"%[0-9A-Fa-f]{2}", b"%", unquote_to_bytes)
REFERENCES = _with_codes(
    rb"&(?:#[0-9]{2,7}|#[xX][0-9A-Fa-f]{2,6}|[a-zA-Z]{2,24});", b"&", _decode_references
)
ESCAPES = _with_codes(rb"\\++(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[nrt/])", rb"\\", _decode_escapes, _ANY_LETTERS)
ALL = (PERCENT, REFERENCES, ESCAPES, HEXADECIMAL, BASE64)
