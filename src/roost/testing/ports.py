"""Loopback ports that are free, and stay it until whoever asked binds them.

A port that the kernel gave a moment ago may be anybody's a moment later: another test's that runs
beside this one, or the near end of some outgoing connection.  So ports are taken from below the
range that outgoing connections use, and each is claimed by a lock on a file of its number, which
is held until this process ends, whatever way.

Full?  After a whole round without a free port `OSError` says so.
"""

import fcntl
import itertools
import os
import random
import socket
import tempfile
from pathlib import Path

FIRST, BEHIND = 12_000, 32_000
_held: dict[int, int] = {}


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on and that no other process is given.

    Raises:
        OSError: there are not that many.

    """
    directory = Path(tempfile.gettempdir()) / f"roost-ports-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    start = random.randrange(FIRST, BEHIND)  # noqa: S311 - chance only spreads the claims
    candidates = itertools.chain(range(start, BEHIND), range(FIRST, start))
    found = list(itertools.islice((it for it in candidates if _claim(directory, it)), count))
    if len(found) < count:
        raise OSError(f"{count} free ports were asked for, {len(found)} of {BEHIND - FIRST} are")
    return found


def _claim(directory: Path, port: int) -> bool:
    """Take a port if it is free; the lock is this process's until it ends."""
    if port in _held:
        return False
    descriptor = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:  # another process has the lock, or listens
        os.close(descriptor)
        return False
    _held[port] = descriptor
    return True
