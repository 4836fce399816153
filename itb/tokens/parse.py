"""Decoding a JSON Web Token: one line, three parts; nothing is verified here."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from itb.model import Record
from itb.tokens.request import SIZE_LIMIT

_PART = re.compile(r"[A-Za-z0-9_-]+")


class DecodedToken(Record):
    """Header and claims of a token, not verified."""

    header: dict[str, Any]
    claims: dict[str, Any]


class MalformedTokenError(Exception):
    """A text is not a token that a CE can read.

    With ``stricter``, HTCondor's client would accept it (it takes the first
    line that is no comment and trims it); others would not.
    """

    def __init__(self, reason: str, *, stricter: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stricter = stricter


def decode_token(token: str) -> DecodedToken:
    """Return header and claims of a token, without verifying it; MalformedTokenError if it is malformed."""
    _check_line(token)
    parts = token.split(".")
    if len(parts) == 5:
        raise MalformedTokenError("is encrypted (JWE, five parts); a CE reads signed tokens only")
    if len(parts) != 3:
        raise MalformedTokenError(f"not a JSON Web Token: {len(parts)} part(s) where three are expected")
    if parts[2] and not _PART.fullmatch(parts[2]):
        raise MalformedTokenError("not a JSON Web Token: its signature is not base64url")
    return DecodedToken(header=_decode_part(parts[0], "header"), claims=_decode_part(parts[1], "payload"))


def _check_line(token: str) -> None:
    if not token.strip():
        raise MalformedTokenError("is empty")
    if not token.isascii():
        raise MalformedTokenError("not a JSON Web Token: it has characters other than ASCII")
    if len(token) >= SIZE_LIMIT:
        raise MalformedTokenError(f"is {len(token)} bytes long; the limit is {SIZE_LIMIT - 1}")
    if token[:7].lower() == "bearer ":
        raise MalformedTokenError("begins with the word 'Bearer': only the token itself is expected")
    if token[0] in "\"'" or token[-1] in "\"'":
        raise MalformedTokenError("stands in quotes")
    lines = token.strip().count("\n") + 1
    if lines > 1:
        raise MalformedTokenError(f"has {lines} lines; one is expected", stricter=True)
    if re.search(r"\s", token):
        raise MalformedTokenError("has blanks or a line end in it", stricter=True)


def _decode_part(part: str, name: str) -> dict[str, Any]:
    if not _PART.fullmatch(part):
        raise MalformedTokenError(f"not a JSON Web Token: its {name} is not base64url")
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8").strip()
        value, end = _DECODER.raw_decode(text)
    except DoubleKeyError as error:
        key = "".join(char if char.isprintable() else "?" for char in error.key[:40])
        raise MalformedTokenError(f"its {name} has the key {key} twice", stricter=True) from None
    except (binascii.Error, ValueError, RecursionError):
        raise MalformedTokenError(f"not a JSON Web Token: its {name} is not JSON") from None
    if not isinstance(value, dict):
        raise MalformedTokenError(f"not a JSON Web Token: its {name} is not a JSON object")
    if end < len(text):  # HTCondor 23.9 reads no further than the object
        raise MalformedTokenError(f"not a JSON Web Token: its {name} has more than a JSON object", stricter=True)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # Python reads NaN and Infinity, nobody else does


class DoubleKeyError(ValueError):
    """A JSON object has a key twice, and programs differ in which of the two they take."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key} appears twice")
        self.key = key


def refuse_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object (an ``object_pairs_hook``); DoubleKeyError if a key appears twice."""
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise DoubleKeyError(key)
        members[key] = value
    return members


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=refuse_double_keys)
