"""A secret that itb makes or is given is found in every form; one of somebody else's by how it looks."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import random
import re
import textwrap
import zlib
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from itb.util import known_secrets, private_keys
from itb.util.known_secrets import remember, remember_logins, remember_token
from itb.util.private_keys import PrivateKey
from itb.util.redact import MARK, redact
from itb.util.redact_stream import Stream


def make_ec(seed: int) -> ec.EllipticCurvePrivateKey:
    """Make a key, always the same one."""
    return ec.derive_private_key(random.Random(seed).getrandbits(255), ec.SECP256R1())


def make_rsa(seed: int) -> rsa.RSAPrivateKey:
    """Make a small key, always the same one."""
    chosen, primes = random.Random(seed), []
    while len(primes) < 2:
        number = chosen.getrandbits(512) | 3 << 510 | 1
        if pow(2, number - 1, number) == 1 and (number - 1) % 65537:
            primes.append(number)
    p, q = primes
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


KEYS: dict[str, PrivateKey] = {
    **{f"EC {seed}": make_ec(seed) for seed in range(6)},
    **{f"RSA {seed}": make_rsa(seed) for seed in range(2)},
}
PREFIX = "Nov 29 05:40:12.123456 host program[17]: "
OPAQUE = "q7Zr/2pLx+0vWn4=Kd9sT1uYb8"


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in ("_texts", "_short_texts", "_lines", "_pieces"):
        monkeypatch.setattr(known_secrets, registry, set())


def pem(key: PrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> list[str]:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode().splitlines()


def der(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def numbers(key: PrivateKey) -> dict[str, bytes]:
    """The secret numbers of a key, by their names in a JWK."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"d": key.private_numbers().private_value.to_bytes(32)}
    values = key.private_numbers()
    named = {"d": values.d, "p": values.p, "q": values.q, "dp": values.dmp1, "dq": values.dmq1, "qi": values.iqmp}
    return {name: value.to_bytes((value.bit_length() + 7) // 8) for name, value in named.items()}


def as_openssl_prints(key: PrivateKey) -> str:
    """What openssl pkey -text says of a key besides what is public."""
    names = {"d": "privateExponent", "p": "prime1", "q": "prime2", "dp": "exponent1", "dq": "exponent2"}
    names["qi"] = "coefficient"
    lines = []
    for name, number in numbers(key).items():
        lines.append("priv:" if isinstance(key, ec.EllipticCurvePrivateKey) else f"{names[name]}:")
        pairs = [f"{byte:02x}" for byte in (b"\0" + number if number[0] > 127 else number)]
        rows = [":".join(pairs[at : at + 15]) for at in range(0, len(pairs), 15)]
        lines += [f"    {row}:" for row in rows[:-1]] + [f"    {rows[-1]}"]
    return "\n".join(lines)


def jwk(key: PrivateKey) -> dict[str, str]:
    encoded = {name: base64.urlsafe_b64encode(number) for name, number in numbers(key).items()}
    members = {name: value.rstrip(b"=").decode() for name, value in encoded.items()}
    return {"kty": "EC" if "p" not in members else "RSA", "use": "sig", **members}


def forms_of_key(key: PrivateKey) -> Iterator[tuple[str, str]]:
    """How a key may stand in a log, all of it or without what tells that it is one."""
    lines, old = pem(key), pem(key, PrivateFormat.TraditionalOpenSSL)
    yield "without its first line", "\n".join(lines[1:])
    yield "without its last line", "\n".join(lines[:-1])
    yield "before each line a journal's words", "\n".join(PREFIX + line for line in lines)
    yield "the same, without the first line", "\n".join(PREFIX + line for line in lines[1:])
    yield "the same, without the last line", "\n".join(PREFIX + line for line in lines[:-1])
    yield "the older form, without its first line", "\n".join(old[1:])
    yield "as openssl prints it", as_openssl_prints(key)
    yield "the same in a journal", textwrap.indent(as_openssl_prints(key), PREFIX)
    yield "JWK", json.dumps(jwk(key))
    yield "JWK of several lines", json.dumps(jwk(key), indent=1)
    yield "JWK in JSON", json.dumps(json.dumps(jwk(key)))
    yield "JWK as Python prints it", str(jwk(key))
    yield "JWK in HTML", html.escape(json.dumps(jwk(key)))
    yield "base64 of DER", base64.encodebytes(der(key)).decode()
    yield "JSON, without its first line", json.dumps({"key": "\n".join(lines[1:])})


def forms_of_known_key(key: PrivateKey) -> Iterator[tuple[str, str]]:
    """How only a key may stand there that is known."""
    lines, data = pem(key), der(key)
    yield "its lines alone, with something before each", "\n".join(f"> {line}" for line in lines[1:-1])
    yield "hexadecimal", data.hex()
    yield "hexadecimal with colons", data.hex(":").upper()
    yield "a dump", "\n".join(f"{at:08x}: {data[at : at + 16].hex(' ', 2)}" for at in range(0, len(data), 16))
    yield "C", ", ".join(f"0x{byte:02x}" for byte in data)
    yield "Python", repr(data)
    yield "base64, broken in the middle of a number", "\n".join(f"{PREFIX}{line}" for line in textwrap.wrap(
        base64.b64encode(data).decode(), 76))
    yield "percent-encoded", quote("".join(lines[1:-1]), safe="")
    yield "percent-encoded twice", quote(quote("".join(lines[1:-1]), safe=""))
    yield "base64 of its text", base64.b64encode("\n".join(lines[1:-1]).encode()).decode()
    yield "hexadecimal of its text", "\n".join(lines[1:-1]).encode().hex()


def leaks(key: PrivateKey, text: str) -> list[str]:
    """Which parts of a key a text still shows: 24 characters of its numbers in hexadecimal or of its lines."""
    shown = re.sub(r"[^A-Za-z0-9+/_-]", "", text.replace("0x", "").replace("\\x", ""))
    secrets = [(number.hex(), shown.lower()) for number in numbers(key).values()]
    secrets += [(line, shown) for line in pem(key)[1:-1]]
    parts = [(secret[at : at + 24], text) for secret, text in secrets for at in range(0, len(secret) - 24, 8)]
    return [part for part, text in parts if part in text]


def check(key: PrivateKey, forms: Iterator[tuple[str, str]]) -> None:
    for form, text in forms:
        data = f"before\n{text}\nafter it all\n"
        stream = Stream()
        pieces = [stream.feed(data.encode()[at : at + 50]) for at in range(0, len(data), 50)]
        for shown in (redact(data), b"".join([*pieces, stream.close()]).decode()):
            assert MARK in shown, form
            assert not leaks(key, shown), f"{form}: {shown}"
            assert shown.startswith("before\n"), form
            assert shown.endswith("after it all\n"), form


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_itb_is_found_in_every_form(kind: str) -> None:
    private_keys.remember(KEYS[kind])
    check(KEYS[kind], forms_of_key(KEYS[kind]))
    check(KEYS[kind], forms_of_known_key(KEYS[kind]))


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_somebody_else_is_found_by_how_it_looks(kind: str) -> None:
    check(KEYS[kind], forms_of_key(KEYS[kind]))


def test_what_is_public_of_a_key_stays() -> None:
    key = KEYS["EC 0"]
    private_keys.remember(key)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_numbers()
    published = json.dumps({"x": base64.urlsafe_b64encode(point.x.to_bytes(32)).decode().rstrip("=")})
    assert redact(published) == published


@pytest.mark.parametrize("secret", [OPAQUE, 'it"s <&> a\\pass/word', "straße-4711-x"])
def test_a_text_is_found_in_every_form(secret: str) -> None:
    remember(secret)
    once = quote(secret, safe="")
    numbered = "".join(f"&#{ord(letter)};" for letter in secret)
    forms = (
        once, quote(once, safe=""), html.escape(secret), json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)),
        secret.encode().hex(), secret.encode().hex(":"), base64.b64encode(f"a {secret} b".encode()).decode(),
        numbered, "".join(f"&#x{ord(letter):x};" for letter in secret), quote(numbered),
        "".join(f"\\u{ord(letter):04x}" for letter in secret), secret.encode().hex(" ").upper(),
        base64.b64encode(base64.b64encode(f"a {secret} b".encode())).decode(),
    )  # fmt: skip
    for form in forms:
        shown = redact(f"said <{form}> so")
        assert MARK in shown, form
        assert form[4:-4] not in shown, form


