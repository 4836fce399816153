"""A token taken apart: JSON Web Token, one line, three parts; nothing in it is believed yet."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from itb.model import Record
from itb.tokens.request import SIZE_LIMIT

_PART = re.compile(r"[A-Za-z0-9_-]+")


class Opened(Record):
    """Header and claims as they stand in a token."""

    header: dict[str, Any]
    claims: dict[str, Any]


class FormError(Exception):
    """It is no token a CE could read.

    ``stricter``: HTCondor's client would cut it into shape first (it takes
    the first line that is no comment and trims it); others would not.
    """

    def __init__(self, reason: str, *, stricter: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stricter = stricter


def open_token(token: str) -> Opened:
    """Return what a token says; FormError naming what it is not."""
    _check_line(token)
    parts = token.split(".")
    if len(parts) == 5:
        raise FormError("is encrypted (JWE, five parts); a CE reads signed tokens only")
    if len(parts) != 3:
        raise FormError(f"not a JSON Web Token: {len(parts)} part(s) where three are expected")
    if parts[2] and not _PART.fullmatch(parts[2]):
        raise FormError("not a JSON Web Token: its signature is not base64url")
    return Opened(header=_object(parts[0], "header"), claims=_object(parts[1], "payload"))


def _check_line(token: str) -> None:
    if not token.strip():
        raise FormError("is empty")
    if not token.isascii():
        raise FormError("not a JSON Web Token: it has characters other than ASCII")
    if len(token) >= SIZE_LIMIT:
        raise FormError(f"is {len(token)} bytes long; the limit is {SIZE_LIMIT - 1}")
    if token[:7].lower() == "bearer ":
        raise FormError("begins with the word 'Bearer': only the token itself is expected")
    if token[0] in "\"'" or token[-1] in "\"'":
        raise FormError("stands in quotes")
    lines = token.strip().count("\n") + 1
    if lines > 1:
        raise FormError(f"has {lines} lines; one is expected", stricter=True)
    if re.search(r"\s", token):
        raise FormError("has blanks or a line end in it", stricter=True)


def _object(part: str, what: str) -> dict[str, Any]:
    if not _PART.fullmatch(part):
        raise FormError(f"not a JSON Web Token: its {what} is not base64url")
    try:
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8").strip()
        value, end = _DECODER.raw_decode(text)
    except DoubleKeyError as error:
        key = "".join(char if char.isprintable() else "?" for char in error.key[:40])
        raise FormError(f"its {what} has the key {key} twice", stricter=True) from None
    except (binascii.Error, ValueError, RecursionError):
        raise FormError(f"not a JSON Web Token: its {what} is not JSON") from None
    if not isinstance(value, dict):
        raise FormError(f"not a JSON Web Token: its {what} is not a JSON object")
    if end < len(text):  # HTCondor 23.9 reads no further than the object
        raise FormError(f"not a JSON Web Token: its {what} has more than a JSON object", stricter=True)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # Python reads NaN and Infinity, nobody else does


class DoubleKeyError(ValueError):
    """A JSON object has a key twice, and everybody may take another of the two."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key} appears twice")
        self.key = key


def without_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object (``object_pairs_hook``); DoubleKeyError if a key appears twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DoubleKeyError(key)
        found[key] = value
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=without_double_keys)
