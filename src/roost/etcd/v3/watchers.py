"""Watchers: what one of them wants, and an index by what they want.

A watcher belongs to a stream, of which the hub knows no more than `Listener` says.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

from roost.call import StreamCall
from roost.etcd.access.judge import Judge
from roost.etcd.access.tokens import Identity
from roost.etcd.model.costs import BYTES_A_ROW_LOG2, Costs
from roost.etcd.model.mvcc import main_of, range_stop
from roost.etcd.model.wire import decode_key_value, field
from roost.etcd.v3.range_index import RangeIndex
from roost.proto import rpc_pb2 as pb
from roost.proto.ranges import prefix_end


class Listener(Protocol):
    """Whoever is told what watchers see; what goes wrong with one of them ends it alone."""

    call: StreamCall
    is_over: bool

    @property
    def has_room(self) -> bool:
        """Whether it takes what it is sent."""

    def note_progress(self, watcher: "Watcher") -> None:
        """A watcher has had its turn to be told how far it has come."""

    def cancel_compacted(self, watcher: "Watcher", compacted: int) -> None:
        """The revisions a watcher needs are gone."""

    def cancel_denied(self, watcher: "Watcher") -> None:
        """Who watches may not see these keys any more."""

    def fail(self, error: Exception) -> None:
        """There was a fault of ours."""


class Event:
    """One change: its main revision, its key, and the mvccpb.Event as all watchers get it."""

    __slots__ = (
        "_encoded",
        "_wire",
        "_wire_with_previous",
        "is_delete",
        "is_first",
        "key",
        "main",
        "units",
    )

    def __init__(self, revision: bytes, encoded: bytes) -> None:
        """`encoded` is the KeyValue written at `revision`."""
        kv = decode_key_value(encoded)
        self.main = main_of(revision)
        self.key = kv.key
        self.is_delete = kv.version == 0
        # Whether there was no such key before it.
        self.is_first = kv.version == 1
        self._encoded = encoded
        self._wire: bytes | None = None
        self._wire_with_previous: bytes | None = None
        # How much work it is to tell one of it: its bytes are copied for each.
        self.units = 1 + (len(encoded) >> BYTES_A_ROW_LOG2)

    @property
    def _body(self) -> bytes:
        return (b"\x08\x01" if self.is_delete else b"") + field(b"\x12", self._encoded)

    def wire(self) -> bytes:
        """The field of a WatchResponse; made once for all."""
        if self._wire is None:
            self._wire = field(b"\x5a", self._body)
        return self._wire

    def wire_with_previous(self, look: Callable[["Event"], bytes | None]) -> bytes:
        """The same with the KeyValue before, which `look` finds; made once for all who want it."""
        if self._wire_with_previous is None:
            previous = look(self)
            before = b"" if previous is None else field(b"\x1a", previous)
            self._wire_with_previous = field(b"\x5a", self._body + before)
        return self._wire_with_previous


class Watcher:
    """One watch of a stream."""

    __slots__ = (
        "first",
        "id",
        "identity",
        "is_denied",
        "is_quiet",
        "may_fragment",
        "next_revision",
        "no_delete",
        "no_put",
        "range_end",
        "rights_number",
        "stop",
        "stream",
        "wants_previous",
        "wants_progress",
    )

    def __init__(self, stream: Listener, request: pb.WatchCreateRequest) -> None:
        """Watch the range of `request`."""
        self.stream = stream
        self.id = request.watch_id
        # An empty key means the smallest one (etcd: watchServer.recvLoop).
        self.first = request.key or b"\0"
        self.range_end = request.range_end
        self.stop = range_stop(self.first, request.range_end)
        self.wants_previous = request.prev_kv
        self.no_put = pb.WatchCreateRequest.NOPUT in request.filters
        self.no_delete = pb.WatchCreateRequest.NODELETE in request.filters
        self.wants_progress = request.progress_notify
        self.may_fragment = request.fragment
        self.next_revision = 0
        # Who watches, while authentication is on; and whether nothing was said since the last
        # note of progress.
        self.identity: Identity | None = None
        self.is_quiet = True
        # Which change of rights (`Rights.change`) it was last asked at; and what came of that.
        self.rights_number, self.is_denied = 0, False

    def check(self, judge: Judge) -> Costs[None]:
        """Whoever watches must have the right to read the range."""
        return judge.need_read(self.first, self.range_end)

    def wants(self, event: Event) -> bool:
        """Whether the event is in range, new to this watcher and not filtered."""
        key = event.key
        return (
            event.main >= self.next_revision
            and key >= self.first
            and (self.stop is None or key < self.stop)
            and not (self.no_delete if event.is_delete else self.no_put)
        )


class WatcherIndex:
    """Watchers by what they watch: a key, a prefix, any range.

    A key that is written finds its watchers by as many look-ups as there are lengths of prefixes,
    and ranges that are neither by an index of their own.
    """

    def __init__(self) -> None:
        """Nobody watches."""
        self._by_key: dict[bytes, set[Watcher]] = {}
        self._by_prefix: dict[bytes, set[Watcher]] = {}
        self._prefix_lengths: Counter[int] = Counter()
        self._ranges: RangeIndex[Watcher] = RangeIndex()
        self._count = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __iter__(self) -> Iterator[Watcher]:
        """All of them."""
        yield from self._ranges
        for groups in (self._by_key, self._by_prefix):
            for group in groups.values():
                yield from group

    def __contains__(self, watcher: Watcher) -> bool:
        """Whether it is there."""
        first = watcher.first
        return (
            watcher in self._by_key.get(first, ())
            or watcher in self._by_prefix.get(first, ())
            or watcher in self._ranges
        )

    def each(self) -> Iterator[Watcher]:
        """All that are there now; some may come and go before their turn."""
        groups = [*self._by_key.values(), *self._by_prefix.values()]
        yield from list(self._ranges)
        for group in groups:
            yield from list(group)

    def add(self, watcher: Watcher) -> None:
        """Find it by what it watches from now on; it is not there yet."""
        self._count += 1
        if watcher.stop == watcher.first + b"\0":
            self._by_key.setdefault(watcher.first, set()).add(watcher)
        elif watcher.stop == range_stop(watcher.first, prefix_end(watcher.first)):
            group = self._by_prefix.setdefault(watcher.first, set())
            if not group:
                self._prefix_lengths[len(watcher.first)] += 1
            group.add(watcher)
        else:
            self._ranges.add(watcher)

    def discard(self, watcher: Watcher) -> None:
        """Find it no more, if it was there."""
        first = watcher.first
        if watcher in self._ranges:
            self._ranges.discard(watcher)
        elif watcher in self._by_key.get(first, ()):
            _leave(self._by_key, first, watcher)
        elif watcher in self._by_prefix.get(first, ()):
            if _leave(self._by_prefix, first, watcher):
                length = len(first)
                self._prefix_lengths[length] -= 1
                if not self._prefix_lengths[length]:
                    del self._prefix_lengths[length]
        else:
            return
        self._count -= 1

    def candidates(self, key: bytes) -> Iterator[Watcher]:
        """Those that may want a key."""
        yield from self._by_key.get(key, ())
        for length in self._prefix_lengths:
            if length <= len(key):
                yield from self._by_prefix.get(key[:length], ())
        if self._ranges:
            yield from self._ranges.at(key)

    def weight(self, events: Iterable[Event], enough: int) -> int:
        """How much work it is to tell all who may want one of these, counted to `enough`.

        It costs what events there are and, of ranges that are neither a key nor a prefix, what is
        counted.
        """
        count = 0
        for event in events:
            key = event.key
            asked = len(self._by_key.get(key, ())) + self._crowd_at(key, enough)
            for length in self._prefix_lengths:
                if length <= len(key):
                    asked += len(self._by_prefix.get(key[:length], ()))
            count += asked * event.units
            if count >= enough:
                return enough
        return count

    def _crowd_at(self, key: bytes, enough: int) -> int:
        """How many ranges have a key, counted to `enough`."""
        if not self._ranges:
            return 0
        return sum(1 for _ in islice(self._ranges.at(key), enough))

    def take_for(self, events: Iterable[Event], crowd: int) -> "WatcherIndex":
        """Those that may want one of these events and are a crowd; they are not here any more.

        A group of more than `crowd` is taken whole, and ranges that are neither of one key nor of
        a prefix all together, so it costs what `weight` does.
        """
        taken = WatcherIndex()
        for key in {event.key: None for event in events}:
            if len(self._by_key.get(key, ())) > crowd:
                taken._by_key[key] = self._by_key.pop(key)
            for length in [it for it in self._prefix_lengths if it <= len(key)]:
                if len(self._by_prefix.get(key[:length], ())) > crowd:
                    taken._by_prefix[key[:length]] = self._by_prefix.pop(key[:length])
                    taken._prefix_lengths[length] += 1
                    self._prefix_lengths[length] -= 1
                    if not self._prefix_lengths[length]:
                        del self._prefix_lengths[length]
            if self._crowd_at(key, crowd + 1) > crowd:
                taken._ranges, self._ranges = self._ranges, RangeIndex()
        groups = (*taken._by_key.values(), *taken._by_prefix.values())
        taken._count = len(taken._ranges) + sum(map(len, groups))
        self._count -= taken._count
        return taken


def _leave(groups: dict[bytes, set[Watcher]], name: bytes, watcher: Watcher) -> bool:
    """Take a watcher out of its group; say whether that was the last one of it."""
    group = groups[name]
    group.discard(watcher)
    if not group:
        del groups[name]
    return not group