@pytest.mark.parametrize(
    "form",
    [  # as bash 5.2, dash 0.5 and Python 3.11 print it
        r"""+ true 'it'\''s a "pass\word" $5'""",
        r"""+ true 'it'"'"'s a "pass\word" $5'""",
        r"""it\'s\ a\ \"pass\\word\"\ \$5""",
        r'''declare -x P="it's a \"pass\\word\" \$5"''',
        r"""['it\'s a "pass\\word" $5']""",
        r"""b'it\'s a "pass\\word" $5'""",
    ],
)
def test_a_text_is_found_as_shells_and_python_quote_it(form: str) -> None:
    remember("""it's a "pass\\word" $5""")
    assert "pass" not in redact(form)


def test_the_signature_of_a_token_is_found_alone() -> None:
    signature = base64.urlsafe_b64encode(bytes(range(30, 94))).decode().rstrip("=")
    remember_token(f"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.{signature}")
    for form in (signature, bytes(range(30, 94)).hex(), PREFIX + signature[:40]):
        assert MARK in redact(f"a {form} b"), form


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"access_token": "opaque-value", "expires": 36}', f'{{"access_token": "{MARK}", "expires": 36}}'),
        ("{'refresh_token': 'opaque-value'}", f"{{'refresh_token': '{MARK}'}}"),
        ('"{\\"id_token\\": \\"opaque-value\\"}"', f'"{{\\"id_token\\": \\"{MARK}\\"}}"'),
        ("grant=x&access_token=a1b2c3d4e5&x=y", f"grant=x&access_token={MARK}&x=y"),
        ("client_secret=hunter2hunter2", f"client_secret={MARK}"),
        ("got Bearer a1b2c3d4e5f6", f"got Bearer {MARK}"),
        ("got bearer opaque-planted-value-of-mine.", f"got bearer {MARK}"),
        ("hook --password=swordfish --role x", f"hook --password={MARK} --role x"),
        ("hook --db-passwd hunter2hunter2", f"hook --db-passwd {MARK}"),
        ("https://ghp_abc@host/x", f"https://{MARK}@host/x"),
        ("https://0123456789abcdef0123@host/x", f"https://{MARK}@host/x"),
        ("https://glpat-x:x-oauth-basic@host/x", f"https://{MARK}:{MARK}@host/x"),
        ("(private-key(rsa(n #00AB#)(d #00AB12CD34EF56AB7890#)))", f"(private-key(rsa(n #00AB#)(d #{MARK}#)))"),
    ],
)
def test_secrets_of_others_are_found_by_their_names(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "innocent",
    [
        "Bearer token discovery", 'WWW-Authenticate: Bearer realm="x", error="invalid_token"', "a bearer of news",
        "BEARER_TOKEN_FILE=/run/user/1/bt_u1", "vault_token_file: /tmp/vt_u1000-lab", '"token_type": "Bearer"',
        "urn:ietf:params:oauth:token-type:access_token", "access_token = None", "option --token needs an argument",
        "itb run --token-hook command --ref v1", "--password-file=/etc/pw", "https://jdoe@host/x", "git@host:x/y",
        "https://a-very-long-name-of-a-host.example.org:443/x@y", "ssh://a-very-long-name-of-a-user@host/x",
        '{"k": "just-a-long-value-of-some-key"}', "exit_code: 12345678", "priv: none\n    ab:cd",
        "-----END PRIVATE KEY----- is expected", f"sha256:{'9f86d0818' * 7}a",
        "02:ab:cd:ef:01:02 00:16:3e:11:22:33", "100% a%20b &amp; c &lt;d&gt; \\n \\u00e9",
    ],
)  # fmt: skip
def test_innocent_text_stays(innocent: str) -> None:
    private_keys.remember(KEYS["EC 0"])
    remember("wire&lock/tangent-7")
    assert redact(innocent) == innocent


