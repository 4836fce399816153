"""The secrets that itb makes or is given: each is remembered as soon as it is known, and replaced from then on.

A text (token, password) is known in the forms in which programs write it.  Of
a key the numbers are secret: they are known in pieces, so that they are found
in any encoding that :mod:`itb.util.encodings` undoes, of one line of it too.
"""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import shlex
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus, unquote

SHORTEST = 4  # characters of a secret that is replaced, as a whole word
_SHORTEST_INSIDE_WORDS = 6  # characters of a secret that is replaced inside words too
_SHORTEST_LINE = 16  # characters of a line of a key that is replaced
_DECODED_IN_ANY_CASE = 64  # bytes of a secret from which on its base64 is found by decoding
_SHORTEST_SIGNATURE = 40  # characters; what is shorter may be a name
_PIECE = 8  # bytes; 15 in a row of a number hold one of its pieces, and openssl prints that many in a line

# User and password of a URL; the user may be a token, and a port looks like a password without a host.
_LOGIN = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{0,20})://([^/\s:@\"'<>]{0,1000})(?::([^/\s@\"']{1,1000}))?@")
_TOKEN_START = re.compile(r"gh[a-z]_|github_pat_|gl[a-z]{1,8}-|hv[sbr]\.|eyJ")
_LONGEST_NAME = 15  # characters: a longer user of a URL is a token
_LOGIN_SCHEMES = (b"http", b"https", b"ftp")  # the user of any other has no secret for a name

_SIGNATURE = re.compile(r"(?:[A-Za-z0-9_-]{4})*[A-Za-z0-9_-]{2,4}")
_SECRET_NAME = re.compile(r"(?i)token|secret|pass|(^|_)pin($|_)|key|credential")  # of variables
_SECRET_ARGUMENT = re.compile(
    r"(?i)(?:pass(?:word|wd|phrase|code)?|secret|token|credentials?|(?:^|[_-])(?:pin|pw|pwd|key))$"
)
_LONG_WORD = re.compile(rb"[A-Za-z0-9_-]{15,}")  # may be a part of a token
_KEY_LINE = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")

_texts: set[bytes] = set()
_short_texts: set[bytes] = set()
_lines: set[bytes] = set()
_pieces: set[int] = set()
_lock = threading.Lock()


def remember(secret: str) -> None:
    """Replace this exact text from now on, also as it is written in URLs, JSON, HTML, base64 and hexadecimal.

    One of 4 or 5 characters, such as a PIN, is replaced only where it is
    a whole word.  A shorter one is not remembered: it would match innocent text.
    """
    if len(secret) < SHORTEST:
        return
    secret = secret.encode("utf-8", "replace").decode()  # a variable or a hook may hold what UTF-8 cannot encode
    with _lock:
        if len(secret) < _SHORTEST_INSIDE_WORDS:
            _short_texts.add(secret.encode())
        else:
            _texts.update(_spellings(secret))


def remember_token(token: str) -> None:
    """Replace a token from now on; of a JSON Web Token its signature too, in pieces and in whatever encoding.

    With the claims, which are no secret, the signature makes a token.
    """
    remember(token)
    signature = token.rpartition(".")[2]
    remember(signature)
    if len(signature) >= _SHORTEST_SIGNATURE:
        remember_bytes(signature.encode())
    if _SIGNATURE.fullmatch(signature):
        remember_bytes(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))


def remember_bytes(secret: bytes) -> None:
    """Replace from now on what decodes to these bytes, or to 15 of them in a row; they have to be random."""
    starts = range(0, len(secret) - _PIECE + 1, _PIECE)
    with _lock:
        _pieces.update(struct.unpack_from("=Q", secret, start)[0] for start in starts)


def remember_number(number: int) -> None:
    """Replace a number of a key from now on where it is written in decimal, as Go's ``%+v`` and Java write it."""
    with _lock:
        _texts.add(str(number).encode())


def remember_key_text(pem: str) -> None:
    """Replace each line of a key's text from now on, whatever stands before it."""
    lines = (line for line in pem.splitlines() if len(line) >= _SHORTEST_LINE and not line.startswith("-"))
    with _lock:
        _lines.update(line.encode() for line in lines)


def remember_logins(text: str) -> None:
    """Remember the logins of all URLs in a text: passwords, and tokens in the place of the user."""
    for scheme, user, password in _LOGIN.findall(text):
        is_token = is_login_scheme(scheme.encode()) and is_token_like(user)
        for secret in (password, user if is_token else ""):
            remember(secret)
            remember(unquote(secret))


