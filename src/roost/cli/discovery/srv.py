"""SRV records of DNS: where members and those who serve clients are (RFC 2782; `--discovery-srv`).

The names are etcd's, with a service's name between dashes where one is given:

    _etcd-server-ssl._tcp.DOMAIN  _etcd-server._tcp.DOMAIN    first members, by TLS and without
    _etcd-client-ssl._tcp.DOMAIN  _etcd-client._tcp.DOMAIN    where clients are served

dnspython looks them up (extra `dns`), by the name servers of the system or by the one that is said.

Full?  RECORDS_MAX records are taken; more are refused.
"""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Protocol

from roost.cli.discovery.asking import CannotDiscover, Unanswered
from roost.extras import command_for
from roost.places import describe

RECORDS_MAX = 99
LOOK_UP_S = 10.0
_DNS_PORT = 53
_MISSING = f"SRV records are looked up by dnspython: {command_for('dns')}"


@dataclass(frozen=True, slots=True)
class Record:
    """One of them; a lower priority comes first, and among equals by weight."""

    host: str
    port: int
    priority: int = 0
    weight: int = 0

    @property
    def place(self) -> str:
        """As it stands in a URL."""
        return f"{self.host}:{self.port}"


class Resolver(Protocol):
    """Who looks records up."""

    def records(self, name: str) -> list[Record]:
        """All of a name; none when there is no such name.

        Raises:
            Unanswered: nobody could say.

        """


class DnsResolver:
    """By DNS."""

    def __init__(self, server: str = "") -> None:
        """Ask the system's name servers, or `server`, host:port.

        Raises:
            CannotDiscover: dnspython is not here, or there is no such server.

        """
        try:
            from dns.resolver import NoResolverConfiguration, Resolver
        except ImportError as error:
            raise CannotDiscover(_MISSING) from error
        try:
            self._resolver = Resolver(configure=not server)
        except NoResolverConfiguration as error:
            raise CannotDiscover(f"the system names no name server: {error}") from error
        self._resolver.lifetime = LOOK_UP_S
        if server:
            host, port = _server_of(server)
            self._resolver.nameservers, self._resolver.port = [host], port

    def records(self, name: str) -> list[Record]:
        """All of a name."""
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            answer = self._resolver.resolve(f"{name}.", "SRV")
        except (NXDOMAIN, NoAnswer):
            return []
        except (DNSException, OSError) as error:
            raise Unanswered(f"{name}: {error}") from error
        if len(answer) > RECORDS_MAX:
            raise CannotDiscover(f"{name} has {len(answer)} records, more than {RECORDS_MAX}")
        found = [
            Record(str(it.target).rstrip("."), it.port, it.priority, it.weight) for it in answer
        ]
        return [it for it in found if it.host]  # a dot alone says that there is no such service


def _server_of(text: str) -> tuple[str, int]:
    """The address of a name server.

    Raises:
        CannotDiscover: it is none.

    """
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":"):
        host, port = text, str(_DNS_PORT)
    host = host.strip("[]")
    try:
        number = int(port)
        address = str(ipaddress.ip_address(host))
    except ValueError as error:
        text = f"{text!r} is no IP address with a port"
        raise CannotDiscover(f"--discovery-dns: {text}") from error
    if not 0 < number < 1 << 16:
        raise CannotDiscover(f"--discovery-dns: {text!r} has no port")
    return address, number


def names_of(kind: str, service: str, domain: str) -> list[tuple[str, str]]:
    """The names to look up, and the scheme of what is there; `kind` is server or client."""
    suffix = f"-{service}" if service else ""
    return [
        (f"_etcd-{kind}-ssl{suffix}._tcp.{domain}", "https"),
        (f"_etcd-{kind}{suffix}._tcp.{domain}", "http"),
    ]


def looked_up(resolver: Resolver, kind: str, service: str, domain: str) -> list[tuple[str, Record]]:
    """All places of a domain with their schemes; in an order that is the same for everybody.

    Raises:
        CannotDiscover: there are none.
        Unanswered: nobody could say.

    """
    domain = domain.strip(".")
    names = names_of(kind, service, domain)
    found = [(scheme, it) for name, scheme in names for it in resolver.records(name)]
    if not found:
        text = " nor ".join(name for name, _ in names)
        raise CannotDiscover(f"--discovery-srv: there is neither {text}")
    return sorted(dict.fromkeys(found), key=lambda it: (it[1].priority, it[1].place))


def addresses_of(host: str, port: int) -> set[str]:
    """Where a host is, as far as the system knows."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {describe((str(it[4][0]), int(it[4][1]))) for it in found}
