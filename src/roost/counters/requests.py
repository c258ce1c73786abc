"""Requests that were done, by their idempotency keys: a retry is answered, and changes nothing.

    requests    key -> MessagePack [fingerprint, seconds since 1970, the values answered,
                                    the owner's version then, whether it was a delete]
    requested   u64 place -> key, in the order of the requests

A key is kept in the same durable step as what was done.  What is older than `age_s`, or beyond
`count_max`, is dropped, a few with each that is kept.  The clock decides nothing else: were it
wrong, keys would go too early or too late.

The newest keys go to partners with the changes that they are of (`carried`), and are kept there in
the same step (`take_over`): so a retry at a partner that has heard of what was counted is answered
there, too.  What an increment was answered is not told: its partner says what it reads itself.
"""

from collections import deque
from dataclasses import dataclass

import msgspec

from roost.counters.algebra import VALUE_MAX, VALUE_MIN
from roost.counters.errors import CounterStoreCorrupt, KeyReused
from roost.counters.layers import Layers
from roost.counters.rows import KEYS_MAX, REQUEST_KEY_BYTES_MAX, VALUES_MAX, KeyRow
from roost.errors import UNDECODABLE

COUNT_MAX, AGE_S = 1_000_000, 24 * 3600
CHANGES_MAX = 10_000
KEY_BYTES_MAX = REQUEST_KEY_BYTES_MAX
# With each one that is kept; so there are never many more than may be.
_DROPPED_AT_ONCE = 4
# Of this store's own, that may go to partners: who is further behind gets no keys.
NEWEST_MAX = 2048


class _Row(msgspec.Struct, frozen=True, array_like=True):
    fingerprint: int
    at_s: int
    # Sums may be larger than MessagePack's integers, and are text then.  None = only its owner
    # knows what was answered.
    values: list[int | str | None] | None
    # The owner's when it was done, of this store's own requests; 0 = a partner did it.
    version: int = 0
    is_delete: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


@dataclass(frozen=True, slots=True)
class Request:
    """Which request it is: the caller's key, and a number made of what is asked."""

    key: bytes
    fingerprint: int
    now_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was done before; `values` None = a partner did it, and said no more."""

    values: list[int | None] | None


@dataclass(frozen=True, slots=True)
class Limits:
    """How many keys are kept, and for how long; and how many counters a request may name."""

    count_max: int = COUNT_MAX
    age_s: float = AGE_S
    changes_max: int = CHANGES_MAX


def encode_row(
    request: Request, values: list[int | None], version: int, *, is_delete: bool
) -> bytes:
    """What is kept of a request."""
    told: list[int | str | None] = [
        it if it is None or VALUE_MIN <= it <= VALUE_MAX else str(it) for it in values
    ]
    return _encode(_Row(request.fingerprint, int(request.now_s), told, version, is_delete))


def answer_of(row: bytes, request: Request) -> Answered:
    """What was answered to this request.

    Raises:
        KeyReused: the key was another request's.
        CounterStoreCorrupt: it cannot be read.

    """
    held = _read(row)
    if held.fingerprint != request.fingerprint:
        raise KeyReused(f"the idempotency key {request.key!r} is another request's")
    if held.values is None:
        return Answered(None)
    return Answered([int(it) if isinstance(it, str) else it for it in held.values])


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
        # Of this store's own: at which version, and the key.
        self._newest: deque[tuple[int, bytes]] = deque(maxlen=NEWEST_MAX)
        newest = max(first, self._next - NEWEST_MAX).to_bytes(8, "big")
        for _place, key in layers.trees.scan("requested", newest, None):
            row = layers.trees.get("requests", key)
            if row is not None and (version := _read(row).version):
                self._newest.append((version, key))

    @property
    def count(self) -> int:
        """How many are kept."""
        return self._next - self._first

    def find(self, request: Request) -> Answered | None:
        """What was answered to it before; None = it is new.

        Raises:
            KeyReused: the key was another request's.

        """
        row = self._layers.get("requests", request.key)
        return None if row is None else answer_of(row, request)

    def keep(
        self, request: Request, values: list[int | None], version: int, *, is_delete: bool
    ) -> None:
        """Keep one that this store did, and drop a few that are due."""
        row = encode_row(request, values, version, is_delete=is_delete)
        self._put(request.key, row, request.now_s)
        self._newest.append((version, request.key))

    def carried(self, first: int, last: int) -> list[KeyRow]:
        """The newest of those that this store did behind one version, up to another."""
        found: list[KeyRow] = []
        for version, key in reversed(self._newest):
            if version <= first or len(found) == KEYS_MAX:
                break
            row = self._layers.get("requests", key) if version <= last else None
            if row is None:
                continue
            held = _read(row)
            values = held.values if held.is_delete else None
            if values is None or len(values) <= VALUES_MAX:
                found.append(KeyRow(key, held.fingerprint, held.at_s, version, values))
        return found

    def take_over(self, row: KeyRow) -> None:
        """Keep one that a partner did; not when it was asked for here, too."""
        if self._layers.get("requests", row.key) is None:
            self._put(row.key, _encode(_Row(row.fingerprint, row.at_s, row.values)), None)

    def _put(self, key: bytes, row: bytes, now_s: float | None) -> None:
        """Keep one; no `now_s` = nothing is too old, by whosever clock."""
        layers = self._layers
        requests = layers.assembling.rows["requests"]
        requested = layers.assembling.rows["requested"]
        requests[key] = row
        requested[self._next.to_bytes(8, "big")] = key
        self._next += 1
        for _it in range(_DROPPED_AT_ONCE):
            place = self._first.to_bytes(8, "big")
            oldest = layers.get("requested", place)
            held = None if oldest is None else layers.get("requests", oldest)
            if oldest is None or held is None:
                raise CounterStoreCorrupt(f"the request at place {self._first} is not there")
            is_old = now_s is not None and now_s - _read(held).at_s > self.limits.age_s
            if not is_old and self.count <= self.limits.count_max:
                break
            requests[oldest] = None
            requested[place] = None
            self._first += 1
