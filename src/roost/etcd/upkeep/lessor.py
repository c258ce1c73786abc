"""The lessor: keeps the time of leases where this member leads, and the operations on them.

Deadlines live in the leader's memory (`deadlines.py`).  A member that begins to lead gives every
lease what is written of it, and a grace.  Renewals only move the deadline; they are answered once
leadership is confirmed, and against a state that holds every revocation before them, so nobody is
told that a lease lives which is gone (etcd #20615).  They wait for nothing that is written: a
deletion of a million keys ends nobody's lease.  A lease whose time is up goes away by an
operation that looks at the deadline again where it runs: a deposed leader that wakes up revokes
nothing (etcd #17425).

Every CHECKPOINT_S the leader writes down what is left of long leases that nobody renews.

Full?  `leases_max` leases; beyond that a grant is refused.  Those count whose time is kept, so a
leader of the last seconds, which is still taking over, may grant a few more.
"""

import logging
import secrets
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import merge
from typing import Final

from roost.database.model import Long, Txn, Walk
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.limits import Limits
from roost.etcd.model import leases
from roost.etcd.model.alarms import WRITE_BYTES, Alarms
from roost.etcd.model.costs import SLICE_ROWS, Costs, now_or_long
from roost.etcd.model.leases import ID_BYTES, Lease, id_of, name_of
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.model.wire import field, number_field
from roost.etcd.ports import Replica
from roost.etcd.upkeep.deadlines import LeaderDeadlines
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb
from roost.ticker import Ticker

logger = logging.getLogger(__name__)
LOOK_S: Final = 0.25
CHECKPOINT_S: Final = 300.0
EXPIRE: Final = "etcd.lease_expire"
CHECKPOINT: Final = "etcd.lease_checkpoint"
# Revocations on their way at a time, and leases looked at for a checkpoint in one turn.
_EXPIRING_MAX: Final = 1000
_CHECKPOINT_SLICE = 1000
_CHECKPOINT_ROW: Final = struct.Struct(">8sQ")


@dataclass(slots=True)
class LeaseCounts:
    """What was done to leases here since the start."""

    granted: int = 0
    revoked: int = 0
    renewed: int = 0
    expired: int = 0


