"""Keys, and what must be answered to a range of them at any revision: dictionaries and a sort."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest
from google.protobuf.message import Message

from roost.call import Sending, Unary
from roost.etcd import Services
from roost.etcd.model import rows, sorting
from roost.etcd.model.mvcc import Writer
from roost.etcd.v3 import long_reads
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from tests.etcd.replica import Answer, LocalReplica

State = dict[bytes, kv_pb2.KeyValue]
_SORTED_BY: dict[int, Callable[[kv_pb2.KeyValue], object]] = {
    pb.RangeRequest.KEY: lambda it: it.key,
    pb.RangeRequest.VERSION: lambda it: it.version,
    pb.RangeRequest.CREATE: lambda it: it.create_revision,
    pb.RangeRequest.MOD: lambda it: it.mod_revision,
    pb.RangeRequest.VALUE: lambda it: it.value,
}


def make_all_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that has more than a few keys is long."""
    for module in (rows, long_reads):
        monkeypatch.setattr(module, "ROWS_MAX", 3, raising=False)
    monkeypatch.setattr("roost.etcd.model.ranges.ROWS_MAX", 4)
    monkeypatch.setattr("roost.etcd.v3.hashing.ROWS_MAX", 3)
    monkeypatch.setattr(sorting, "RUN_COUNT_MAX", 4)
    monkeypatch.setattr(sorting, "BEST_COUNT_MAX", 3)
    monkeypatch.setattr(sorting, "_MERGED_PER_STEP", 2)
    monkeypatch.setattr(long_reads, "INLINE_UNITS", 3)
    monkeypatch.setattr(long_reads, "TURN_UNITS", 8)
    monkeypatch.setattr(long_reads, "WHOLE_BYTES_MAX", 100)
    monkeypatch.setattr(long_reads, "PENDING_BYTES_MAX", 10)


class SlowAnswer(Answer):
    """A call whose answers in parts are taken only as far as the client says."""

    def __init__(self, *, takes: bool = True) -> None:
        super().__init__()
        self.takes = takes
        self.parts: list[bytes] = []
        self.pending: list[bytes] = []
        self.size = 0
        self.on_drain: Callable[[], None] | None = None
        self.is_gone = False

    @property
    def is_over(self) -> bool:
        return super().is_over or self.is_gone

    def reply_in_parts(self, size: int) -> Sending:
        self.size = size
        return self

    @property
    def pending_bytes(self) -> int:
        return sum(map(len, self.pending))

    def send(self, part: bytes) -> None:
        self.pending.append(part)
        if self.takes:
            self.take()

    def take(self) -> None:
        """The client takes what there is."""
        self.parts += self.pending
        self.pending.clear()
        if sum(map(len, self.parts)) == self.size:
            self.reply(b"".join(self.parts))
        elif self.on_drain is not None:
            self.on_drain()

    def leave(self) -> None:
        """The client goes away."""
        self.is_gone = True
        if self.on_drain is not None:
            self.on_drain()


