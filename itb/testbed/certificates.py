"""The certificate authority of one run, and the host certificates that it issues.

Keys are EC P-256: OpenSSL 1.1 (EL8), HTCondor's SSL, curl and nginx all accept
them, and making one takes a millisecond instead of RSA's hundred.  The keys
are in a private directory of the run, which teardown removes.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from itb.errors import UsageError
from itb.util import private_keys
from itb.util.files import private_directory, write_atomically

_ORGANIZATION = "GlideinWMS test bed"
_COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name
_BACKDATE = timedelta(hours=1)  # so that hosts whose clock is behind this machine's accept the certificate
_CERTIFICATE, _KEY = "ca.pem", "ca.key"
_HOST_KEY = ".host.key"  # ending of the files of the hosts\' keys
_LOAD_LOCK = threading.Lock()  # hosts that boot at the same time share one authority


class HostCertificate(NamedTuple):
    """The certificate of a host and its unencrypted key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "HostCertificate([redacted])"


class RunCA:
    """Issues the host certificates of one run."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, directory: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._directory = directory

    @classmethod
    def create(cls, directory: Path, name: str, *, valid_days: int = 30) -> Self:
        """Make a CA named after a run, and write it to ``directory`` (mode 0700; the key 0600)."""
        private_directory(directory)
        key = _make_key()
        subject = _x509_name(name)
        certificate = (
            _build_certificate(subject, subject, key.public_key(), valid_days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_atomically(directory / _KEY, _encode_key(key), mode=0o600)
        write_atomically(directory / _CERTIFICATE, certificate.public_bytes(Encoding.PEM))
        return cls(certificate, key, directory)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Load the CA that :meth:`create` wrote, and know the keys it issued; UsageError if it was removed."""
        try:
            certificate = x509.load_pem_x509_certificate((directory / _CERTIFICATE).read_bytes())
            key = _load_key(directory / _KEY)
            for path in directory.glob(f"*{_HOST_KEY}"):
                _load_key(path)
        except FileNotFoundError as error:
            raise UsageError(
                f"the run's certificate authority is gone ({error.filename})",
                hint="it is removed with the testbed; start a new run, or keep the testbed with --keep always",
            ) from None
        return cls(certificate, key, directory)

    @classmethod
    def load_or_create(cls, directory: Path, *, name: str, valid_days: int = 30) -> Self:
        """Load the CA from ``directory``, or create one if there is none."""
        with _LOAD_LOCK:
            if (directory / _CERTIFICATE).exists():
                return cls.load(directory)
            return cls.create(directory, name, valid_days=valid_days)

    @property
    def certificate_pem(self) -> bytes:
        """Return the CA's own certificate, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def subject_hash(self) -> str:
        """Return eight hexadecimal digits: OpenSSL 1.0 and later look for the file ``<hash>.0``."""
        return subject_hash(self._certificate.subject)

    @property
    def signing_policy(self) -> str:
        """Return the text of ``<hash>.signing_policy``, which Globus software requires beside the certificate."""
        subject = f"/O={_ORGANIZATION}/CN={_common_name(self._certificate)}"
        return (
            f"access_id_CA      X509    '{subject}'\n"
            "pos_rights        globus  CA:sign\n"
            f"cond_subjects     globus  '\"/O={_ORGANIZATION}/*\"'\n"
        )

    def issue(
        self,
        fqdn: str,
        alt_names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        *,
        valid_days: int = 30,
    ) -> HostCertificate:
        """Return a new key and certificate of a host, with names and IP addresses as subject alternative names.

        The certificate is for servers and clients; it expires no later than
        the CA's.  The key stays beside the CA's too: a process that goes on
        with the run has to know what is secret.
        """
        key = _make_key()
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys([fqdn, *alt_names])]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        subject, ca_key = _x509_name(fqdn), self._key.public_key()
        certificate = (
            _build_certificate(subject, self._certificate.subject, key.public_key(), valid_days, self._not_after)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = _encode_key(key)
        write_atomically(self._directory / f"{fqdn}{_HOST_KEY}", key_pem, mode=0o600)
        return HostCertificate(certificate.public_bytes(Encoding.PEM), key_pem)

    @property
    def _not_after(self) -> datetime:
        return self._certificate.not_valid_after_utc


def subject_hash(name: x509.Name) -> str:
    """Return what ``openssl x509 -hash`` prints for a certificate of this subject.

    That is the first four bytes, little-endian, of the SHA-1 of the name's
    canonical encoding: every value as a UTF-8 string in lower case, in which
    several blanks become one, without the outer sequence (crypto/x509/x_name.c).
    """
    canonical = b""
    for rdn in name.rdns:
        members = []
        for attribute in rdn:
            oid = x509.Name([attribute]).public_bytes()
            value = attribute.value if isinstance(attribute.value, str) else attribute.value.decode()
            text = re.sub(r"\s+", " ", value.strip()).lower().encode()
            members.append(_der(0x30, _extract_oid(oid) + _der(0x0C, text)))
        canonical += _der(0x31, b"".join(sorted(members)))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _extract_oid(name: bytes) -> bytes:
    """Return the encoded object identifier from an encoded name of one short attribute."""
    start = name.index(b"\x06")
    return name[start : start + 2 + name[start + 1]]


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _x509_name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[-_COMMON_NAME_LIMIT:]),
        ]
    )


def _common_name(certificate: x509.Certificate) -> str:
    value = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return value if isinstance(value, str) else value.decode()


def _build_certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    valid_days: int,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + timedelta(days=valid_days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(min(end, latest) if latest else end)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _make_key() -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    private_keys.remember(key)
    return key


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    private_keys.remember(key)
    return key


def _encode_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
