"""A secret is found in what programs dump: in hexadecimal, octal or decimal numbers, and in encodings of mail."""

from __future__ import annotations

import base64
import binascii
import quopri
import random
import struct
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from itb.util import known_secrets, private_keys
from itb.util.known_secrets import remember
from itb.util.redact import MARK, redact
from itb.util.redact_stream import Stream

OPAQUE = "q7Zr/2pLx+0vWn4=Kd9sT1uYb8Z"
KEY = ec.derive_private_key(random.Random(7).getrandbits(255), ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
BODY = "".join(PEM.splitlines(keepends=True)[1:-1])
SECRETS = {"a text": f"it is {OPAQUE}, they say", "a key": PEM, "a key's body": BODY}


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in ("_texts", "_short_texts", "_lines", "_pieces"):
        monkeypatch.setattr(known_secrets, registry, set())
    remember(OPAQUE)
    private_keys.remember(KEY)


def rows(data: bytes, form: str) -> str:
    """Return data as xxd, hexdump and od print it."""
    lines = []
    for place in range(0, len(data), 16):
        row = data[place : place + 16]
        even = row + b"\0" * (len(row) % 2)
        shown = row.translate(bytes(code if 32 <= code < 127 else 46 for code in range(256))).decode()
        words = [even[at : at + 2] for at in range(0, len(even), 2)]
        lines.append({
            "xxd": f"{place:08x}: {' '.join(word.hex() for word in words):39}  {shown}",
            "hexdump -C": f"{place:08x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  |{shown}|",
            "hexdump": f"{place:07x} {' '.join(word[::-1].hex() for word in words)}",
            "od": f"{place:07o} {' '.join(format(struct.unpack('<H', word)[0], '06o') for word in words)}",
            "od -b": f"{place:07o} {' '.join(format(byte, '03o') for byte in row)}",
            "od -x": f"{place:07o} {' '.join(word[::-1].hex() for word in words)}",
            "curl --trace": f"{place:04x}: {row.hex(' ')} {shown}",
        }[form])
    return "\n".join(lines)


DUMPS = ("xxd", "hexdump -C", "hexdump", "od", "od -b", "od -x", "curl --trace")


@pytest.mark.parametrize("form", DUMPS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_dump_hides_nothing(secret: str, form: str) -> None:
    text = rows(SECRETS[secret].encode(), form)
    assert set(redact(text).split()) == {MARK}
    stream = Stream()
    shown = b"".join(stream.feed(f"{line}\n".encode()) for line in text.splitlines()) + stream.close()
    assert set(shown.decode().split()) == {MARK}


@pytest.mark.parametrize("form", DUMPS)
def test_a_dump_of_what_is_no_secret_stays(form: str) -> None:
    text = rows(b"nothing of this is a secret, and it is long enough for some rows\n" * 3, form)
    assert redact(text) == text


MAILED: dict[str, Callable[[bytes], str]] = {
    "uuencode": lambda data: "begin 644 key\n" + "".join(
        binascii.b2a_uu(data[at : at + 45]).decode() for at in range(0, len(data), 45)
    ) + "`\nend",
    "uuencode with backticks": lambda data: "begin 644 key\n" + "".join(
        binascii.b2a_uu(data[at : at + 45], backtick=True).decode() for at in range(0, len(data), 45)
    ) + "`\nend",
    "quoted-printable": lambda data: quopri.encodestring(b"x" * 60 + data).decode(),
    "signed bytes": lambda data: str([byte - 256 if byte > 127 else byte for byte in b"\xff\xe4" + data]),
    "octal numbers": lambda data: " ".join(f"{byte:03o}" for byte in data),
}  # fmt: skip


@pytest.mark.parametrize("form", MAILED)
@pytest.mark.parametrize("secret", SECRETS)
def test_mail_and_lists_of_bytes_hide_nothing(secret: str, form: str) -> None:
    shown = redact(MAILED[form](SECRETS[secret].encode()))
    assert MARK in shown
    words = [OPAQUE, *PEM.splitlines()[1:-1]]
    assert not [word for word in words for at in (0, 12) if word[at : at + 12] in shown.replace("=\n", "")]


@pytest.mark.parametrize("width", [72, 80, 132])
@pytest.mark.parametrize("at", [1, 13, 26])
def test_a_secret_that_is_folded_is_one(width: int, at: int) -> None:
    line = f"{'some words ' * 20}"[: width - at] + OPAQUE
    text = f"before\n{line[:width]}\n{line[width:]} and more\nafter\n"
    shown = redact(text)
    assert shown == f"before\n{line[: width - at]}{MARK}\n and more\nafter\n"
    stream = Stream()
    parts = [stream.feed(part.encode()) for part in text.splitlines(keepends=True)]
    assert b"".join(parts).decode() + stream.close().decode() == shown


def test_a_keys_number_is_found_as_a_number() -> None:
    number = KEY.private_numbers().private_value
    assert redact(f"&{{D:{number}}}") == f"&{{D:{MARK}}}"
    signed = [byte - 256 if byte > 127 else byte for byte in number.to_bytes(32)]
    assert redact(str(signed)) == f"[{MARK}]"


@pytest.mark.parametrize(
    "innocent",
    [
        "x=3D y=2", "M" * 61, "begin 644 of what\nis no code", str(list(range(-15, 15))),
        f"{'a' * 80}\nb", "00000000: 4d49 a", base64.b64encode(bytes(range(60))).decode(), "0000000 000001 000002",
    ],
)  # fmt: skip
def test_what_looks_dumped_and_is_no_secret_stays(innocent: str) -> None:
    assert redact(innocent) == innocent
