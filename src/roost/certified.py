"""What a certificate says: whom it is for, what for, and until when."""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from roost.os_errors import words_of
from roost.tls import BadCertificate

if TYPE_CHECKING:
    from cryptography import x509  # it is slow to import, and seldom needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """One certificate; `begins` and `ends` are those of the shortest of its chain."""

    common_name: str
    hosts: tuple[str, ...]
    begins: dt.datetime
    ends: dt.datetime

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.common_name or ", ".join(self.hosts) or "nobody"


def read_certificates(path: str) -> list[Certified]:
    """All certificates in a PEM file; of a chain the first is whose it is.

    Raises:
        BadCertificate: the file cannot be read, or holds none.

    """
    from cryptography import x509

    try:
        held = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise BadCertificate(words_of(error)) from error
    except ValueError as error:
        raise BadCertificate(f"{path} holds no certificate") from error
    return [_certified(it) for it in held]


def read_chain(path: str) -> Certified:
    """The certificate of whoever shows this file, with the times in which its chain is good.

    Raises:
        BadCertificate: see `read_certificates`.

    """
    first, *others = read_certificates(path)
    begins = max(it.begins for it in (first, *others))
    ends = min(it.ends for it in (first, *others))
    return Certified(common_name=first.common_name, hosts=first.hosts, begins=begins, ends=ends)


def _certified(held: "x509.Certificate") -> Certified:
    from cryptography.x509.oid import NameOID

    names = held.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certified(
        common_name=str(names[0].value) if names else "",
        hosts=tuple(hosts_of(held)),
        begins=held.not_valid_before_utc,
        ends=held.not_valid_after_utc,
    )


def hosts_of(held: "x509.Certificate") -> list[str]:
    """The names and addresses that a certificate is for."""
    from cryptography import x509

    try:
        names = held.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def is_for(hosts: Iterable[str], name: str) -> bool:
    """Whether a certificate with these names is for a host, as a TLS client decides it."""
    address = _address(name)
    if address is not None:
        return any(_address(host) == address for host in hosts)
    wanted = name.rstrip(".").lower()
    _, dot, domain = wanted.partition(".")
    names = {host.rstrip(".").lower() for host in hosts}
    return wanted in names or bool(dot and domain and f"*.{domain}" in names)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
