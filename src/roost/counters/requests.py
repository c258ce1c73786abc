"""Requests that were done, by their idempotency keys: a retry is answered, and changes nothing.

    requests    key -> MessagePack [fingerprint, seconds since 1970, the values answered]
    requested   u64 place -> key, in the order of the requests

A key is kept in the same durable step as what was done.  What is older than `age_s`, or beyond
`count_max`, is dropped, a few with each that is kept.  The clock decides nothing else: were it
wrong, keys would go too early or too late.
"""

from dataclasses import dataclass

import msgspec

from roost.counters.algebra import VALUE_MAX, VALUE_MIN
from roost.counters.errors import CounterStoreCorrupt, KeyReused
from roost.counters.layers import Layers
from roost.errors import UNDECODABLE

COUNT_MAX, AGE_S = 1_000_000, 24 * 3600
KEY_BYTES_MAX = 128
# With each one that is kept; so there are never many more than may be.
_DROPPED_AT_ONCE = 4


class _Row(msgspec.Struct, frozen=True, array_like=True):
    fingerprint: int
    at_s: int
    # Sums may be larger than MessagePack's integers, and are text then.
    values: list[int | str | None]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


@dataclass(frozen=True, slots=True)
class Request:
    """Which request it is: the caller's key, and a number made of what is asked."""

    key: bytes
    fingerprint: int
    now_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How many keys are kept, and for how long."""

    count_max: int = COUNT_MAX
    age_s: float = AGE_S


def encode_row(request: Request, values: list[int | None]) -> bytes:
    """What is kept of a request."""
    told: list[int | str | None] = [
        it if it is None or VALUE_MIN <= it <= VALUE_MAX else str(it) for it in values
    ]
    return _encode(_Row(request.fingerprint, int(request.now_s), told))


def answer_of(row: bytes, request: Request) -> list[int | None]:
    """What was answered to this request.

    Raises:
        KeyReused: the key was another request's.
        CounterStoreCorrupt: it cannot be read.

    """
    held = _read(row)
    if held.fingerprint != request.fingerprint:
        raise KeyReused(f"the idempotency key {request.key!r} is another request's")
    return [int(it) if isinstance(it, str) else it for it in held.values]


def _read(row: bytes) -> _Row:
    try:
        return _decode(row)
    except UNDECODABLE as error:
        raise CounterStoreCorrupt(f"a request that cannot be read: {error}") from error


class Order:
    """The order in which keys came, and which are to go."""

    def __init__(self, layers: Layers, limits: Limits) -> None:
        """Look where the oldest is; their places have no gaps."""
        self._layers = layers
        self.limits = limits
        rows = layers.trees.scan("requested", b"", None)
        first = next((int.from_bytes(key, "big") for key, _value in rows), 1)
        self._first = first
        self._next = first + layers.trees.count("requested")

    @property
    def count(self) -> int:
        """How many are kept."""
        return self._next - self._first

    def find(self, request: Request) -> list[int | None] | None:
        """What was answered to it before; None = it is new.

        Raises:
            KeyReused: the key was another request's.

        """
        row = self._layers.get("requests", request.key)
        return None if row is None else answer_of(row, request)

    def keep(self, request: Request, values: list[int | None]) -> None:
        """Keep one, and drop a few that are due."""
        layers = self._layers
        requests = layers.assembling.rows["requests"]
        requested = layers.assembling.rows["requested"]
        requests[request.key] = encode_row(request, values)
        requested[self._next.to_bytes(8, "big")] = request.key
        self._next += 1
        for _it in range(_DROPPED_AT_ONCE):
            place = self._first.to_bytes(8, "big")
            key = layers.get("requested", place)
            row = None if key is None else layers.get("requests", key)
            if key is None or row is None:
                raise CounterStoreCorrupt(f"the request at place {self._first} is not there")
            is_old = request.now_s - _read(row).at_s > self.limits.age_s
            if not is_old and self.count <= self.limits.count_max:
                break
            requests[key] = None
            requested[place] = None
            self._first += 1