def is_login_scheme(scheme: bytes) -> bool:
    """Return whether the user of a URL may be a token; of the scheme its end is enough."""
    return scheme.lower().endswith(_LOGIN_SCHEMES)


def remember_arguments(arguments: Sequence[str]) -> None:
    """Remember the secrets among a program's arguments: the values of options and variables named like one."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        remember_logins(argument)
        name, is_given, value = argument.partition("=")
        if _SECRET_ARGUMENT.search(name) and (is_given or name.startswith("-")):
            value = value if is_given else following
            if not value.startswith(("-", "/", "./", "~")):
                remember(value)


def is_secret_name(name: str) -> bool:
    """Return whether a variable is called like a secret."""
    return bool(_SECRET_NAME.search(name))


def is_token_like(user: str) -> bool:
    """Return whether the user of a URL is a token: it begins like one, or is longer than a name."""
    return len(user) > _LONGEST_NAME or bool(_TOKEN_START.match(user))


def is_known(text: str) -> bool:
    """Return whether a text is exactly a secret that was remembered."""
    data = text.encode("utf-8", "surrogatepass")
    return data in _texts or data in _short_texts


def replace(data: bytes, mark: bytes) -> bytes:
    """Return the data with every known text and line of a key replaced by the mark."""
    with _lock:
        texts = sorted((text for text in _texts if text in data), key=len, reverse=True)
        short = [re.escape(word) for word in _short_texts if word in data]
    for text in texts:
        data = data.replace(text, mark)
    if short:
        data = re.sub(rb"(?<![\w.:/-])(?:" + b"|".join(short) + rb")(?![\w:/-]|\.\w)", mark, data)
    if _lines and not _lines.isdisjoint(_KEY_LINE.findall(data)):
        data = _KEY_LINE.sub(lambda match: mark if match[0] in _lines else match[0], data)
    if _pieces and holds_piece(b"\n".join(_LONG_WORD.findall(data))):
        data = _LONG_WORD.sub(lambda match: mark if holds_piece(match[0]) else match[0], data)
    return data


def holds_piece(data: bytes) -> bool:
    """Return whether decoded data holds a piece of a known number, wherever it begins."""
    if not _pieces:
        return False
    for start in range(_PIECE):
        end = len(data) - (len(data) - start) % _PIECE
        if start < end and not _pieces.isdisjoint(memoryview(data)[start:end].cast("Q")):
            return True
    return False


def _spellings(secret: str) -> Iterable[bytes]:
    """Yield a secret in the forms of URLs, HTML, JSON and hexadecimal and, if it is short, of base64."""
    yield from {form.encode() for form in _written_forms(secret)}
    data = secret.encode()
    yield from (data.hex().encode(), data.hex().upper().encode())
    if len(data) >= _DECODED_IN_ANY_CASE:
        return
    for offset in range(3):  # bytes before it in the encoded text, modulo 3
        encoded = base64.b64encode(bytes(offset) + data)
        unaffected = encoded[(8 * offset + 5) // 6 : 8 * (offset + len(data)) // 6]
        yield from {unaffected, unaffected.translate(bytes.maketrans(b"+/", b"-_"))}


def _written_forms(secret: str) -> Iterator[str]:
    yield secret
    for quoted in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield from (quoted, quote(quoted, safe=""))
    escaped = html.escape(secret)
    yield from (escaped, escaped.replace("&#x27;", "&#39;"), escaped.replace("&#x27;", "&apos;"))
    for ascii_only in (True, False):
        once = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield from (once, json.dumps(once, ensure_ascii=ascii_only)[1:-1])
    yield from _quoted_forms(secret)


def _quoted_forms(secret: str) -> Iterator[str]:
    """Yield a secret as shells (set -x, printf %q, declare -p) and Python (repr) quote it, without the quotes."""
    yield from (secret.replace("'", r"'\''"), shlex.quote(secret).removeprefix("'").removesuffix("'"))
    yield re.sub(r'(["\\$`])', r"\\\1", secret)
    yield re.sub(r"([\s'\"\\|&;()<>!{}*\[\]?^$`,])", r"\\\1", secret)
    yield re.sub(r"(['\\])", r"\\\1", secret).replace("\n", r"\n").replace("\t", r"\t")
    yield from (repr(secret)[1:-1], ascii(secret)[1:-1], repr(secret.encode())[2:-1])
