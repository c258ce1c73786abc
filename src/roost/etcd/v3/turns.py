"""Taking turns: keys under a prefix are a line, and who came first has the turn.

A lock and an election are the same thing (etcd: client/v3/concurrency): everybody puts a key of
its own, named by its lease, under `name/`; the key with the lowest create revision has the turn;
everybody else waits for the deletion of the key just before its own, so that nobody is woken in
vain.  A key goes away with its lease, so a holder that is gone makes room.

The turn is given where the key and its lease are seen in one state of the leader, so it is never
given on a lease that has run out (etcd #11456).  Whoever writes elsewhere under the lock should
say the key's create revision there: it only ever grows from holder to holder.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import msgspec

from roost.call import Caller
from roost.database.model import Changes, Long, LongChanges, Txn
from roost.errors import Refused, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge
from roost.etcd.model import leases
from roost.etcd.model.alarms import cost_of
from roost.etcd.model.costs import Costs, now_or_long
from roost.etcd.model.lines import Now
from roost.etcd.model.mvcc import Writer
from roost.etcd.model.wire import decode_key_value, read_origin
from roost.etcd.v3.desk import Desk
from roost.outcome import Outcome, settle_future
from roost.proto import rpc_pb2 as pb
from roost.proto.ranges import prefix_end
from roost.slices import Slices
from roost.slices import Turns as TurnsOfLoop

logger = logging.getLogger(__name__)
JOIN = "etcd.turn_join"
# The lease of somebody who brought none, as etcd's sessions have it.
SESSION_TTL_S = 60
# So many are woken in a turn of the loop; and so many looked for in what was written.
WOKEN_A_TURN, LOOKED_FOR_A_TURN = 50, 1000
# So many take a step in a turn: an operation asked for, or a key looked up, of those who are told
# at once, as thousands are whose joins are in one batch or whose leases are as old.
STEPS_A_TURN = 16
# Those who wait, by the name of what they wait for.
_Groups = dict[bytes, set[asyncio.Event]]


class _Join(msgspec.Struct, frozen=True, array_like=True):
    """Put `key`, or see whether it is still there when it was put before."""

    prefix: bytes
    key: bytes
    value: bytes
    lease: int
    is_there: bool
    # An election's value is set anew by who joins again; a lock has none.
    sets_value: bool


class _Joined(msgspec.Struct, frozen=True, array_like=True):
    """The key's create revision; and the key before it, b"" when it is its turn."""

    create_revision: int
    before: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody's turn: the key that says so, and the revision at which it was seen."""

    key: bytes
    create_revision: int
    lease: int
    revision: int


def check_join(judge: Judge, body: bytes) -> Costs[None]:
    """Whoever joins writes its key, and reads the line."""
    join = msgspec.msgpack.decode(body, type=_Join)
    yield from judge.need_write(join.key)
    yield from judge.need_read(join.prefix, prefix_end(join.prefix))


