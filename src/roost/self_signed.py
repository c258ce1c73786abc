"""Certificates that a member makes itself (etcd: --auto-tls): for connections nobody can read."""

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from roost.tls import BadCertificate, TlsFiles

_DAY = dt.timedelta(days=1)


def files_in(directory: Path) -> TlsFiles:
    """The key and the certificate of a directory, whether they are there or not."""
    pair = str(directory / "cert.pem"), str(directory / "key.pem")
    return TlsFiles(cert_file=pair[0], key_file=pair[1], is_self_signed=True)


def make_self_signed(directory: Path, hosts: Sequence[str], *, valid_days: int) -> TlsFiles:
    """Make a key and a certificate for `hosts` in a directory, unless they are there and valid.

    Raises:
        BadCertificate: what is there has expired.

    """
    files = files_in(directory)
    cert_path, key_path = Path(files.cert_file), Path(files.key_file)
    if cert_path.exists() and key_path.exists():
        held = x509.load_pem_x509_certificate(cert_path.read_bytes())
        if held.not_valid_after_utc < dt.datetime.now(dt.UTC):
            raise BadCertificate(f"{cert_path} has expired; remove it to have a new one made")
    else:
        missing = [it for it in (directory, *directory.parents) if not it.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700)  # `parents` would make them for everybody
        certificate, key = _sign(hosts, valid_days)
        for path, data in ((key_path, key), (cert_path, certificate)):
            descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
    return files


def _sign(hosts: Sequence[str], valid_days: int) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "roost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([_general_name(it) for it in dict.fromkeys(hosts)])
    usage = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + valid_days * _DAY)
        .add_extension(names, critical=False)
        .add_extension(usage, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