class Lessor:
    """Leases of one member; it keeps their time while it leads."""

    def __init__(
        self,
        replica: Replica,
        mvcc: Mvcc,
        alarms: Alarms,
        *,
        limits: Limits,
        clock_s: Callable[[], float] = time.monotonic,
        draw_id: Callable[[], int] = lambda: secrets.randbits(63),
    ) -> None:
        """Time stands still before `start`."""
        self._replica = replica
        self._mvcc = mvcc
        self._alarms = alarms
        self._limits = limits
        self._draw_id = draw_id
        self._clock_s = clock_s
        self._deadlines = LeaderDeadlines(
            replica,
            mvcc.leases,
            seconds_of=_seconds_of,
            clock_s=clock_s,
            grace_s=limits.lease_grace_s,
        )
        # Revocations of what has run out that are on their way.
        self._expiring: set[bytes] = set()
        self._checkpoint_at_s = 0.0
        self._unchecked: Walk | None = None
        self._ticker = Ticker(LOOK_S, self.look)
        self.counts = LeaseCounts()

    def start(self) -> None:
        """Look at the clock from now on."""
        self._ticker.start()

    def stop(self) -> None:
        """Look no more."""
        self._ticker.stop()
        self._deadlines.stop()

    @property
    def timed_count(self) -> int:
        """How many leases have their time kept here; zero when another member leads."""
        return len(self._deadlines)

    def look(self) -> None:
        """Revoke what is due, and write down what is left of long leases."""
        self._deadlines.follow_leadership()
        if not self._deadlines.is_leading:
            return
        for name in self._deadlines.take_due(_EXPIRING_MAX - len(self._expiring)):
            if name not in self._expiring:
                self._expiring.add(name)
                self._replica.transact_nowait(EXPIRE, name, partial(self._on_expired, name))
        now_s = self._clock_s()
        if now_s >= self._checkpoint_at_s:
            if self._checkpoint_at_s:
                view = self._replica.view
                self._unchecked = Walk(view, self._mvcc.leases, b"", None, keys_only=True)
            self._checkpoint_at_s = now_s + CHECKPOINT_S
        if self._unchecked is not None:
            self._checkpoint_slice(self._unchecked)

    def _on_expired(self, name: bytes, outcome: Outcome) -> None:
        self._expiring.remove(name)
        if isinstance(outcome, RoostError):
            logger.info("a lease could not be revoked yet: %s", outcome)

    def _checkpoint_slice(self, unchecked: Walk) -> None:
        """Write down what is left of some of the leases that nobody has renewed for long."""
        names = unchecked.take(_CHECKPOINT_SLICE)
        if unchecked.is_done:
            self._unchecked = None
        rows: list[bytes] = []
        for name, _ in names:
            lease = leases.get(self._mvcc, self._replica.view, name)
            left = int(self._deadlines.remaining_s(name) or 0)
            written = 0 if lease is None else lease.remaining_s or lease.ttl_s
            if 0 < left < written - CHECKPOINT_S / 2:
                rows.append(_CHECKPOINT_ROW.pack(name, left + 1))
        if rows:
            self._replica.transact_nowait(CHECKPOINT, b"".join(rows), _ignore)

    def grant(self, txn: Txn, body: bytes) -> bytes:
        """Operation: body is a LeaseGrantRequest."""
        self._alarms.check_sound()
        self._alarms.take_space(WRITE_BYTES)
        request = pb.LeaseGrantRequest.FromString(body)
        if request.TTL > leases.TTL_S_MAX:
            raise errors.lease_ttl_too_large()
        if self._deadlines.is_leading and len(self._deadlines) >= self._limits.leases_max:
            raise errors.too_many_leases()
        mvcc, lease_id = self._mvcc, request.ID
        while not lease_id or (not request.ID and leases.get(mvcc, txn, name_of(lease_id))):
            lease_id = self._draw_id()
        if leases.get(mvcc, txn, name_of(lease_id)) is not None:
            raise errors.lease_exists()
        ttl_s = max(request.TTL, self._limits.lease_ttl_min_s)
        leases.put(mvcc, txn, name_of(lease_id), Lease(ttl_s, 0))
        self.counts.granted += 1
        said = pb.LeaseGrantResponse(ID=lease_id, TTL=ttl_s)
        return self._answer(txn, said.SerializeToString())

    def revoke(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation: body is a LeaseRevokeRequest."""
        self._alarms.check_sound()
        name = name_of(pb.LeaseRevokeRequest.FromString(body).ID)
        answer = leases.revoke(self._mvcc, txn, name)
        self.counts.revoked += 1
        return answer

    def renew_now(self, txn: Txn, body: bytes) -> bytes | None:
        """Light operation: as `renew`; None when something is to be written, or it is run out.

        Whoever keeps a lease alive waits for nobody's writing: that might take longer than the
        lease has, and nothing that it decides has to do with that.
        """
        lease_id = pb.LeaseKeepAliveRequest.FromString(body).ID
        name = name_of(lease_id)
        if name in self._expiring:
            return None
        lease = leases.get(self._mvcc, txn, name)
        if lease is not None and lease.remaining_s:
            return None
        return self._renewed(txn, lease_id, lease)

    def renew(self, txn: Txn, body: bytes) -> bytes:
        """Operation: body is a LeaseKeepAliveRequest; a lease that is gone has a TTL of 0."""
        lease_id = pb.LeaseKeepAliveRequest.FromString(body).ID
        return self._renewed(txn, lease_id, leases.get(self._mvcc, txn, name_of(lease_id)))

    def _renewed(self, txn: Txn, lease_id: int, lease: Lease | None) -> bytes:
        """Extend a lease's time, if there is one, and say so."""
        name, ttl_s = name_of(lease_id), 0
        if lease is not None and self._deadlines.is_leading:
            ttl_s = lease.ttl_s
            if lease.remaining_s:
                leases.put(self._mvcc, txn, name, Lease(ttl_s, 0))
            self._deadlines.extend(name, ttl_s)
            self.counts.renewed += 1
        # A LeaseKeepAliveResponse: its ID, its TTL.
        said = number_field(b"\x10", lease_id) + number_field(b"\x18", ttl_s)
        return self._answer(txn, said)

    def time_to_live(self, txn: Txn, body: bytes) -> bytes | Long:
        """Operation: body is a LeaseTimeToLiveRequest; a lease that is gone has a TTL of -1."""
        request = pb.LeaseTimeToLiveRequest.FromString(body)
        name = name_of(request.ID)
        lease = leases.get(self._mvcc, txn, name)
        said = pb.LeaseTimeToLiveResponse(ID=request.ID, TTL=-1)
        if lease is not None:
            left = self._deadlines.remaining_s(name) if self._deadlines.is_leading else None
            if left is None:
                left = lease.remaining_s or lease.ttl_s
            said.TTL, said.grantedTTL = int(min(left, lease.ttl_s)), lease.ttl_s
        told = said.SerializeToString()
        if lease is None or not request.keys:
            return self._answer(txn, told)
        return now_or_long(txn, lambda its: self._with_keys(its, name, told))

    def _with_keys(self, txn: Txn, name: bytes, told: bytes) -> Costs[bytes]:
        """The same, with the keys that have the lease; it may be the only one there is."""
        walk, parts = leases.keys_of(self._mvcc, txn, name), [told]
        while not walk.is_done:
            found = walk.take(SLICE_ROWS)
            parts += [field(b"\x2a", row[ID_BYTES:]) for row, _ in found]
            yield walk.cost
        return self._answer(txn, b"".join(parts))

    def list_leases(self, txn: Txn, _body: bytes) -> bytes | Long:
        """Operation: all leases, the one that runs out first before the others (as etcd)."""
        return now_or_long(txn, self._listed)

    def _listed(self, txn: Txn) -> Costs[bytes]:
        walk = Walk(txn, self._mvcc.leases, b"", None, keys_only=True)
        by_time = self._deadlines.time_of if self._deadlines.is_leading else None
        runs: list[list[bytes]] = []
        while not walk.is_done:
            run = [name for name, _ in walk.take(SLICE_ROWS)]
            runs.append(sorted(run, key=by_time))
            yield walk.cost
        parts: list[bytes] = []
        for count, name in enumerate(merge(*runs, key=by_time), 1):
            parts.append(field(b"\x12", number_field(b"\x08", id_of(name))))
            if count % SLICE_ROWS == 0:
                yield SLICE_ROWS
        return self._answer(txn, b"".join(parts))

    def expire(self, txn: Txn, name: bytes) -> bytes | Long:
        """Operation: revoke a lease whose time is up, if it still is where this runs."""
        if not self._deadlines.is_leading or not self._deadlines.is_due(name):
            return b""
        if leases.get(self._mvcc, txn, name) is None:
            return b""
        answer = leases.revoke(self._mvcc, txn, name)
        self.counts.expired += 1
        self.counts.revoked += 1  # as etcd: granted less revoked are those that are there
        logger.debug("lease %x has expired", id_of(name))
        return answer

    def checkpoint(self, txn: Txn, body: bytes) -> bytes:
        """Operation: write down what was left of leases when the leader looked."""
        for name, remaining_s in _CHECKPOINT_ROW.iter_unpack(body):
            lease = leases.get(self._mvcc, txn, name)
            left = self._deadlines.remaining_s(name)
            # Where its time is not kept (yet), an earlier leader may have renewed it since.
            if lease is not None and left is not None and left <= remaining_s:
                leases.put(self._mvcc, txn, name, Lease(lease.ttl_s, remaining_s))
        return b""

    def _answer(self, txn: Txn, body: bytes) -> bytes:
        return self._mvcc.revision(txn).to_bytes(8, "big") + body


def _seconds_of(row: bytes) -> float:
    lease = leases.decode(row)
    return lease.remaining_s or lease.ttl_s


def _ignore(outcome: Outcome) -> None:
    """What is left of a lease is written down again later."""
    if isinstance(outcome, RoostError):
        logger.info("what is left of leases was not written down: %s", outcome)
