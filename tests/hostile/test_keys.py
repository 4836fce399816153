"""A host's private key, printed by the host's own programs in many ways: no output, log or evidence has it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from itb.containers.host import FileSpec, Host
from itb.process.request import Request
from itb.repository import server, signing_key
from itb.testbed import logs
from itb.testbed.certificates import RunCA
from itb.util import known_secrets

PRINT = r"""
key=/etc/grid-security/hostkey.pem
say() { echo "--- $1"; shift; "$@"; }
say text openssl pkey -in $key -text -noout
say headless tail -n +2 $key
say endless head -n -1 $key
say prefixed sed 's/^/Nov 29 host program[1]: /' $key
say headless-prefixed sh -c "tail -n +2 $key | sed 's/^/> /'"
say lines grep -v -- ----- $key
say old sh -c "openssl ec -in $key 2>/dev/null | tail -n +2"
say dump sh -c "openssl pkey -in $key -outform DER | od -An -tx1"
say words sh -c "openssl pkey -in $key -outform DER | od -An -tx1 | tr -d ' \n'; echo"
say wide sh -c "openssl pkey -in $key -outform DER | base64 -w0; echo"
say twice sh -c "base64 -w0 $key; echo"
"""


@pytest.fixture
def key(shared_host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The number of the host's key; only itb itself had it before the host."""
    for registry in ("_texts", "_short_texts", "_lines", "_pieces"):
        monkeypatch.setattr(known_secrets, registry, set())
    issued = RunCA.create(tmp_path / "ca", "a run").issue("bare.example.org")
    shared_host.put(FileSpec("/etc/grid-security/hostkey.pem", issued.key_pem, mode=0o600))
    loaded = load_pem_private_key(issued.key_pem, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    yield loaded.private_numbers().private_value
    shared_host.call("rm", "-rf", "/etc/grid-security", "/var/log/key.log")


def leaks(text: str, key: int, pem: list[str]) -> list[str]:
    """What a text shows of a key: 10 bytes of its number, or half of one of its lines."""
    digits = re.sub(r"[^0-9a-f]", "", text)
    number = f"{key:064x}"
    shown = [number[at : at + 20] for at in range(0, 44, 2) if number[at : at + 20] in digits]
    return shown + [line for line in pem if line[4:36] in text]


def test_no_form_of_a_hosts_key_is_seen(shared_host: Host, key: int, tmp_path: Path) -> None:
    pem = next((tmp_path / "ca").glob("*.host.key")).read_text().splitlines()[1:-1]
    log = tmp_path / "log" / "a.log"
    printed = shared_host.script(PRINT, Request(log=log)).output
    shared_host.script(f"{{ {PRINT} }} | tee /var/log/key.log | systemd-cat --identifier=says")
    logs.collect(shared_host, ["/var/log/key.log"], tmp_path / "evidence")
    journal = (tmp_path / "evidence" / "journal.txt").read_text()
    seen = [printed, log.read_text(), (tmp_path / "evidence/var/log/key.log").read_text(), journal]
    assert [text.count("--- ") >= 11 for text in seen] == [True] * 4
    assert [leaks(text, key, pem) for text in seen] == [[]] * 4


def test_a_process_that_goes_on_with_the_run_knows_the_key(key: int, tmp_path: Path) -> None:
    assert key
    known_secrets._pieces.clear()
    RunCA.load(tmp_path / "ca")
    assert known_secrets.holds_piece(key.to_bytes(32))


PRINT_GPG = r"""
export GNUPGHOME=/root/.gnupg-itb
gpg --batch --armor --export-secret-keys >/tmp/armored
gpg --batch --export-secret-keys >/tmp/binary
say() { echo "--- $1"; shift; "$@"; }
say whole cat /tmp/armored
say headless sh -c "grep -v -- ----- /tmp/armored | tail -n +3"
say prefixed sh -c "tail -n +4 /tmp/armored | sed 's/^/Nov 29 host program[1]: /'"
say line sh -c "sed -n 14p /tmp/armored; sed -n 20p /tmp/armored"
say base64 base64 /tmp/binary
say wide base64 -w0 /tmp/binary
say dump od -An -tx1 /tmp/binary
say words sh -c "od -An -tx1 /tmp/binary | tr -d ' \n'; echo"
say agent cat $GNUPGHOME/private-keys-v1.d/*.key
say colons sh -c "od -An -tx1 /tmp/binary | tr ' ' : | tail -n +20"
echo
"""


def test_no_form_of_the_signing_key_is_seen(
    module_hosts: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for registry in ("_texts", "_short_texts", "_lines", "_pieces"):
        monkeypatch.setattr(known_secrets, registry, set())
    host, private = module_hosts("services"), tmp_path / "key"
    host.script(server._MAKE_KEY, Request(stdout_to=private, stdout_limit=1 << 20))
    assert len(signing_key.remember(private)) == 40
    printed = host.script(PRINT_GPG).output
    assert printed.count("--- ") >= 9
    raw = host.script("base64 -w0 /tmp/binary", Request(stdout_to=tmp_path / "raw"))
    assert raw.ok
    # RFC 4880, 5.5.3: after some 273 bytes of the public key, 650 with the secret numbers.
    secret = base64.b64decode((tmp_path / "raw").read_bytes())[280:900]
    # Less than 8 bytes of a number may be seen, the last of one beside the first of another.
    assert [at for at in range(len(secret) - 17) if is_shown(secret[at : at + 17], printed)] == []
    public = host.run(Request(["cat", f"{server.ROOT}/candidate/RPM-GPG-KEY-itb"])).stdout
    assert "redacted" not in public


def is_shown(data: bytes, text: str) -> bool:
    """Whether a text has some bytes in hexadecimal or in base64, wherever they begin."""
    digits = re.sub(r"[^0-9a-f]", "", text)
    words = [base64.b64encode(data[skipped : skipped + 15]).decode() for skipped in range(3)]
    return data.hex() in digits or any(word in text for word in words)
