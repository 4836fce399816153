from __future__ import annotations

import ipaddress
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from itb.errors import UsageError
from itb.testbed.certificates import RunCA, subject_hash

KINDS = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


def name(*parts: tuple[str, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(KINDS[kind], value) for kind, value in parts])


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        # file names of /etc/ssl/certs of any Debian: made by OpenSSL itself
        (
            name(("C", "US"), ("O", "Internet Security Research Group"), ("CN", "ISRG Root X1")),
            "4042bcee",
        ),
        (
            name(
                ("C", "US"),
                ("O", "DigiCert Inc"),
                ("OU", "www.digicert.com"),
                ("CN", "DigiCert Global Root CA"),
            ),
            "3513523f",
        ),
    ],
)
def test_subject_hash_is_openssls(subject: x509.Name, expected: str) -> None:
    assert subject_hash(subject) == expected


def test_subject_hash_ignores_case_and_runs_of_blanks() -> None:
    assert subject_hash(name(("CN", "A  B "))) == subject_hash(name(("CN", "a b")))


def test_host_certificate_names_everything_a_client_may_call_it(tmp_path: Path) -> None:
    ca = RunCA.create(tmp_path, "itb run 1")
    issued = ca.issue("ce.example.org", ["ce", "ce.example.org"], ["10.1.2.3"])
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["ce.example.org", "ce"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.1.2.3")]
    authority = x509.load_pem_x509_certificate(ca.certificate_pem)
    certificate.verify_directly_issued_by(authority)
    assert certificate.not_valid_after_utc <= authority.not_valid_after_utc
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_private_and_survive_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    ca = RunCA.load_or_create(folder, name="itb run 1")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    assert RunCA.load_or_create(folder, name="another").certificate_pem == ca.certificate_pem


def test_a_long_run_name_fits_a_certificate(tmp_path: Path) -> None:
    ca = RunCA.create(tmp_path, "20261123T021609Z-" + "x" * 80)
    assert len(ca.subject_hash) == 8


def test_a_ca_that_was_removed_is_said_to_be_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="certificate authority is gone"):
        RunCA.load(tmp_path)


def test_a_host_certificate_does_not_show_its_key(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(RunCA.create(tmp_path, "r").issue("a.example.org"))


def test_all_who_ask_at_once_get_the_same_authority(tmp_path: Path) -> None:
    """Hosts boot at the same time: hosts of two authorities would not trust each other."""
    ready = threading.Barrier(8)

    def ask(_: int) -> bytes:
        ready.wait()
        return RunCA.load_or_create(tmp_path / "ca", name="run").certificate_pem

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
