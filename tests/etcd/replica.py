"""A replica of one: operations run and are applied at once, on a real store."""

import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from roost import etcd
from roost.call import Gathered, Sending
from roost.database.events import Event
from roost.database.model import Light, MemberRecord, Operation
from roost.errors import ModelRefused, Refused
from roost.flow import OWN, Flow
from roost.member.errors import OperationFailed
from roost.member.round_trips import Spread
from roost.outcome import Done, ReadDone, Waiting, told, told_read
from roost.store import (
    Changes,
    InlineKeeper,
    Long,
    Parts,
    Store,
    StoreConfig,
    Txn,
    close_layer,
    encode_effect,
)

OURSELVES = MemberRecord(id=1, name="m", peer_urls=("http://peer",), client_urls=("http://client",))


@dataclass
class Status:
    leader_id: int = 1
    term: int = 2
    last_index: int = 3
    applied_index: int = 3
    db_bytes: int = 4
    db_in_use_bytes: int = 4


@dataclass
class Space:
    store_bytes: int = 0
    disk_free_bytes: int = 1 << 40
    disk_reserve_bytes: int = 1 << 20
    corrupt_members: frozenset[int] = frozenset()
    forgetful_members: frozenset[int] = frozenset()


class LocalFiles:
    """Nothing can be done with the files of a replica without a member."""

    def state_digest(self) -> bytes:
        return bytes(16)

    def defragment(self, done: ReadDone) -> None:
        done(None)

    def make_durable(self, done: ReadDone) -> None:
        done(None)

    def lend_snapshot(self) -> AbstractAsyncContextManager[Path]:
        raise NotImplementedError

    def entries_since(self, index: int, term: int) -> AsyncIterator[bytes]:
        raise NotImplementedError


def runnable(operation: Operation | Light) -> Operation:
    """What runs it as the executor does."""
    if not isinstance(operation, Light):
        return operation
    now, later = operation.now, operation.later

    def run(txn: Txn, body: bytes) -> bytes | Long:
        result = now(txn, body)
        assert txn.is_empty, "what is light writes nothing"
        return later(txn, body) if result is None else result

    return run


class LocalReplica:
    """Implements `etcd.ports.Replica` without a cluster."""

    member_id = 1
    cluster_id = 2
    term = 2
    leader_id = 1
    files = LocalFiles()

    def __init__(self) -> None:
        self.reported_space = Space()
        self.times: dict[int, Spread] = {}
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name)
        self.store = Store.open(config=StoreConfig(), keeper=InlineKeeper(path))
        self.store.bootstrap(etcd.bootstrap, guid=uuid.UUID(int=1))
        self.view = self.store.view
        self._operations: dict[str, Operation] = {}
        self.told: list[Event] = []
        self.deferred: list[Callable[[], None]] = []

    def register(self, name: str, operation: Operation | Light) -> None:
        self._operations[name] = runnable(operation)

    def transact_nowait(
        self,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        del flow, waiting  # everything runs at once
        done = told(done)  # as a member does
        if name not in self._operations:
            done(ModelRefused(12, f"{name} is an operation of a real member"))
            return
        txn = self.store.begin()
        try:
            result = self._operations[name](txn, body)
            if isinstance(result, Long):
                done(self.run_long(result, txn))
                return
        except Refused as refusal:
            done(refusal)
            return
        except Exception:  # noqa: BLE001 - as the executor: it costs its caller an answer
            done(OperationFailed(f"{name}: internal error"))
            return
        if not txn.is_empty:
            self.store.apply(self.store.applied_index + 1, txn.encode())
        done(result)

    def run_long(self, long: Long, txn: Txn) -> bytes:
        """All slices of a long operation, and one entry for each."""
        parts, steps = Parts(), long.run(txn)
        answer: bytes | None = None
        while answer is None:
            try:
                next(steps)
            except StopIteration as end:
                answer = end.value
            parts.add(txn.take_part(is_last=answer is not None))
            txn.layer.put_in_order()
            entry = self.store.begin()
            parts.put_into(entry)
            parts.on_proposed()
            self.store.apply(self.store.applied_index + 1, entry.encode())
        list(close_layer(txn.layer))
        effect = encode_effect(self.term, self.store.applied_index, parts.count)
        self.store.apply(self.store.applied_index + 1, effect)
        return answer

    def read_nowait(self, done: ReadDone, flow: Flow = OWN) -> None:
        del flow
        told_read(done)(None)

    def space(self) -> Space:
        return self.reported_space

    def observe(
        self, callback: Callable[[int, Changes], None], trees: Iterable[int] | None = None
    ) -> None:
        self.store.observe(callback, trees)

    @property
    def is_learner(self) -> bool:
        return False

    def peer_times(self) -> dict[int, Spread]:
        return self.times

    def transfer_leadership(self, target: int, done: ReadDone) -> None:
        done(None)

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        self.store.observe_switch(prepare)

    def tell(self, event: Event) -> None:
        self.told.append(event)

    def members(self) -> Sequence[MemberRecord]:
        return [OURSELVES]

    def status(self) -> Status:
        return Status()

    def close(self) -> None:
        self.store.abandon()
        self.directory.cleanup()


class Answer:
    """A call that remembers its answer."""

    def __init__(self, token: str = "", certificate_name: str = "", address: str = "") -> None:
        self.token = token
        self.certificate_name = certificate_name
        self.address = address
        self.flow = OWN
        self.message: bytes | None = None
        self.error: tuple[int, str] | None = None
        self.is_gone = False

    @property
    def is_over(self) -> bool:
        return self.is_gone or self.message is not None or self.error is not None

    def reply_in_parts(self, size: int) -> Sending:
        return Gathered(size, self.reply)

    def reply(self, message: bytes) -> None:
        assert self.message is None and self.error is None, "answered twice"
        self.message = message

    def fail(self, code: int, text: str) -> None:
        assert self.message is None and self.error is None, "answered twice"
        self.error = (code, text)