def test_logins_of_urls_are_known_alone_too() -> None:
    remember_logins("https://ghp_0123456789@host/ http://me:hunter%212hunter@host ssh://a-very-long-user-name@h/")
    assert redact("ghp_0123456789 hunter!2hunter hunter%212hunter") == f"{MARK} {MARK} {MARK}"
    assert redact("me a-very-long-user-name") == "me a-very-long-user-name"


def test_what_was_json_is_json() -> None:
    remember("wire&lock/tangent-7")
    inner = json.dumps({"Authorization": "Bearer ab.cd", "id_token": "opaque-value", "k": jwk(KEYS["EC 0"])["d"]})
    texts = (
        inner, "wire%26lock%2Ftangent-7", 'say "wire%26lock%2Ftangent-7"', "C:\\wire%26lock%2Ftangent-7\\",
        'say "wire&amp;lock&#47;tangent-7"', '"wire\\u0026lock\\/tangent-7"', "\n".join(pem(KEYS["EC 0"])[1:]),
        "x\\",
    )  # fmt: skip
    for text in texts:
        for document in (json.dumps({"text": text, "more": [text]}), json.dumps(json.dumps([text, text]))):
            shown = redact(document)
            json.loads(shown)
            assert MARK in shown or text == "x\\", text


def test_what_is_no_text_is_no_error() -> None:
    remember_token("half \udce4 character")
    assert redact("half ? character") == MARK


