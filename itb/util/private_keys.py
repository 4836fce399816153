"""Registering private keys as secrets, in the forms in which programs write them."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from itb.util import known_secrets

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def remember(key: PrivateKey) -> None:
    """Replace a key from now on: its numbers in whatever encoding, and every line of its PEM."""
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        known_secrets.remember_key_text(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())
    for number, bits in _secret_numbers(key):
        known_secrets.remember_number(number)
        known_secrets.remember_bytes(number.to_bytes((bits + 7) // 8))


def _secret_numbers(key: PrivateKey) -> list[tuple[int, int]]:
    """Return the numbers of a key that are not public, each with its size in bits."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return [(key.private_numbers().private_value, key.key_size)]
    numbers = key.private_numbers()
    halves = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    return [(numbers.d, key.key_size), *((half, key.key_size // 2) for half in halves)]
