"""Which pages of other origins may read our answers, and by which names we may be asked.

A page of another origin gets nothing unless `cors` names it (etcd: etcdhttp/base.go); a request for
a host that `hosts` does not name is refused, so that no name can be bound anew to reach us
(CVE-2018-1099).
"""

from collections.abc import Sequence
from typing import Final

from roost.exchange import Fields
from roost.server.http1_turn import lines_of

ANY, _ANY = "*", b"*"
_METHODS: Final = b"POST, GET, OPTIONS, PUT, DELETE"
# What a page may say beside what all pages may (Fetch, 3.2.2): what requests have that we read.
_ALLOWED = (
    *(b"accept", b"content-type", b"content-encoding", b"authorization"),
    *(b"idempotency-key", b"last-event-id", b"grpc-timeout", b"x-roost-heartbeat"),
    *(b"traceparent", b"x-request-id"),
)
# And what it may read beside what all may: what our answers have.
_EXPOSED = (
    *(b"date", b"retry-after", b"x-etcd-cluster-id", b"x-etcd-index", b"x-raft-index"),
    *(b"x-raft-term", b"x-roost-missing", b"x-roost-missing-count"),
    *(b"x-roost-text-fields-left-out", b"x-roost-exemplars-left-out"),
    b"x-roost-descriptions-left-out",
)


VARY = (b"vary", b"origin")


class Origins:
    """Other origins, and the fields that pages of theirs are let in by."""

    def __init__(self, origins: Sequence[str]) -> None:
        """Let these in."""
        self._fields = {it.encode("latin-1"): _fields_of(it) for it in origins}
        self._lines = {origin: lines_of(it) for origin, it in self._fields.items()}
        self._is_open = ANY in origins
        # Where some are let in, an answer is another one for others: caches must know that
        # (Fetch, 3.2.5).
        self._else: Fields = (VARY,) if origins and not self._is_open else ()
        self._else_lines = lines_of(self._else)

    def fields(self, origin: bytes) -> Fields:
        """What stands in the head of an answer to a page of there."""
        return self._fields.get(_ANY if self._is_open else origin, self._else)

    def lines(self, origin: bytes) -> bytes:
        """The same, as it is sent."""
        return self._lines.get(_ANY if self._is_open else origin, self._else_lines)


def _fields_of(origin: str) -> Fields:
    varies = () if origin == ANY else (VARY,)
    return (
        *varies,
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", b", ".join(_ALLOWED)),
        (b"access-control-expose-headers", b", ".join(_EXPOSED)),
    )


class Hosts:
    """The names by which we may be asked."""

    def __init__(self, hosts: Sequence[str]) -> None:
        """Let them all in when one of them is `*`."""
        self._hosts = None if ANY in hosts else frozenset(hosts)

    def refusal(self, host: bytes, *, is_secure: bool) -> str:
        """Why a request for a host is not answered; empty when it is."""
        if self._hosts is None or is_secure:
            return ""
        text = host.decode("latin-1")
        name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
        return "" if name in self._hosts else f"bad Host header {name!r}: not in --host-whitelist\n"
