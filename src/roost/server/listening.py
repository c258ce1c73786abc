"""Taking the place of a port: an address of the network, or a socket in the file system.

Binding stands apart from listening: a member learns that its port is taken before it makes or
joins anything, and nobody is let in before it serves.
"""

import errno
import os
import socket
from pathlib import Path

from roost.errors import RoostError
from roost.os_errors import words_of
from roost.places import Address, Place, describe

# What to do about what the system says.
_NEXT = {
    errno.EADDRINUSE: ": end who listens there, perhaps another member, or choose another place",
    errno.EADDRNOTAVAIL: ": it is no address of this machine, whose own `ip address` shows",
    errno.EACCES: ": ports below 1024, and places in others' directories, need rights",
}


class CannotListen(RoostError):
    """A place to listen at is taken, or is none; the text names it."""


def bind(place: Place, *, shares_port: bool = False) -> list[socket.socket]:
    """Take a place, without listening yet: a socket for each address that a name has.

    Raises:
        CannotListen: it is taken, or is not on this machine.

    """
    try:
        if isinstance(place, Path):
            return [_bind_path(place)]
        return _bind_all(place, shares_port=shares_port)
    except OSError as error:
        more = "" if error.errno is None else _NEXT.get(error.errno, "")
        text = f"cannot listen on {describe(place)}: {words_of(error)}{more}"
        raise CannotListen(text) from error
    except UnicodeError as error:
        text = f"cannot listen on {describe(place)}: that is no name of a host"
        raise CannotListen(text) from error


def _bind_all(address: Address, *, shares_port: bool) -> list[socket.socket]:
    infos = socket.getaddrinfo(
        *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE, proto=socket.IPPROTO_TCP
    )
    made: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, _, _, _, where in dict.fromkeys(infos):
            try:
                made.append(_bind_one(family, where, shares_port=shares_port))
            except OSError as error:
                # `localhost` has an IPv6 address on machines without IPv6, too.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                absent = error
        if not made and absent is not None:
            raise absent
    except OSError:
        for sock in made:
            sock.close()
        raise
    return made


def _bind_one(family: int, where: object, *, shares_port: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)  # type: ignore[arg-type]  # as getaddrinfo said it
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_path(path: Path) -> socket.socket:
    """Take a path, also from a process that is gone; not from one that listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            if not sock.connect_ex(str(path)):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            path.unlink(missing_ok=True)
            sock.close()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(path))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
