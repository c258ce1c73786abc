"""A small authority for tests: certificates for servers and clients, and a list of revoked ones."""

import datetime as dt
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


class Pair(NamedTuple):
    """Paths of a certificate and its key."""

    certificate: Path
    key: Path
    serial: int


class Authority:
    """Signs certificates below `root`."""

    def __init__(self, root: Path, name: str = "authority") -> None:
        self._root = root
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = root / f"{name}.pem"
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        made = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        until: dt.datetime = _NOW + _DAY,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(_NOW, until) - _DAY)
            .not_valid_after(until)
        )

    def sign(
        self,
        common_name: str,
        *,
        file: str = "",
        host: str = "localhost",
        until: dt.datetime = _NOW + _DAY,
    ) -> Pair:
        """A certificate for a host, by default for localhost, with that common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        hosts: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            hosts.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        names = x509.SubjectAlternativeName(hosts)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        made = self._builder(subject, key, until).add_extension(names, critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        stem = file or common_name
        pair = Pair(self._root / f"{stem}.pem", self._root / f"{stem}.key", signed.serial_number)
        pair.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair

    def revoke(
        self,
        path: Path,
        *serials: int,
        encoding: serialization.Encoding = serialization.Encoding.PEM,
        until: dt.datetime = _NOW + _DAY,
    ) -> None:
        """Write the list of what is revoked."""
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(until - 2 * _DAY)
            .next_update(until)
        )
        for serial in serials:
            row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_NOW)
            made = made.add_revoked_certificate(row.build())
        signed = made.sign(self._key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(encoding))
