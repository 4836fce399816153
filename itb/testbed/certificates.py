"""A certificate authority that lives as long as one run.

Keys are EC P-256: OpenSSL 1.1 (EL8), HTCondor's SSL, curl and nginx all take
it, and making one costs a millisecond where RSA costs a hundred.  The keys
are kept in a private directory of the run and go with it at teardown.
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
from itb.util.files import private_directory, write_atomically

_ORGANIZATION = "GlideinWMS test bed"
_COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name
_BACKDATE = timedelta(hours=1)  # hosts whose clock is behind this machine's accept the certificate too
_CERTIFICATE, _KEY = "ca.pem", "ca.key"
_MAKING = threading.Lock()  # hosts that boot at the same time must not each make an authority


class HostCertificate(NamedTuple):
    """What a host needs to be believed: PEM of its certificate and of its unencrypted key."""

    certificate_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "HostCertificate([redacted])"


class RunCA:
    """Issues the host certificates of one run."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, directory: Path, name: str, *, valid_days: int = 30) -> Self:
        """Make a CA called after a run and keep it in ``directory`` (made 0700; the key 0600)."""
        private_directory(directory)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        certificate = (
            _builder(subject, subject, key.public_key(), valid_days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_atomically(directory / _KEY, _pem(key), mode=0o600)
        write_atomically(directory / _CERTIFICATE, certificate.public_bytes(Encoding.PEM))
        return cls(certificate, key)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read back what :meth:`create` kept; UsageError if the run's teardown removed it."""
        try:
            certificate = x509.load_pem_x509_certificate((directory / _CERTIFICATE).read_bytes())
            key = load_pem_private_key((directory / _KEY).read_bytes(), password=None)
        except FileNotFoundError as error:
            raise UsageError(
                f"the run's certificate authority is gone ({error.filename})",
                hint="it is removed with the testbed; start a new run, or keep the testbed with --keep always",
            ) from None
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(certificate, key)

    @classmethod
    def load_or_create(cls, directory: Path, *, name: str, valid_days: int = 30) -> Self:
        """Return the CA kept in ``directory``, made now if there is none."""
        with _MAKING:
            if (directory / _CERTIFICATE).exists():
                return cls.load(directory)
            return cls.create(directory, name, valid_days=valid_days)

    @property
    def certificate_pem(self) -> bytes:
        """The CA's own certificate, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def subject_hash(self) -> str:
        """Eight hexadecimal digits: the file name OpenSSL 1.0 and later looks for (``<hash>.0``)."""
        return subject_hash(self._certificate.subject)

    @property
    def signing_policy(self) -> str:
        """Text of ``<hash>.signing_policy``, which Globus-style software wants beside the certificate."""
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
        """Make key and certificate of a host: names and IP addresses become subject alternative names.

        It serves as server and as client certificate; it never outlives the CA.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys([fqdn, *alt_names])]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        ca_key = self._key.public_key()
        certificate = (
            _builder(_name(fqdn), self._certificate.subject, key.public_key(), valid_days, self._end)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return HostCertificate(certificate.public_bytes(Encoding.PEM), _pem(key))

    @property
    def _end(self) -> datetime:
        return self._certificate.not_valid_after_utc


def subject_hash(name: x509.Name) -> str:
    """Return what ``openssl x509 -hash`` prints for a certificate of this subject.

    That is the first four bytes, little-endian, of the SHA-1 of the name's
    canonical encoding: every value as a UTF-8 string in lower case with runs
    of blanks made one, without the outer sequence (crypto/x509/x_name.c).
    """
    canonical = b""
    for rdn in name.rdns:
        members = []
        for attribute in rdn:
            oid = x509.Name([attribute]).public_bytes()
            value = attribute.value if isinstance(attribute.value, str) else attribute.value.decode()
            text = re.sub(r"\s+", " ", value.strip()).lower().encode()
            members.append(_der(0x30, _oid_of(oid) + _der(0x0C, text)))
        canonical += _der(0x31, b"".join(sorted(members)))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _oid_of(name: bytes) -> bytes:
    """Cut the encoded object identifier out of an encoded name of one short attribute."""
    start = name.index(b"\x06")
    return name[start : start + 2 + name[start + 1]]


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[-_COMMON_NAME_LIMIT:]),
        ]
    )


def _common_name(certificate: x509.Certificate) -> str:
    value = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return value if isinstance(value, str) else value.decode()


def _builder(
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


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
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


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