@dataclass
class Model:
    """What was written, revision by revision."""

    states: list[State]
    compacted: int = -1

    def put(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Keys and values, at one revision."""
        state, revision = dict(self.states[-1]), len(self.states)
        for key, value in rows:
            old = state.get(key)
            state[key] = kv_pb2.KeyValue(
                key=key,
                value=value,
                create_revision=revision if old is None else old.create_revision,
                mod_revision=revision,
                version=1 if old is None else old.version + 1,
            )
        self.states.append(state)

    def delete(self, first: bytes, stop: bytes) -> None:
        state = {key: it for key, it in self.states[-1].items() if not first <= key < stop}
        if len(state) < len(self.states[-1]):
            self.states.append(state)

    def answer(self, request: pb.RangeRequest, revision: int) -> pb.RangeResponse:
        """What is answered to one who reads the state at `revision`."""
        state = self.states[request.revision or revision]
        end = request.range_end
        found = [
            state[key]
            for key in sorted(state)
            if key >= request.key and (end == b"\0" or key < (end or request.key + b"\0"))
        ]
        count = len(found)
        if request.count_only:
            return pb.RangeResponse(count=count)
        passing = [
            it
            for it in found
            if it.mod_revision >= request.min_mod_revision
            and not 0 < request.max_mod_revision < it.mod_revision
            and it.create_revision >= request.min_create_revision
            and not 0 < request.max_create_revision < it.create_revision
        ]
        is_filtered = len(passing) < len(found)
        order, limit = request.sort_order, request.limit
        if order == pb.RangeRequest.NONE and limit and not is_filtered and not _bounds(request):
            passing = passing[: limit + 1]
        passing.sort(
            key=_SORTED_BY[request.sort_target],  # type: ignore[arg-type]  # bytes or int
            reverse=order == pb.RangeRequest.DESCEND,
        )
        answer = pb.RangeResponse(count=count, more=0 < limit < len(passing))
        for it in passing[:limit] if limit else passing:
            said = answer.kvs.add()
            said.CopyFrom(it)
            if request.keys_only:
                said.value = b""
        return answer


def _bounds(request: pb.RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


class Server:
    """One replica with services, and what its keys must be."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.store = self.replica.store
        self.services = Services(self.replica, self.store)
        self.reads = self.services._desk.long_reads
        self.routes = self.services.routes()
        self.model = Model([{}, {}])
        self.ticks_s = 0.0

    def call(self, path: str, request: Message, answer: Answer | None = None) -> Answer:
        route = self.routes[f"/etcdserverpb.{path}".encode()]
        assert isinstance(route, Unary)
        answer = answer or Answer()
        route.handle(answer, request.SerializeToString())
        return answer

    def put(self, rows: dict[bytes, bytes]) -> None:
        """Keys and values, in one transaction."""
        puts = [
            pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))
            for key, value in rows.items()
        ]
        answer = self.call("KV/Txn", pb.TxnRequest(success=puts))
        assert answer.message is not None, answer.error
        self.model.put(rows.items())

    def fill(self, count: int, value_bytes: int) -> None:
        for begin in range(0, count, 100):
            numbers = range(begin, min(count, begin + 100))
            self.put({b"k%07d" % it: b"%d" % it * (value_bytes // 7 + 1) for it in numbers})

    def fill_large(self, count: int) -> None:
        """Many keys in a few transactions: the model keeps a dictionary for each."""
        mvcc = self.services._mvcc
        for begin in range(0, count, 20_000):
            txn = self.store.begin()
            writer = Writer(mvcc, txn)
            rows = {b"k%07d" % it: b"%d" % it for it in range(begin, begin + 20_000)}
            for key, value in rows.items():
                writer.put(key, value, 0, None)
            self.store.apply(self.store.applied_index + 1, txn.encode())
            self.model.put(rows.items())

    def delete(self, first: bytes, stop: bytes) -> None:
        self.call("KV/DeleteRange", pb.DeleteRangeRequest(key=first, range_end=stop))
        self.model.delete(first, stop)

    def compact(self, revision: int) -> None:
        """Compact, and remove what is compacted at once."""
        if self.model.compacted < revision < len(self.model.states):
            self.call("KV/Compact", pb.CompactionRequest(revision=revision))
            self.model.compacted = revision

    def tick(self) -> None:
        self.ticks_s += 0.1
        self.store.flush_if_due(self.ticks_s)
        self.store.invariants()

    def range(self, request: pb.RangeRequest, answer: Answer | None = None) -> Answer:
        return self.call("KV/Range", request, answer)

    def check(self, request: pb.RangeRequest, answer: Answer) -> None:
        """What was answered is what must be at the revision that the answer says."""
        if answer.error is not None:
            assert answer.error[0] == 11, answer.error
            assert 0 < request.revision < self.model.compacted
            return
        assert answer.message is not None, "it is answered"
        said = pb.RangeResponse.FromString(answer.message)
        revision = said.header.revision
        said.ClearField("header")
        assert said == self.model.answer(request, revision)

    def is_idle(self) -> bool:
        """Whether nothing is kept for reads."""
        held = self.store.held_views
        return (self.reads.count, held.count, held.bytes, self.reads.room.bytes) == (0, 0, 0, 0)

    def close(self) -> None:
        self.services.stop()
        self.replica.close()
