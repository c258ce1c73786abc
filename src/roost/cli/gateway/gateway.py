"""`roost gateway start`: a small TCP proxy before a cluster, started by the flags of etcd's."""

import asyncio
import logging
import random
import signal
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import click
import uvloop

from roost.cli.discovery.asking import CannotDiscover, Unanswered
from roost.cli.discovery.srv import DnsResolver, Resolver, addresses_of, looked_up
from roost.cli.exits import DONE, EXIT_FAILED, EXIT_USAGE
from roost.cli.gateway.following import Follower
from roost.cli.gateway.proxy import DIAL_S, Proxy
from roost.cli.gateway.targets import Target, Targets
from roost.cli.hello import notify, say, say_error
from roost.cli.logs import configure_logs
from roost.errors import RoostError
from roost.server import CannotListen, bind
from roost.settings import BadSetting
from roost.settings.durations import parse_duration
from roost.tasks import Tasks
from roost.tls import BadCertificate, TlsFiles, client_context

logger = logging.getLogger(__name__)
_CLIENT_PORT = 2379


@click.group()
def gateway() -> None:
    """Hand connections of clients on to whichever members answer."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where clients may be served, as it was said or looked up; and whether that is by TLS."""

    targets: Sequence[Target]
    is_secure: bool


@gateway.command()
@click.option(
    "--listen-addr", default="127.0.0.1:23790", show_default=True, help="Where to listen."
)
@click.option(
    "--endpoints",
    default="127.0.0.1:2379",
    show_default=True,
    help="Members, comma-separated: host:port, or URLs.",
)
@click.option("--discovery-srv", default="", help="The domain whose SRV records name members.")
@click.option("--discovery-srv-name", default="", help="Looks for _etcd-client-NAME instead.")
@click.option("--discovery-dns", default="", help="The name server to ask: address:port.")
@click.option(
    "--insecure-discovery", is_flag=True, help="Take SRV records of members without TLS as well."
)
@click.option(
    "--trusted-ca-file", default="", help="Whose certificates members must have, to be asked."
)
@click.option("--cert", default="", help="Our certificate, to ask members by.")
@click.option("--key", default="", help="Its key.")
@click.option(
    "--retry-delay",
    default="1m",
    show_default=True,
    help="How long a member that does not answer rests.",
)
@click.option(
    "--refresh-interval",
    default="30s",
    show_default=True,
    help="How often members are asked who they are; 0 = never, as etcd's gateway.",
)
@click.option(
    "--max-connections",
    default=10_000,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="Most clients at once; others are hung up on.",
)
@click.option("--log-level", default="info", show_default=True, help="debug, info, warn, error.")
def start(
    listen_addr: str,
    endpoints: str,
    discovery_srv: str,
    discovery_srv_name: str,
    discovery_dns: str,
    trusted_ca_file: str,
    cert: str,
    key: str,
    retry_delay: str,
    refresh_interval: str,
    max_connections: int,
    log_level: str,
    *,
    insecure_discovery: bool,
) -> None:
    r"""Listen, and hand each connection on to a member that answers, by turns.

    TLS passes through: clients see the members' certificates.

    \b
    Example:
        roost gateway start --listen-addr 127.0.0.1:23790 --endpoints 10.0.0.1:2379,10.0.0.2:2379
    """
    files = TlsFiles(cert_file=cert, key_file=key, ca_file=trusted_ca_file)
    try:
        configure_logs(_level(log_level), "console")
        address = _place_of("listen-addr", listen_addr)
        rest_s = parse_duration("retry-delay", retry_delay)
        refresh_s = parse_duration("refresh-interval", refresh_interval)
        if discovery_srv:
            resolver = DnsResolver(discovery_dns)
            names = (discovery_srv_name, discovery_srv)
            found = found_by_domain(resolver, names, files, is_insecure=insecure_discovery)
        else:
            found = named(endpoints, has_files=bool(trusted_ca_file or cert))
        refuse_self(address, found.targets)
        sockets = bind(address)
    except (RoostError, OSError, Unanswered) as error:
        say_error(str(error) if isinstance(error, Unanswered) else error)
        sys.exit(EXIT_FAILED if isinstance(error, CannotListen | Unanswered) else EXIT_USAGE)
    clock_s, dice = time.monotonic, random.Random()  # noqa: S311 - turns are no secret
    targets = Targets(found.targets, rest_s=rest_s, clock_s=clock_s, dice=dice)
    tls = partial(client_context, files) if found.is_secure else None
    running = Gateway(
        Proxy(targets, connections_max=max_connections),
        Follower(found.targets, tls),
        rest_s=rest_s,
        refresh_s=refresh_s,
    )
    sys.exit(uvloop.run(running.run(sockets, listen_addr)))