def test_arguments_of_programs_that_are_secrets_are_known() -> None:
    arguments = ("--password=swordfish1", "--pin", "4711", "TOKEN=hunter2hunter", "--role=me", "--token-type=raw")
    known_secrets.remember_arguments([*arguments, "--key", "/etc/key", "https://ghp_9876543210@host/"])
    for secret in ("swordfish1", "4711", "hunter2hunter", "ghp_9876543210"):
        assert redact(f"it said {secret} there") == f"it said {MARK} there"
    innocent = "me raw /etc/key"
    assert redact(innocent) == innocent


SIGNATURE = hashlib.sha512(b"a signature").digest()
TOKEN = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"ES256"}', b'{"iss":"https://ce.example.org/","scope":"condor:/READ"}', SIGNATURE)
)


def _dump(data: bytes, group: int, gap: str = "") -> str:
    """Return data as hexdump -C, xxd, tcpdump and curl --trace show it."""
    lines = []
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        pairs = " ".join(row[at : at + group].hex() for at in range(0, len(row), group))
        middle = pairs[: len(pairs) // 2] + gap + pairs[len(pairs) // 2 :]
        lines.append(f"{start:08x}  {middle if len(row) == 16 else pairs}  {row.decode()}")
    return "\n".join(lines)


def _rows(text: str, width: int, glue: str) -> str:
    return glue.join(text[start : start + width] for start in range(0, len(text), width))


ENCODED_TOKENS = {
    "base32": base64.b32encode(TOKEN.encode()).decode(),
    "base32, small": base64.b32encode(TOKEN.encode()).decode().lower(),
    "gzip": base64.b64encode(gzip.compress(TOKEN.encode())).decode(),
    "gzip, wrapped": base64.encodebytes(gzip.compress(f"export BEARER_TOKEN={TOKEN}".encode())).decode(),
    "zlib": base64.urlsafe_b64encode(zlib.compress(TOKEN.encode())).decode(),
    "UTF-16": TOKEN.encode("utf-16-le").decode(),
    "UTF-32": TOKEN.encode("utf-32-be").decode(),
    "UTF-16 in base64": base64.b64encode(TOKEN.encode("utf-16-le")).decode(),
    "marks without width": "\u200b".join(TOKEN),
    "octal": "".join(f"\\{ord(letter):03o}" for letter in TOKEN),
    "Unicode, long": "".join(f"\\U{ord(letter):08x}" for letter in TOKEN),
    "Unicode, braces": "".join(f"\\u{{{ord(letter):x}}}" for letter in TOKEN),
    "bytes of Go": f"[{' '.join(str(ord(letter)) for letter in TOKEN)}]",
    "bytes of JSON": json.dumps(list(TOKEN.encode())),
}


@pytest.mark.parametrize("form", ENCODED_TOKENS)
def test_a_token_of_itb_is_found_in_every_encoding(form: str) -> None:
    remember_token(TOKEN)
    shown = redact(f"it is\n{ENCODED_TOKENS[form]}\nthe token\n")
    assert MARK in shown
    assert len(shown) < 40, shown


TOKEN_PARTS = {
    "hexdump -C": _dump(TOKEN.encode(), 1, " "),
    "curl --trace": _dump(TOKEN.encode(), 1),
    "xxd": _dump(TOKEN.encode(), 2),
    "strace": _rows(TOKEN, 32, '"..., 4096) = 32\nwrite(3, "'),
    "lines of a journal": _rows(TOKEN, 30, "\nNov 29 11:00:00 host hook[1]: "),
    "parts of a path": _rows(TOKEN, 20, "/"),
    "strings of Python": _rows(TOKEN, 40, '"\n "'),
}


@pytest.mark.parametrize("form", TOKEN_PARTS)
def test_a_tokens_signature_is_found_in_parts(form: str) -> None:
    """Too little of it stays to guess the rest: less than 15 letters at either end."""
    remember_token(TOKEN)
    shown = redact(TOKEN_PARTS[form])
    packed = "".join(shown.split())
    signature = TOKEN.rpartition(".")[2]
    middle = [signature[start : start + 8] for start in range(15, len(signature) - 23)]
    assert not [part for part in middle if part in shown or part.encode().hex() in packed], shown


@pytest.mark.parametrize(
    "innocent",
    [
        "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "\\033[0m \\012",
        "H4sIAAAAAAAAAAAAAAAAAAAAAAAAAAAA eJwAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "a\u200bb",
        "a-very-long-name-of_a_file",
    ],
)
def test_what_looks_encoded_and_is_no_secret_stays(innocent: str) -> None:
    remember_token(TOKEN)
    assert redact(innocent) == innocent
