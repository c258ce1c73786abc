"""Turns: who came first has it, the next when that one is gone, and never on a lease that ended."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest

from roost import etcd
from roost.call import Stream, StreamHandler, Unary
from roost.etcd.v3.turns import LOOKED_FOR_A_TURN, STEPS_A_TURN, WOKEN_A_TURN, _in_group
from roost.outcome import Done, ReadDone
from roost.proto import lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.guarded import StreamAnswer
from tests.etcd.replica import Answer, LocalReplica
from tests.steps import steps_of


class Line:
    """A lock of a replica of one, and those who want it."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.services = etcd.Services(self.replica, self.replica.store)
        self.routes = self.services.routes()

    def call(self, path: str, body: bytes) -> Answer:
        route = self.routes[path.encode()]
        assert isinstance(route, Unary)
        answer = Answer()
        route.handle(answer, body)
        return answer

    def grant(self, lease_id: int) -> None:
        request = pb.LeaseGrantRequest(TTL=100, ID=lease_id)
        answer = self.call("/etcdserverpb.Lease/LeaseGrant", request.SerializeToString())
        assert answer.error is None

    def revoke(self, lease_id: int) -> None:
        request = pb.LeaseRevokeRequest(ID=lease_id)
        self.call("/etcdserverpb.Lease/LeaseRevoke", request.SerializeToString())

    def lock(self, lease_id: int) -> tuple[StreamAnswer, StreamHandler]:
        route = self.routes[b"/v3lockpb.Lock/Lock"]
        assert isinstance(route, Stream)
        stream = StreamAnswer("")
        handler = route.open(stream)
        handler.on_message(lock_pb2.LockRequest(name=b"l", lease=lease_id).SerializeToString())
        return stream, handler

    async def lock_and_leave(
        self,
        lease_id: int,
        *,
        is_told_before: bool,
        meanwhile: Callable[[], Awaitable[None]] = until_idle,
    ) -> None:
        """Give up when the line was joined, before the caller has heard of it."""
        answers: list[Callable[[], None]] = []
        transact = self.replica.transact_nowait

        def late(name: str, body: bytes, done: Done) -> None:
            transact(name, body, lambda outcome: answers.append(lambda: done(outcome)))

        with pytest.MonkeyPatch.context() as slow:
            slow.setattr(self.replica, "transact_nowait", late)
            _, leaving = self.lock(lease_id)
            await until_idle()
        if not is_told_before:
            leaving.on_cancel()
            await until_idle()
        await meanwhile()
        for tell in answers:
            tell()
        if is_told_before:
            leaving.on_cancel()

    def unlock(self, lease_id: int) -> None:
        request = lock_pb2.UnlockRequest(key=b"l/%x" % lease_id)
        assert self.call("/v3lockpb.Lock/Unlock", request.SerializeToString()).error is None


def run(story: Callable[[Line], Awaitable[None]]) -> None:
    async def main() -> None:
        line = Line()
        try:
            await story(line)
        finally:
            line.replica.close()

    run_virtually(main())


def key_of(stream: StreamAnswer) -> bytes:
    """The key that says whose turn it is; nothing before it is."""
    return lock_pb2.LockResponse.FromString(stream.sent[0]).key if stream.sent else b""


def test_who_came_first_has_it_and_the_others_in_their_order() -> None:
    async def story(line: Line) -> None:
        waiting = []
        for lease_id in (1, 2, 3):
            line.grant(lease_id)
            waiting.append(line.lock(lease_id)[0])
            await until_idle()
        assert [key_of(it) for it in waiting] == [b"l/1", b"", b""]
        for gone, expected in ((1, [b"l/1", b"l/2", b""]), (2, [b"l/1", b"l/2", b"l/3"])):
            line.unlock(gone)
            await until_idle()
            assert [key_of(it) for it in waiting] == expected

    run(story)


def test_who_comes_back_before_it_was_missed_stands_at_the_end() -> None:
    async def story(line: Line) -> None:
        for lease_id in (1, 2):
            line.grant(lease_id)
        line.lock(1)
        await until_idle()
        barriers: list[ReadDone] = []
        with pytest.MonkeyPatch.context() as slow:
            slow.setattr(line.replica, "read_nowait", barriers.append)
            second, _ = line.lock(2)
            await until_idle()
            line.unlock(1)
            again, _ = line.lock(1)
            await until_idle()
        for tell in barriers:
            tell(None)
        await until_idle()
        assert (key_of(second), key_of(again)) == (b"l/2", b""), "one holds it, and not nobody"

    run(story)


def test_a_holder_that_is_gone_makes_room() -> None:
    async def story(line: Line) -> None:
        for lease_id in (1, 2):
            line.grant(lease_id)
        line.lock(1)
        await until_idle()
        second, _ = line.lock(2)
        await until_idle()
        line.revoke(1)
        await until_idle()
        assert key_of(second) == b"l/2"

    run(story)


def test_who_gives_up_leaves_the_line() -> None:
    async def story(line: Line) -> None:
        for lease_id in (1, 2, 3):
            line.grant(lease_id)
        line.lock(1)
        await until_idle()
        _, leaving = line.lock(2)
        await until_idle()
        third, _ = line.lock(3)
        await until_idle()
        leaving.on_cancel()
        await until_idle()
        line.unlock(1)
        await until_idle()
        assert key_of(third) == b"l/3"

    run(story)


