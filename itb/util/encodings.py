"""Encodings that may hide a secret: base64, base32, hexadecimal, numbers, percent, references, escapes, of mail.

Each finds words of its kind in a text and decodes them; a word that decodes to
a secret is replaced as a whole.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import re
import threading
import zlib
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
    decoded = [_unpack(letters)] if letters.startswith(_PACKED) else []
    for skipped in range(4):
        rest = letters[skipped:]
        rest = rest[: len(rest) - (len(rest) % 4 == 1)]
        decoded.append(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)))
    return b"\n".join(decoded)


_PACKED = (b"H4sI", b"eJ", b"eA", b"eN", b"eF")  # gzip and zlib (RFC 1952, 1950), in base64
_UNPACKED_LIMIT = 1 << 17  # bytes; a packed token needs 20,000
_UNPACKED_LEAST = 1 << 8  # bytes that tell what is packed from what only begins like it
UNREAD = b"\0more is packed here than is read\0"  # in decoded data: what is not looked into may be a secret


class _Room(threading.local):
    """The number of bytes that may still be unpacked of the text that a thread redacts."""

    left = 0


_room = _Room()


def allow_unpacking(size: int) -> None:
    """Bound what is unpacked of the text that this thread redacts next: a word may hold 1000 times its size."""
    _room.left = _UNPACKED_LIMIT + size


def _unpack(letters: bytes) -> bytes:
    """Return what gzip or zlib packed in base64, and ``UNREAD`` if that is more than fits; empty if nothing is."""
    try:
        packed = binascii.a2b_base64(letters[: len(letters) // 4 * 4])
        limit = max(_UNPACKED_LEAST, min(_room.left, _UNPACKED_LIMIT))
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        data = unpacker.decompress(packed, limit)
    except (zlib.error, binascii.Error):
        return b""
    _room.left -= len(data)
    return data if len(data) < limit or unpacker.eof else data + UNREAD


def _decode_base32(word: bytes) -> bytes:
    letters = word.rstrip(b"=")
    if not (letters.isupper() or letters.islower()):
        return b""
    return base64.b32decode(letters[: len(letters) // 8 * 8].upper())


def _decode_decimal(word: bytes) -> bytes:
    numbers = re.findall(rb"-?[0-9]+", word)
    data = bytes(number % 256 for number in map(int, numbers) if -129 < number < 256)
    if all(len(number) == 3 and b"0" <= number <= b"377" and not set(number) & set(b"-89") for number in numbers):
        data += b"\n" + bytes(int(number, 8) for number in numbers)
    return data


def _decode_uu(word: bytes) -> bytes:
    decoded = b""
    for line in word.splitlines():
        with contextlib.suppress(binascii.Error):  # the line with the file's name
            decoded += binascii.a2b_uu(line)
    return decoded


_NO_DIGIT = re.compile(rb"0x|\\x|[^0-9A-Fa-f]")


def _decode_hexadecimal(word: bytes) -> bytes:
    digits = _NO_DIGIT.sub(b"", word)
    return binascii.unhexlify(digits[: len(digits) - len(digits) % 2])


def _decode_references(word: bytes) -> bytes:
    return html.unescape(word.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


_ESCAPE = re.compile(
    rb"\\+(?:(?:u|U0000|u\{)([0-9A-Fa-f]{4}|(?<=\{)[0-9A-Fa-f]{1,3})\}?"
    rb"|x([0-9A-Fa-f]{2})|([0-3][0-7]{2})|([nrt])|([/\"'\\]))"
)


def _decode_escapes(word: bytes) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return chr(int(match[1], 16)).encode("utf-8", "surrogatepass")
        if match[2] or match[3]:
            return bytes([int(match[2], 16) if match[2] else int(match[3], 8)])
        return b"\n" if match[4] else match[5]

    return _ESCAPE.sub(character, word)


BASE64 = Encoding(re.compile(rb"[A-Za-z0-9+/_-]{24,}+={0,2}"), _decode_base64)
_PAIR = rb"(?:\\x|0x)?[0-9A-Fa-f]{2}"  # as in aa:bb, \xaa\xbb, 0xaa, 0xbb, or nothing between them
HEXADECIMAL = Encoding(
    re.compile(rb"[0-9A-Fa-f](?<![0-9A-WYZa-wyz].)[0-9A-Fa-f](?:[:,]? {0,2}" + _PAIR + rb"){5,}+"),
    _decode_hexadecimal,
)
PERCENT = _with_codes(rb"%[0-9A-Fa-f]{2}", b"%", unquote_to_bytes)
REFERENCES = _with_codes(
    rb"&(?:#[0-9]{2,7}|#[xX][0-9A-Fa-f]{2,6}|[a-zA-Z]{2,24});", b"&", _decode_references
)
ESCAPES = _with_codes(
    rb"(?<!\\)\\++(?:u\{?[0-9A-Fa-f]{2}|U0000|x[0-9A-Fa-f]{2}|[0-3][0-7]{2}|[nrt/])",
    rb"\\",
    _decode_escapes,
    _ANY_LETTERS,
)
BASE32 = Encoding(re.compile(rb"[A-Za-z2-7]{40,}+=*+"), _decode_base32)
# Bytes as Go, JSON, Java and od have them: [101 121 74], [101, 121, 74], [-17, 121], 145 171 112.
DECIMAL = Encoding(re.compile(rb"\b[0-9]{1,3}(?:,? ?-?\b[0-9]{1,3}\b){14,}+"), _decode_decimal)
_UU_REST = rb"(?:\r?\n[!-M][ -`]{4,60}(?=\r?$))*+"
UU = Encoding(re.compile(rb"(?m)M(?<![^\n]M)[ -`]{60}(?=\r?$)" + _UU_REST), _decode_uu)
UU_BEGIN = Encoding(
    re.compile(rb"(?m)begin [0-7]{3,4} [^\n]{1,200}\n[!-M][ -`]{4,60}(?=\r?$)" + _UU_REST), _decode_uu
)
_QUOTED = rb"=(?:3D|\r?\n)"
QUOTED_PRINTABLE = Encoding(
    re.compile(rb"(?<![\w.~+/:@?,;#&%-])[\w.~+/:@?,;#&%-]{0,2000}+" + _QUOTED
               + rb"(?:[\w.~+/:@?,;#&%-]|=\r?\n|=[0-9A-F]{2}){0,20000}+"),
    binascii.a2b_qp,
    re.compile(rb"=(?:3D|(?<=[^\n]{70}[^\n=]=)\r?\n)"),  # not the end of each "KEY="
)  # fmt: skip
ALL = (PERCENT, REFERENCES, ESCAPES, HEXADECIMAL, BASE64, BASE32, DECIMAL, UU, UU_BEGIN, QUOTED_PRINTABLE)