class Turns:
    """Lines of one member, and those who wait in them here."""

    def __init__(self, desk: Desk) -> None:
        """Register the operation, and observe deletions."""
        self.desk = desk
        self._waiting: _Groups = {}
        self._observing: _Groups = {}
        self._slices, self._looking = Slices(WOKEN_A_TURN), Slices(LOOKED_FOR_A_TURN)
        self._steps = TurnsOfLoop(STEPS_A_TURN)
        desk.border.register(JOIN, self._join, check_join)
        desk.replica.observe(self._on_applied, trees=(desk.mvcc.kv,))
        desk.replica.observe_switch(lambda: self._wake_all)

    @property
    def waiting_count(self) -> int:
        """How many wait here for something to change; zero when nobody does."""
        return sum(len(it) for it in (*self._waiting.values(), *self._observing.values()))

    def _join(self, txn: Txn, body: bytes) -> bytes | Long:
        join = msgspec.msgpack.decode(body, type=_Join)
        self.desk.alarms.check_sound()
        # A line is long to walk over that nobody has asked about in this term.
        return now_or_long(txn, lambda its: self._joined(its, join))

    def _joined(self, txn: Txn, join: _Join) -> Costs[bytes]:
        mvcc = self.desk.mvcc
        writer = Writer(mvcc, txn)
        encoded = txn.get(mvcc.kv, join.key)
        if encoded is None and join.is_there:
            raise errors.session_expired()
        if encoded is None:
            self.desk.alarms.take_space(cost_of(join.prefix + join.key + join.value, 1))
            leases.check_exists(mvcc, txn, join.lease)
            writer.put(join.key, join.value, join.lease, None)
        elif join.sets_value and decode_key_value(encoded).value != join.value:
            writer.put(join.key, join.value, join.lease, encoded)
        encoded = txn.get(mvcc.kv, join.key)
        assert encoded is not None, "it was put, if it was not there"
        create_revision = read_origin(encoded).create_revision
        replica = self.desk.replica
        now = Now(replica.term, replica.view, mvcc.revision(replica.view))
        before = yield from mvcc.lines.before(txn, mvcc.kv, join.prefix, create_revision, now=now)
        said = msgspec.msgpack.encode(_Joined(create_revision, before))
        return writer.revision.to_bytes(8, "big") + said

    def _on_applied(self, _index: int, changes: Changes) -> None:
        if not self._waiting and not self._observing:
            return
        kv = self.desk.mvcc.kv
        if isinstance(changes, LongChanges):
            self._looking.run(self._look(list(self._waiting), list(self._observing)))
            return
        for _, tree_id, key, value in changes.writes:
            if tree_id != kv:
                continue
            if value is None:
                self._wake(self._waiting, key)
            self._wake(self._observing, key[: key.rfind(b"/") + 1])

    def _look(self, keys: Sequence[bytes], prefixes: Sequence[bytes]) -> Iterator[None]:
        """Many keys were written: look for those that somebody waits for, not the other way.

        Once something else is applied, a key that is there may be another one of its name.
        """
        view, mvcc = self.desk.replica.view, self.desk.mvcc
        revision = mvcc.revision(view)
        for key in keys:
            if not view.has(mvcc.kv, key) or mvcc.revision(view) != revision:
                self._wake(self._waiting, key)
            yield
        for prefix in prefixes:
            self._wake(self._observing, prefix)
            yield

    def _wake_all(self) -> None:
        """A snapshot has replaced everything: each looks for itself, so many in a turn."""
        self._slices.run(self._waking(list(self._waiting), list(self._observing)))

    def _waking(self, keys: Sequence[bytes], prefixes: Sequence[bytes]) -> Iterator[None]:
        for groups, names in ((self._waiting, keys), (self._observing, prefixes)):
            for name in names:
                for event in list(groups.get(name, ())):
                    event.set()
                    yield

    def _wake(self, groups: _Groups, name: bytes) -> None:
        if name in groups:
            self._slices.run(map(asyncio.Event.set, list(groups[name])))

    async def _wait_gone(self, key: bytes, create_revision: int) -> None:
        """Return when a key that was created before then is gone, as applied here after a barrier.

        One of its name may be there all the same: who left and came back stands at the end, waits
        for us perhaps, and must not be waited for.
        """
        await self.barrier()
        await self._steps.take()
        encoded = self.desk.replica.view.get(self.desk.mvcc.kv, key)
        if encoded is not None and read_origin(encoded).create_revision < create_revision:
            with _in_group(self._waiting, key) as gone:
                await gone.wait()

    def hear_changes(self, prefix: bytes) -> AbstractContextManager[asyncio.Event]:
        """What is set whenever a key of a line has changed."""
        return _in_group(self._observing, prefix)

    async def barrier(self) -> None:
        """Return when everything acknowledged before is applied here.

        Raises:
            RoostError: there is no leader.

        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        self.desk.replica.read_nowait(lambda error: settle_future(future, error))
        await future

    async def run(self, caller: Caller, name: str, body: bytes) -> bytes:
        """Run an operation for a caller.

        Raises:
            RoostError: it was refused, or its outcome is not known.

        """
        await self._steps.take()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.desk.border.run(caller, name, body, lambda outcome: settle_future(future, outcome))
        return await future

    async def take(
        self, caller: Caller, name: bytes, lease: int, *, value: bytes = b"", is_vote: bool = False
    ) -> Turn:
        """Join the line of `name`, and return when it is this lease's turn.

        The lease is kept alive meanwhile.  Whoever gives up leaves the line.

        Raises:
            RoostError: it was refused; the key is not in the line.

        """
        if not lease:
            lease = await self._grant(caller)
        prefix = name + b"/"
        key = prefix + b"%x" % (lease & 0xFFFF_FFFF_FFFF_FFFF)
        keeping = self.desk.tasks.start(self._keep_alive(caller, lease))
        is_there = False
        try:
            while True:
                join = _Join(prefix, key, value, lease, is_there, is_vote and not is_there)
                result = await self._run_join(caller, join)
                joined = msgspec.msgpack.decode(result[8:], type=_Joined)
                if not joined.before:
                    revision = int.from_bytes(result[:8], "big")
                    return Turn(key, joined.create_revision, lease, revision)
                is_there = True
                await self._wait_gone(joined.before, joined.create_revision)
        except (RoostError, asyncio.CancelledError):
            if is_there:
                self._leave(caller, key)
            raise
        finally:
            keeping.cancel()

    async def _run_join(self, caller: Caller, join: _Join) -> bytes:
        """Join; who gives up before it has heard of its place leaves when that is known."""
        await self._steps.take()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def give_back(outcome: Outcome) -> None:
            if isinstance(outcome, bytes) and not join.is_there:
                joined = msgspec.msgpack.decode(outcome[8:], type=_Joined)
                if joined.before:
                    self._leave_behind(caller, join.key, joined)

        def done(outcome: Outcome) -> None:
            if future.cancelled():
                give_back(outcome)
            else:
                settle_future(future, outcome)

        self.desk.border.run(caller, JOIN, msgspec.msgpack.encode(join), done)
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and not future.exception():
                give_back(future.result())
            raise

    def _leave_behind(self, caller: Caller, key: bytes, joined: _Joined) -> None:
        """Take a key back while the one before it is there, so that nobody has its turn.

        Whoever gave up may have come back with the same lease by another member, and must not lose
        what it was given there.
        """
        is_there, is_older = (
            pb.Compare(key=joined.before, target=pb.Compare.CREATE, result=it, create_revision=than)
            for it, than in (
                (pb.Compare.GREATER, 0),
                (pb.Compare.LESS, joined.create_revision),
            )
        )
        delete = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
        asked = pb.TxnRequest(compare=[is_there, is_older], success=[delete])
        body = asked.SerializeToString()
        self.desk.border.run(caller, "etcd.txn", body, lambda _outcome: None)

    def _leave(self, caller: Caller, key: bytes) -> None:
        """Take a key back; its lease does it if this fails."""
        body = pb.DeleteRangeRequest(key=key).SerializeToString()
        self.desk.border.run(caller, "etcd.delete_range", body, lambda _outcome: None)

    async def _grant(self, caller: Caller) -> int:
        body = pb.LeaseGrantRequest(TTL=SESSION_TTL_S).SerializeToString()
        result = await self.run(caller, "etcd.lease_grant", body)
        return pb.LeaseGrantResponse.FromString(result[8:]).ID

    async def _keep_alive(self, caller: Caller, lease: int) -> None:
        """Renew a lease while its owner waits in line."""
        body = pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()
        while True:
            try:
                result = await self.run(caller, "etcd.lease_renew", body)
            except Refused:
                return
            except Exception as error:
                if not isinstance(error, RoostError):
                    logger.exception("a lease could not be renewed for who waits on it")
                ttl_s = 1  # try again soon: somebody else may lead by then
            else:
                ttl_s = pb.LeaseKeepAliveResponse.FromString(result[8:]).TTL
            if not ttl_s:
                return
            await asyncio.sleep(ttl_s / 3)


@contextmanager
def _in_group(groups: _Groups, name: bytes) -> Iterator[asyncio.Event]:
    """What is set when the group is woken; nothing is left behind."""
    event = asyncio.Event()
    groups.setdefault(name, set()).add(event)
    try:
        yield event
    finally:
        group = groups[name]
        group.discard(event)
        if not group:
            del groups[name]
