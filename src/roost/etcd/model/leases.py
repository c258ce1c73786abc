"""Leases in the replicated state: keys that go away together (etcd: server/lease).

    $etcd.leases      u64 id             -> u64 granted TTL, u64 remaining TTL, in s; 0 = all of it
    $etcd.lease_keys  u64 id, then the key   -> b""

An id is an int64 as clients write it, here its two's complement.  A key's lease stands in its
KeyValue; `lease_keys` is the way back, written with every key that has one (see `mvcc.Writer`).

Time is not here: the leader keeps it (`lessor.py`), and writes down now and then what is left of
long leases, so that a new leader does not begin them anew.
"""

import struct
from typing import Final, NamedTuple

from roost.database.model import Long, Steps, Txn, View, Walk
from roost.etcd import errors
from roost.etcd.model.costs import INLINE_ROWS_MAX, SLICE_NAMES, SLICE_ROWS, Costs
from roost.etcd.model.mvcc import Mvcc, Writer

TTL_S_MAX: Final = 9_000_000_000
# So many leases are asked for keys of theirs in a range sooner than many keys for their leases.
FEW_MAX = 200
# What it costs to ask one, in rows.
_ROWS_A_LEASE: Final = 4
_ROW: Final = struct.Struct(">QQ")
_ID_MASK: Final = (1 << 64) - 1
ID_BYTES: Final = 8


class Lease(NamedTuple):
    """What is written of a lease; `remaining_s` 0 is all of `ttl_s`."""

    ttl_s: int
    remaining_s: int


def name_of(lease_id: int) -> bytes:
    """An id as it stands in keys."""
    return (lease_id & _ID_MASK).to_bytes(ID_BYTES, "big")


def id_of(name: bytes) -> int:
    """The id as clients write it."""
    return int.from_bytes(name, "big", signed=True)


def get(mvcc: Mvcc, view: View, name: bytes) -> Lease | None:
    """What is written of a lease; None when there is none."""
    row = view.get(mvcc.leases, name)
    return None if row is None else decode(row)


def decode(row: bytes) -> Lease:
    """Read a row."""
    lease = Lease(*_ROW.unpack(row))
    assert lease.remaining_s <= lease.ttl_s, "no lease has more left than it was granted"
    return lease


def encode(lease: Lease) -> bytes:
    """Make a row."""
    assert 0 <= lease.remaining_s <= lease.ttl_s, "no lease has more left than it was granted"
    return _ROW.pack(*lease)


def put(mvcc: Mvcc, txn: Txn, name: bytes, lease: Lease) -> None:
    """Write a row."""
    txn.put(mvcc.leases, name, encode(lease))


def check_exists(mvcc: Mvcc, view: View, lease_id: int) -> None:
    """Refuse a lease that is not there.

    Raises:
        Refused: etcd's ErrLeaseNotFound.

    """
    if view.get(mvcc.leases, name_of(lease_id)) is None:
        raise errors.lease_not_found()


def _stop_of(name: bytes) -> bytes | None:
    """Where the keys of a lease end in `lease_keys`; None = with the tree."""
    assert len(name) == ID_BYTES, "a lease goes by its id"
    stop = (int.from_bytes(name, "big") + 1).to_bytes(ID_BYTES + 1, "big")[1:]
    return stop if any(stop) else None


def keys_of(mvcc: Mvcc, view: View, name: bytes) -> Walk:
    """A walk over the keys that have a lease; ID_BYTES stand before each."""
    return Walk(view, mvcc.lease_keys, name, _stop_of(name), keys_only=True)


def first_key(mvcc: Mvcc, view: View, name: bytes, first: bytes) -> Costs[bytes | None]:
    """The first key of a lease from `first` on.

    Before it there may be any number of keys that have just gone: that takes steps.
    """
    walk = Walk(view, mvcc.lease_keys, name + first, _stop_of(name), keys_only=True)
    while not walk.is_done:
        rows = walk.take(1)
        yield walk.cost
        if rows:
            return rows[0][0][ID_BYTES:]
    return None


def are_few(mvcc: Mvcc, view: View) -> bool:
    """Whether there are so few leases that each may be asked for its keys in a range."""
    walk = Walk(view, mvcc.leases, b"", None, keys_only=True)
    return len(walk.take(FEW_MAX + 1)) <= FEW_MAX and walk.is_done


def forget_keys(mvcc: Mvcc, txn: Txn, first: bytes, stop: bytes | None) -> Costs[None]:
    """Take the keys of a range from all leases, of which there are few."""
    names = Walk(txn, mvcc.leases, b"", None, keys_only=True).take(FEW_MAX)
    for name, _ in names:
        end = _stop_of(name) if stop is None else name + stop
        walk = Walk(txn, mvcc.lease_keys, name + first, end, keys_only=True)
        found = walk.take(SLICE_ROWS)
        if walk.is_done:
            for row, _ in found:
                txn.delete(mvcc.lease_keys, row)
        else:
            txn.delete_range(mvcc.lease_keys, name + first, end)
        yield _ROWS_A_LEASE + walk.cost


def revoke(mvcc: Mvcc, txn: Txn, name: bytes) -> Long | bytes:
    """Remove a lease and the keys that have it, at one revision; the answer is that revision.

    A lease of many keys takes many turns.

    Raises:
        Refused: there is no such lease.

    """
    if txn.get(mvcc.leases, name) is None:
        raise errors.lease_not_found()
    walk = keys_of(mvcc, txn, name)
    first = [row[ID_BYTES:] for row, _ in walk.take(INLINE_ROWS_MAX + 1)]
    txn.cost += walk.cost
    if not walk.is_done:
        return Long(lambda its: _revoke_long(mvcc, its, name))
    writer = Writer(mvcc, txn)
    if first:
        writer.delete_leased(first, id_of(name))
    txn.delete(mvcc.leases, name)
    return writer.revision.to_bytes(8, "big")


def _revoke_long(mvcc: Mvcc, txn: Txn, name: bytes) -> Steps:
    """The same in slices.  The rows that name the keys go at the end, as one range."""
    writer, walk = Writer(mvcc, txn), keys_of(mvcc, txn, name)
    while True:
        found = walk.take(SLICE_NAMES)
        if found:
            writer.delete_many([row[ID_BYTES:] for row, _ in found])
        if walk.is_done:
            break
        yield
    txn.delete_range(mvcc.lease_keys, name, _stop_of(name))
    txn.delete(mvcc.leases, name)
    return writer.revision.to_bytes(8, "big")
