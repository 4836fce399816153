"""Redaction replaces every secret, in whatever pieces it comes, and leaves innocent text alone."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import random
import zlib

import pytest

from itb.util import known_secrets
from itb.util import redact as module
from itb.util.known_secrets import remember, remember_logins
from itb.util.redact import MARK, is_text, redact, redact_bytes, redact_name
from itb.util.redact_stream import Stream

JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJpdGIifQ.MEUCIQDx-_9abcDEF0123456789"
VAULT = "hvs.CAESIJ2b7c0d9e8f7a6b5c4d3e2f1a0b"
BODY = "\n".join(base64.b64encode(random.Random(1).randbytes(48)).decode() for _ in range(20)) + "\nQUJDRA=="
PEM = f"-----BEGIN EC PRIVATE KEY-----\n{BODY}\n-----END EC PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in ("_texts", "_short_texts", "_lines", "_pieces"):
        monkeypatch.setattr(known_secrets, registry, set())


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        JWT[: JWT.rindex(".") + 1],  # unsigned
        JWT[: JWT.rindex(".") - 1],  # cut
        VAULT,
        "s.abcdefghijklmnopqrstuvwx",
        PEM,
        PEM.replace("EC ", ""),
        PEM.replace("EC PRIVATE KEY", "OPENSSH PRIVATE KEY"),
        PEM.replace("EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
        PEM.replace("\n", "\\n"),  # inside JSON
    ],
)
@pytest.mark.parametrize("around", ["{}", "key={} next", "a\n{}\nz\n", '{{"token": "{}"}}'])
def test_secret_goes_and_the_rest_stays(secret: str, around: str) -> None:
    assert redact(around.format(secret)) == around.format(MARK)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: {MARK}"),
        ("curl -H 'X-Vault-Token: Bearer abcd' u", f"curl -H 'X-Vault-Token: {MARK}' u"),
        ('{"Authorization": "Basic dXNlcjpwdw=="}', f'{{"Authorization": "{MARK}"}}'),
        ("{'x-vault-token': '0123456789abcdef0'}", f"{{'x-vault-token': '{MARK}'}}"),
        ("git clone https://me:pa55w0rd@host/x.git", f"git clone https://me:{MARK}@host/x.git"),
        ("https://:ghp_tok@host", f"https://:{MARK}@host"),
        ("https://host/x?a=b&X-Amz-Signature=abcdef&c=d", f"https://host/x?a=b&X-Amz-Signature={MARK}&c=d"),
        ("https://host/x?private_token=abcdef more", f"https://host/x?private_token={MARK} more"),
        ('"https://host/x?se=1&sig=abc%2Fdef"', f'"https://host/x?se=1&sig={MARK}"'),
    ],
)
def test_headers_and_urls(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "innocent",
    [
        "authorization: denied by policy",
        "https://repo.glideinwms.org:443/candidate/x@y.rpm",
        "3.11.2-0.rc1.eyJ.noarch",
        "its. values",
        "https://host/x?key=README&design=modern&token=&a=b",
        "Expecting: -----BEGIN CERTIFICATE-----",
        "ä\u2028\x00\x1b[31m",
    ],
)
def test_innocent_text_stays(innocent: str) -> None:
    assert redact(innocent) == innocent


def test_known_secrets_longest_first() -> None:
    remember("swordfish")
    remember("swordfish-and-more")
    assert redact("a swordfish-and-more b swordfish") == f"a {MARK} b {MARK}"


def test_short_secrets_would_hit_innocent_text() -> None:
    remember("ab")
    assert redact("abc") == "abc"


def test_lone_surrogates_do_not_raise() -> None:
    assert "x" in redact("\ud800x\udcff")


def test_a_mere_mention_of_a_key_hides_nothing_else() -> None:
    text = "expected -----BEGIN PRIVATE KEY----- in line 1\nand here goes the log on\n"
    assert redact(text) == f"expected {MARK} in line 1\nand here goes the log on\n"


def test_key_that_was_cut_off() -> None:
    assert redact(PEM[:400]) == MARK


def pieces(data: bytes, size: int) -> bytes:
    stream = Stream()
    return b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size)) + stream.close()


@pytest.mark.parametrize("size", [1, 2, 7, 63, 64, 65, 1000])
def test_stream_in_pieces_is_like_the_whole(size: int) -> None:
    text = f"one\n{PEM}\ntwo {JWT} three\nAuthorization: Bearer x\n{PEM} tail\n{VAULT}".encode()
    assert pieces(text, size) == redact_bytes(text)


@pytest.mark.parametrize("shift", [0, 1, 30, 60, 19_990, 20_010])
def test_stream_cuts_no_token_of_an_endless_line(shift: int) -> None:
    filler = b"word " * (Stream.HOLD // 5)
    data = filler[: len(filler) - shift] + b" " + JWT.encode() + b" " + filler
    shown = pieces(data, 4096)
    assert shown.count(MARK.encode()) == 1
    assert b"eyJ" not in shown
    assert b"9abcDEF" not in shown


def test_stream_holds_little_back() -> None:
    stream = Stream()
    for _ in range(64):
        stream.feed(b"A" * 65536)
        assert len(stream._pending) <= Stream.HOLD + 65536


def test_stream_gives_up_on_a_key_that_never_ends() -> None:
    data = b"see -----BEGIN PRIVATE KEY-----\n" + b"ordinary line of a log\n" * 2000
    assert pieces(data, 4096).count(b"ordinary line") == 2000


def test_stream_shows_lines_at_once() -> None:
    stream = Stream()
    assert stream.feed(b"first\nsec") == b"first\n"
    assert stream.feed(b"ond\n") == b"second\n"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"plain\n", "grün\n".encode(), b"\x1b[31mred\x1b[0m\r\n",
        b"a latin1 \xe4 in a long enough line of a log\n",
    ],
)  # fmt: skip
def test_text_is_text(data: bytes) -> None:
    assert is_text(data)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"x", mtime=0), bz2.compress(b"x"), lzma.compress(b"x"),
        zlib.compress(random.Random(2).randbytes(999)),
        b"\x7fELF", b"text\0", "wide".encode("utf-16"), random.Random(3).randbytes(500).replace(b"\0", b""),
    ],
)  # fmt: skip
def test_what_redaction_cannot_see_into_is_no_text(data: bytes) -> None:
    assert not is_text(data)


def test_a_files_name_may_be_the_secret() -> None:
    assert redact_name(f"log/{JWT}.log") == f"log/{MARK}.log"
    assert redact_name("log/\udcff.log") == "log/\udcff.log"  # no text, and no secret


def test_passwords_of_urls_are_remembered_alone_too() -> None:
    remember_logins("{'source': 'https://me:hunter%212hunter@host/x', 'b': 'http://plain/'}")
    assert redact("hunter%212hunter hunter!2hunter me host") == f"{MARK} {MARK} me host"


PASSWORD = "wire&lock/tangent-7"


@pytest.mark.parametrize("secret", [JWT, VAULT, PEM, PASSWORD, "https://me:pa55w0rd@host/x"])
@pytest.mark.parametrize("before", ["", " ", "x "])
@pytest.mark.parametrize("width", [0, 64, 76])
def test_base64_hides_nothing(secret: str, before: str, width: int) -> None:
    remember(PASSWORD)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(f"{before}{secret}\n".encode()).decode()
        lines = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
        shown = redact("said: " + "\n".join(lines) + "\nnext line\n")
        assert MARK in shown
        assert all(len(line) < 8 or line[4:-4] not in shown for line in lines)
        assert shown.endswith("\nnext line\n")


def test_percent_encoding_hides_nothing() -> None:
    remember(PASSWORD)
    for text in (
        "wire%26lock%2ftangent-7", "wire%26lock%2Ftangent%2d7", "%77ire%26lock%2Ftangent-7",
        f"next=https%3A%2F%2Fme%3Apa55w0rd%40host&t={JWT.replace('eyJ', '%65%79%4a')}",
    ):  # fmt: skip
        assert redact(f"GET /x?{text} HTTP/1.1").startswith(("GET [redacted] HTTP", "GET /x?[redacted] HTTP"))
    assert redact("100% of a%20b%zz") == "100% of a%20b%zz"


def test_other_spellings_of_a_known_secret() -> None:
    remember('pass"word\\&ü')
    for text in ('pass\\"word\\\\&ü', 'pass\\"word\\\\&\\u00fc', "pass&quot;word\\&amp;ü"):
        assert redact(f"<{text}>") == f"<{MARK}>"


@pytest.mark.parametrize("dot", ["&#46;", "&#x2e;", "&#X2E;", "&period;", "\\u002e", "\\u002E", "\\\\u002e"])
@pytest.mark.parametrize("secret", [JWT, VAULT, "s.abcdefghijklmnopqrstuvwx"])
def test_dots_as_html_and_json_may_have_them_hide_nothing(dot: str, secret: str) -> None:
    assert redact(f'<a b="{secret.replace(".", dot)}"/>') == f'<a b="{MARK}"/>'


@pytest.mark.parametrize("secret", [JWT, VAULT, "https://me:pa55w0rd@host/x", "wire&lock/tangent-7"])
def test_colours_hide_nothing(secret: str) -> None:
    remember("wire&lock/tangent-7")
    for on, off in (("\x1b[1;31m", "\x1b[0m"), ("\x1b[01;31m\x1b[K", "\x1b[m\x1b[K"), ("\x1b[7m", "\x1b(B\x1b[m")):
        for at in range(1, len(secret)):
            text = f"a {secret[: at - 1]}{on}{secret[at - 1 : at]}{off}{secret[at:]} b\n"
            shown = redact(text)
            assert module._UNSEEN.sub(b"", shown.encode()).decode() == redact(f"a {secret} b\n")
            assert pieces(text.encode(), 50).decode() == shown
    text = f"\x1b[32m{JWT}\x1b[0m \x1b[1mfine\x1b[0m\n"
    assert redact(text) == text.replace(JWT, MARK)


def test_a_pin_goes_where_it_stands_alone() -> None:
    remember("4711")
    assert redact("pin 4711, pin=4711; '4711' 4711.") == f"pin {MARK}, pin={MARK}; '{MARK}' {MARK}."
    for innocent in ("14711", "47110", "10.4711.3", "/4711/", "12:4711", "4711.rpm", "a4711b"):
        assert redact(innocent) == innocent


@pytest.mark.parametrize("width", [48, 80])
def test_a_token_wrapped_over_lines_is_one(width: int) -> None:
    token = JWT + "x" * 200
    lines = [token[at : at + width] for at in range(0, len(token), width)]
    shown = redact("token: " + "\n  ".join(lines) + "\nnext\n")
    assert shown == f"token: {MARK}\nnext\n"


@pytest.mark.parametrize("size", [1, 5, 77, 78, 4096])
def test_a_stream_holds_back_what_may_go_on_in_the_next_line(size: int) -> None:
    wrapped = base64.encodebytes(f"a {JWT} {VAULT} {PEM}".encode())
    text = b"one\n" + wrapped + b"two three\n" + b"/usr/lib/a-long-name-of-a-file-that-is-no-secret.py\n" * 3
    shown = pieces(text, size)
    assert shown == redact_bytes(text)
    assert shown.count(MARK.encode()) == 1
    assert shown.endswith(text[-60:])


def test_hashes_and_lists_of_files_stay() -> None:
    lines = (f"{number:064x}  /usr/lib/python3/dist-packages/{number:040d}/name.py\n" for number in range(500))
    text = "".join(lines)
    assert redact(text) == text
    assert pieces(text.encode(), 999) == text.encode()
