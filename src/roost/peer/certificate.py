"""Whom a peer's certificate stands for: its common name, and the hosts it is for."""

import ipaddress
from collections.abc import Iterable, Sequence

from roost.tls import Certificate, common_name


class ShownCertificate:
    """A certificate that is by an authority of ours, and whom it may stand for."""

    def __init__(self, certificate: Certificate, *, is_allowed: bool) -> None:
        """`is_allowed`: the settings name what a member's certificate is, and it is that."""
        self.is_allowed = is_allowed
        self._common_name = common_name(certificate)
        self._hosts = _hosts_of(certificate)

    def foreign_to(self, names: Sequence[str]) -> str:
        """Why it belongs to nobody of these names and hosts; empty when it does."""
        wanted = [name for name in names if name]
        if self._common_name in wanted or any(_is_for(self._hosts, name) for name in wanted):
            return ""
        said = ", ".join(name for name in (self._common_name, *self._hosts) if name)
        return f"a certificate of {said or 'nobody'}, not of {', '.join(wanted)}"


def _hosts_of(certificate: Certificate) -> tuple[str, ...]:
    names = certificate.get("subjectAltName", ())
    assert isinstance(names, tuple), "ssl says so"
    return tuple(str(value) for kind, value in names if kind in ("DNS", "IP Address"))


def _is_for(hosts: Iterable[str], name: str) -> bool:
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
