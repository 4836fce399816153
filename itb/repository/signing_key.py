"""The secret part of a run's gpg key: it is read once gpg has made it, and known as a secret from then on."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from itb.util import known_secrets, private_keys

# The numbers of a key in a file of gpg's agent, a canonical S-expression or, from GnuPG 2.3 on, one in text.
_CANONICAL = re.compile(rb"\(1:([nedpqu])(\d{1,4}):")
_TEXT = re.compile(rb"\(([nedpqu])\s+#([0-9A-Fa-f\s]+)#\)")
_NAMES = set("nedpqu")


def remember(private: Path) -> str:
    """Remember the secret key that a file has, in base64, in its last line but one; return the last line.

    Of a key in another form than those of gpg, nothing is known; it is found by how it looks.
    """
    lines = private.read_bytes().split()
    if len(lines) > 1:
        with suppress(binascii.Error, ValueError):
            _remember(base64.b64decode(lines[-2], validate=True))
    return lines[-1].decode("ascii", "replace") if lines else ""


def _remember(text: bytes) -> None:
    numbers = {name.decode(): int(digits.translate(None, b" \t\r\n"), 16) for name, digits in _TEXT.findall(text)}
    for match in _CANONICAL.finditer(text):
        numbers[match[1].decode()] = int.from_bytes(text[match.end() : match.end() + int(match[2])])
    if numbers.keys() < _NAMES:
        return
    n, e, d, p, q, u = (numbers[name] for name in "nedpqu")
    known_secrets.remember_bytes(u.to_bytes((u.bit_length() + 7) // 8))
    key = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(e, n),
    ).private_key()  # fmt: skip
    private_keys.remember(key)