def _level(text: str) -> str:
    if text not in ("debug", "info", "warn", "error"):
        raise BadSetting(f"--log-level={text}: debug, info, warn or error")
    return text


def _place_of(flag: str, text: str) -> tuple[str, int]:
    """A host and a port.

    Raises:
        BadSetting: it says none.

    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadSetting(f"--{flag}: {text!r}: {error}") from error
    if not host:
        raise BadSetting(f"--{flag}: {text!r} must be host:port")
    return host, _CLIENT_PORT if port is None else port


def named(endpoints: str, *, has_files: bool) -> Found:
    """As --endpoints says.

    Raises:
        BadSetting: it says none.

    """
    texts = [it.strip() for it in endpoints.split(",") if it.strip()]
    if not texts:
        raise BadSetting("--endpoints: name at least one member")
    is_secure = has_files or any(it.startswith("https://") for it in texts)
    targets = [Target(*_place_of("endpoints", it)) for it in texts]
    return Found(tuple(dict.fromkeys(targets)), is_secure)


def found_by_domain(
    resolver: Resolver, names: tuple[str, str], files: TlsFiles, *, is_insecure: bool
) -> Found:
    """As SRV records say; without `is_insecure` those alone whose certificates are good.

    Raises:
        CannotDiscover: there are none.
        Unanswered: nobody could say.

    """
    service, domain = names
    records = looked_up(resolver, "client", service, domain)
    targets = [
        Target(it.host, it.port, it.priority, it.weight)
        for scheme, it in records
        if is_insecure or (scheme == "https" and _is_good(it.host, it.port, domain, files))
    ]
    if not targets:
        text = f"no member of {domain} has a certificate for that name that is trusted"
        raise CannotDiscover(f"--discovery-srv: {text}; --insecure-discovery takes all records")
    return Found(targets, all(scheme == "https" for scheme, _ in records))


def _is_good(host: str, port: int, domain: str, files: TlsFiles) -> bool:
    """Whether who listens there has a certificate for the domain, as etcd's gateway looks."""
    context = client_context(files)
    try:
        with (
            socket.create_connection((host, port), timeout=DIAL_S) as sock,
            context.wrap_socket(sock, server_hostname=domain.strip(".")),
        ):
            return True
    except (OSError, ssl.SSLError) as error:
        logger.warning("%s:%d is left out: %s", host, port, error)
        return False


def refuse_self(address: tuple[str, int], targets: Sequence[Target]) -> None:
    """No connection may come back to us.

    Raises:
        BadSetting: one would.

    """
    own = addresses_of(*address)
    for it in targets:
        if it.port == address[1] and own & addresses_of(it.host, it.port):
            raise BadSetting(f"--endpoints: {it} is where the gateway itself listens")


class Gateway:
    """One life of it."""

    def __init__(
        self, proxy: Proxy, follower: Follower, *, rest_s: float, refresh_s: float
    ) -> None:
        """Nothing runs."""
        self._proxy = proxy
        self._follower = follower
        self._rest_s = rest_s
        self._refresh_s = refresh_s
        self._stop = asyncio.Event()

    async def run(self, sockets: Sequence[socket.socket], listened: str) -> int:
        """Hand on until told to stop; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        tasks = Tasks()
        await self._proxy.listen(sockets)
        if self._refresh_s:
            tasks.start(self._follow())
        if self._rest_s:
            tasks.start(self._look())
        known = ", ".join(map(str, self._proxy.targets.known))
        say(f"Roost gateway hands on what comes to {listened}, to {known}")
        notify("READY=1", f"STATUS=hands on to {known}")
        await self._stop.wait()
        notify("STOPPING=1")
        self._follower.stop()
        await tasks.close()
        await self._proxy.close()
        return DONE

    async def _follow(self) -> None:
        """Have the targets be the members that there are."""
        targets = self._proxy.targets
        while True:
            known = list(targets.in_turn())
            try:
                found = await asyncio.to_thread(self._follower.ask, known)
            except BadCertificate as error:
                logger.warning("members are not asked who they are: %s", error)
                found = None
            if found is not None and set(found) != set(targets.known):
                logger.info("members are now at %s", ", ".join(map(str, found)))
                targets.replace(found)
            await asyncio.sleep(self._refresh_s)

    async def _look(self) -> None:
        """Try those that have rested."""
        while True:
            await asyncio.sleep(self._rest_s)
            await self._proxy.look()
