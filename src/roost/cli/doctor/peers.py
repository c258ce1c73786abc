"""The other members, as this one would dial them: names, ports, certificates, round trips."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from roost.cli.doctor.bounded import ask_all
from roost.cli.doctor.row import Row, failed, ok, warned
from roost.errors import RoostError
from roost.member import address_of
from roost.os_errors import words_of
from roost.peer import PeerTls
from roost.peer.troubles import words_of_tls


@dataclass(frozen=True, slots=True)
class Peer:
    """Another member, and one of its peer URLs; without a name where nobody has told it."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of dialling: the time of a round trip, or what was wrong, and how wrong it is.

    `is_wrong`: somebody answers, or nobody ever will; else the member may only not run yet.
    """

    trip_ms: float = 0.0
    trouble: str = ""
    is_wrong: bool = False


def peer_rows(peers: Sequence[Peer], tls: PeerTls | None, limit_s: float) -> Iterator[Row]:
    """A row for each URL; all are dialled side by side."""
    if not peers:
        yield ok("other members", "there are none: a member alone")
        return
    told = ask_all([partial(dial, it.url, tls, limit_s) for it in peers], 2 * limit_s)
    silent = Reached(trouble="no answer in time")
    for peer, reached in zip(peers, told, strict=True):
        yield judge_peer(peer, reached or silent, is_secure=tls is not None)


def dial(url: str, tls: PeerTls | None, limit_s: float) -> Reached:
    """Connect to a peer's port as a member does, and say nothing."""
    host, port = address_of(url)
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        said = words_of(error) if isinstance(error, OSError) else "that is no name of a host"
        return Reached(trouble=f"{host} has no address: {said}", is_wrong=True)
    found = Reached(trouble="it has no address", is_wrong=True)
    for family, kind, protocol, _, target in infos:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(limit_s)
            found = _connect(sock, target, host, tls)
        if not found.trouble:
            break
    return found


def _connect(sock: socket.socket, target: object, host: str, tls: PeerTls | None) -> Reached:
    begin_s = perf_counter()
    try:
        sock.connect(target)  # type: ignore[arg-type]  # as getaddrinfo said it
    except OSError as error:
        return Reached(trouble=words_of(error))
    trip_ms = (perf_counter() - begin_s) * 1000
    if tls is None:
        return Reached(trip_ms=trip_ms)
    try:
        secured = tls.dialled(sock, host)
        try:
            secured.do_handshake()
            tls.check(secured)
        finally:
            secured.close()
    except ssl.SSLError as error:
        return Reached(trouble=words_of_tls(error), is_wrong=True)
    except OSError as error:
        return Reached(trouble=words_of(error), is_wrong=True)
    except RoostError as error:
        return Reached(trouble=str(error), is_wrong=True)
    return Reached(trip_ms=trip_ms)


def judge_peer(peer: Peer, reached: Reached, *, is_secure: bool) -> Row:
    """Whether another member is to be reached."""
    check = f"member {peer.name} {peer.url}" if peer.name else f"member {peer.url}"
    if not reached.trouble:
        how = "its certificate is good, " if is_secure else ""
        found = f"answers: {how}a round trip takes {reached.trip_ms:.2f} ms"
        return ok(check, found, trip_ms=round(reached.trip_ms, 3))
    if reached.is_wrong:
        text = "see its URL, the name service, and that peer URLs are all https or none"
        return failed(check, reached.trouble, text)
    text = "start it; if it runs: its URL, its --listen-peer-urls, what is between (a firewall)"
    return warned(check, reached.trouble, text)