TOLD = pytest.mark.parametrize("is_told_before", [True, False], ids=["just told", "not told"])


@TOLD
def test_who_gives_up_while_it_joins_leaves_the_line(*, is_told_before: bool) -> None:
    async def story(line: Line) -> None:
        for lease_id in (1, 2, 3):
            line.grant(lease_id)
        line.lock(1)
        await until_idle()
        await line.lock_and_leave(2, is_told_before=is_told_before)
        await until_idle()
        line.unlock(1)
        third, _ = line.lock(3)
        await until_idle()
        assert key_of(third) == b"l/3"

    run(story)


def test_who_comes_back_keeps_the_turn_that_it_gets_while_its_first_call_ends() -> None:
    async def story(line: Line) -> None:
        for lease_id in (1, 2, 3):
            line.grant(lease_id)
        line.lock(1)
        await until_idle()

        async def come_back() -> None:
            line.unlock(1)
            again, _ = line.lock(2)
            await until_idle()
            assert key_of(again) == b"l/2"

        await line.lock_and_leave(2, is_told_before=False, meanwhile=come_back)
        third, _ = line.lock(3)
        await until_idle()
        assert key_of(third) == b"", "the second one holds it"

    run(story)


@TOLD
def test_a_turn_that_is_held_is_not_taken_back_with_another_call_that_gives_up(
    *,
    is_told_before: bool,
) -> None:
    async def story(line: Line) -> None:
        for lease_id in (1, 2):
            line.grant(lease_id)
        line.lock(1)
        await until_idle()
        await line.lock_and_leave(1, is_told_before=is_told_before)
        await until_idle()
        second, _ = line.lock(2)
        await until_idle()
        assert key_of(second) == b"", "the first one holds it"

    run(story)


def test_nobody_gets_a_turn_without_a_lease_that_lives() -> None:
    """etcd #11456: a lock was given on a lease that had run out."""

    async def story(line: Line) -> None:
        line.grant(1)
        line.lock(1)
        await until_idle()
        line.grant(2)
        waiting, _ = line.lock(2)
        await until_idle()
        line.revoke(2)
        line.unlock(1)
        await until_idle()
        assert key_of(waiting) == b""
        assert waiting.finished is not None
        unknown, _ = line.lock(9)
        await until_idle()
        assert unknown.finished is not None
        assert "lease not found" in unknown.finished[1]

    run(story)


def test_those_who_wait_when_a_snapshot_comes_look_for_themselves_so_many_in_a_turn() -> None:
    """Issue 14: five thousand that were woken in one step held the member's loop."""

    async def story(line: Line) -> None:
        turns = line.services._turns
        with ExitStack() as waiting:
            woken = [
                waiting.enter_context(turns.hear_changes(b"l%d/" % (number // 3)))
                for number in range(20 * WOKEN_A_TURN)
            ]
            assert steps_of(turns._wake_all) < 1000
            assert 0 < sum(it.is_set() for it in woken) <= WOKEN_A_TURN
            await until_idle()
            assert all(it.is_set() for it in woken)
        assert turns.waiting_count == 0

    run(story)


@pytest.mark.pure("replaces a method of the border")
def test_those_who_are_told_at_once_go_on_so_many_in_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Issue 14: two thousand whose leases came in one batch joined in one turn, of a second."""

    async def story(line: Line) -> None:
        loop, now = asyncio.get_running_loop(), 0
        asked: Counter[int] = Counter()
        run_there = line.services._turns.desk.border.run

        def count(*args: Any) -> None:
            asked[now] += 1
            run_there(*args)

        def turn() -> None:
            nonlocal now
            now += 1
            loop.call_soon(turn)

        monkeypatch.setattr(line.services._turns.desk.border, "run", count)
        for _ in range(10 * STEPS_A_TURN):
            line.lock(0)  # each wants a lease first
        turn()
        while len(asked) < 2 or now - max(asked) < 100:
            await asyncio.sleep(0)
        assert asked.total() >= 20 * STEPS_A_TURN
        # Of two turns of ours one may have begun with the steps of the turn before.
        assert max(asked.values()) <= 2 * STEPS_A_TURN

    run(story)


def test_who_waits_for_a_key_that_went_and_came_back_meanwhile_is_woken() -> None:
    """A long write is looked through over turns, and others write meanwhile."""

    async def story(line: Line) -> None:
        turns, replica = line.services._turns, line.replica
        kv = line.services._mvcc.kv
        names = [b"l/%04d" % number for number in range(LOOKED_FOR_A_TURN + 10)]

        def put(key: bytes) -> None:
            request = pb.PutRequest(key=key, value=b"v")
            line.call("/etcdserverpb.KV/Put", request.SerializeToString())

        for name in names:
            put(name)
        replica.store.flush()  # what is written next becomes a layer by itself, and goes on
        with ExitStack() as waiting:
            events = [waiting.enter_context(_in_group(turns._waiting, name)) for name in names]
            delete = pb.DeleteRangeRequest(key=b"l/", range_end=b"l0")
            answer = line.call("/etcdserverpb.KV/DeleteRange", delete.SerializeToString())
            assert answer.error is None
            assert not events[-1].is_set(), "its turn has not come"
            put(names[-1])
            assert replica.view.has(kv, names[-1])
            await until_idle()
            assert all(it.is_set() for it in events)

    run(story)
