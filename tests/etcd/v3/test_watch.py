"""Watches: every event once, in order, from wherever they start; or a reason."""

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost import etcd
from roost.call import Unary
from roost.client import prefix_end
from roost.etcd.limits import WATCH_FILTERS_MAX
from roost.etcd.model import kv
from roost.etcd.v3 import latecomers
from roost.etcd.v3 import watch as watch_module
from roost.etcd.v3.watchers import Watcher, WatcherIndex
from roost.flow import OWN
from roost.proto import kv_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.replica import Answer, LocalReplica
from tests.samples import SAMPLES
from tests.steps import Steps, steps_of


class FakeStream:
    """A stream whose client reads only when told to."""

    token = certificate_name = address = ""
    flow = OWN

    def __init__(self) -> None:
        self.sent: list[pb.WatchResponse] = []
        self.pending_bytes = 0
        self.on_drain: Callable[[], None] | None = None
        self.finished: tuple[int, str] | None = None

    def send(self, message: bytes) -> None:
        self.sent.append(pb.WatchResponse.FromString(message))

    def send_all(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.send(message)

    def finish(self, code: int, text: str) -> None:
        self.finished = (code, text)

    def drain(self) -> None:
        """The client has read, and may have room."""
        assert self.on_drain is not None
        self.on_drain()

    def events(self, watch_id: int) -> list[kv_pb2.Event]:
        return [event for it in self.sent if it.watch_id == watch_id for event in it.events]


class World:
    """One replica with its services, a loop for catching up, and a stream."""

    def __init__(self, limits: etcd.Limits | None = None) -> None:
        self.replica = LocalReplica()
        self.services = etcd.Services(self.replica, self.replica.store, limits=limits)
        self.stream = FakeStream()
        self.handler = watch_module.WatchStream(self.services.watches, self.stream)

    def call(
        self,
        name: str,
        request: pb.PutRequest | pb.DeleteRangeRequest | pb.CompactionRequest | pb.TxnRequest,
    ) -> None:
        answer = Answer()
        route = self.services.routes()[f"/etcdserverpb.KV/{name}".encode()]
        assert isinstance(route, Unary)
        route.handle(answer, request.SerializeToString())
        assert answer.error is None, answer.error

    def put(self, key: bytes, value: bytes = b"v") -> None:
        self.call("Put", pb.PutRequest(key=key, value=value))

    def delete(self, key: bytes, range_end: bytes = b"") -> None:
        self.call("DeleteRange", pb.DeleteRangeRequest(key=key, range_end=range_end))

    def compact(self, revision: int) -> None:
        self.call("Compact", pb.CompactionRequest(revision=revision))

    def watch(self, **fields: object) -> None:
        create = pb.WatchCreateRequest(**fields)  # type: ignore[arg-type]  # a test's fields
        self.handler.on_message(pb.WatchRequest(create_request=create).SerializeToString())


def story(tell: Callable[[World], Iterator[None]]) -> None:
    """Run a test as a generator; each yield lets the loop turn until nothing moves."""

    async def main() -> None:
        world = World()
        try:
            for _ in tell(world):
                await until_idle()
        finally:
            world.replica.close()

    run_virtually(main())


def test_new_events_come_as_they_are_applied() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k")
        world.put(b"k", b"1")
        world.put(b"other")
        world.delete(b"k")
        yield
        created, *answers = world.stream.sent
        assert created.created and created.header.revision == 1
        assert [it.header.revision for it in answers] == [2, 4]
        put, delete = world.stream.events(0)
        assert (put.type, put.kv.value, put.kv.version) == (0, b"1", 1)
        assert (delete.type, delete.kv.key, delete.kv.mod_revision) == (1, b"k", 4)

    story(tell)


def test_a_watch_from_the_past_is_caught_up_and_goes_on() -> None:
    def tell(world: World) -> Iterator[None]:
        for number in range(2500):
            world.put(b"k%d" % (number % 7), b"%d" % number)
        world.watch(key=b"k", range_end=b"l", start_revision=100)
        world.put(b"k0", b"live")
        yield
        world.put(b"k1", b"later")
        yield
        revisions = [event.kv.mod_revision for event in world.stream.events(0)]
        assert revisions == list(range(100, 2504))

    story(tell)


def test_the_events_of_a_transaction_come_together() -> None:
    def tell(world: World) -> Iterator[None]:
        puts = [pb.RequestOp(request_put=pb.PutRequest(key=b"k%d" % it)) for it in range(5)]
        world.watch(key=b"k", range_end=b"l")
        world.call("Txn", pb.TxnRequest(success=puts))
        yield
        assert [len(it.events) for it in world.stream.sent] == [0, 5]

    story(tell)


def test_previous_values_and_filters() -> None:
    def tell(world: World) -> Iterator[None]:
        world.put(b"k", b"old")
        world.watch(key=b"k", prev_kv=True, filters=[pb.WatchCreateRequest.NODELETE])
        world.watch(key=b"k", filters=[pb.WatchCreateRequest.NOPUT])
        world.put(b"k", b"new")
        world.delete(b"k")
        yield
        [put] = world.stream.events(0)
        assert put.prev_kv.value == b"old"
        [delete] = world.stream.events(1)
        assert delete.type == kv_pb2.Event.DELETE

    story(tell)


def test_compacted_revisions_cancel_with_the_compact_revision() -> None:
    def tell(world: World) -> Iterator[None]:
        for _ in range(10):
            world.put(b"k")
        world.compact(8)
        world.watch(key=b"k", start_revision=3)
        world.watch(key=b"k", start_revision=8)
        yield
        cancelled = [it for it in world.stream.sent if it.canceled]
        assert [(it.watch_id, it.compact_revision) for it in cancelled] == [(0, 8)]
        assert [it.kv.mod_revision for it in world.stream.events(1)] == [8, 9, 10, 11]

    story(tell)


def test_a_watch_in_the_future_waits() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k", start_revision=4)
        for _ in range(4):
            world.put(b"k")
        yield
        assert [it.kv.mod_revision for it in world.stream.events(0)] == [4, 5]

    story(tell)


def test_ids_cancel_and_progress() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k", watch_id=7)
        world.watch(key=b"k", watch_id=7)
        world.watch(key=b"b", range_end=b"a")
        world.handler.on_message(
            pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString()
        )
        world.handler.on_message(
            pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=7)).SerializeToString()
        )
        world.put(b"k")
        yield
        first, twice, empty, progress, cancelled = world.stream.sent
        assert first.created and first.watch_id == 7
        assert twice.canceled and "duplicate watch ID" in twice.cancel_reason
        assert empty.canceled
        assert progress.watch_id == -1 and not progress.events
        assert cancelled.canceled and cancelled.watch_id == 7
        assert world.services.watches.count == 0

    story(tell)


def test_a_client_that_does_not_read_is_served_from_history_later() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k")
        world.stream.pending_bytes = watch_module.STREAM_BYTES_MAX + 1
        for _ in range(30):
            world.put(b"k")
        yield
        assert world.stream.events(0) == []
        world.stream.pending_bytes = 0
        assert world.stream.on_drain is not None
        world.stream.on_drain()
        yield
        world.put(b"k")
        yield
        assert [it.kv.mod_revision for it in world.stream.events(0)] == list(range(2, 33))

    story(tell)


def test_who_is_woken_by_the_answer_to_another_misses_nothing() -> None:
    """HTTP/2 says that a stream has drained while it is being sent something."""

    def tell(world: World) -> Iterator[None]:
        world.put(b"k", b"1")
        world.put(b"k", b"2")
        stream = world.stream
        stream.pending_bytes = watch_module.STREAM_BYTES_MAX + 1
        world.watch(key=b"k", start_revision=2)
        stream.pending_bytes, send_all = 0, stream.send_all

        def send_and_drain(messages: Sequence[bytes]) -> None:
            send_all(messages)
            stream.drain()

        stream.send_all = send_and_drain  # type: ignore[method-assign]  # a test's stream
        world.watch(key=b"k", start_revision=2)
        yield
        for watch_id in (0, 1):
            assert [it.kv.value for it in stream.events(watch_id)] == [b"1", b"2"]

    story(tell)


def test_a_closed_stream_leaves_nothing() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k")
        world.watch(key=b"a", range_end=b"z", start_revision=1)
        world.handler.on_cancel()
        world.put(b"k")
        yield
        assert world.services.watches.count == 0
        assert not world.stream.events(0)

    story(tell)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "delete", "sweep", "compact", "watch", "fill", "turn"]),
            st.integers(0, 3),
        ),
        max_size=60,
    ),
    st.sampled_from([2, 3, 128]),
)
def test_every_watch_sees_every_event_once_or_is_cancelled(
    actions: list[tuple[str, int]], rows_max: int
) -> None:
    """Its stream fills and drains; what is read in one part of the pass is little, or much.

    A sweep deletes all keys that live, at one revision, as a long write.
    """

    def tell(world: World) -> Iterator[None]:
        history: list[tuple[int, bytes]] = []
        living: set[bytes] = set()
        starts: dict[int, int] = {}
        for what, number in actions:
            key = b"k%d" % number
            before = world.services.revision()
            written = [key]
            if what == "put":
                world.put(key)
                living.add(key)
            elif what == "delete":
                world.delete(key)
                living.discard(key)
            elif what == "sweep":
                world.delete(b"k", b"l")
                written = sorted(living)
                living.clear()
            elif what == "compact" and before - number > 1:
                compacted = world.services._mvcc.compacted(world.replica.view)
                if before - number > compacted:
                    world.compact(before - number)
            elif what == "watch":
                start = max(1, before - 2 * number)
                starts[len(starts)] = start
                world.watch(key=b"k", range_end=b"l", start_revision=start)
            elif what == "fill":
                world.stream.pending_bytes = watch_module.STREAM_BYTES_MAX + number
                world.stream.drain()
            else:
                yield
            if world.services.revision() > before:
                history += [(before + 1, it) for it in written]
        yield
        world.stream.pending_bytes = 0
        world.stream.drain()
        yield
        assert world.services.watches.behind_count == 0
        cancelled = {it.watch_id for it in world.stream.sent if it.canceled}
        for watch_id, start in starts.items():
            seen = [(it.kv.mod_revision, it.kv.key) for it in world.stream.events(watch_id)]
            if watch_id not in cancelled:
                assert seen == [it for it in history if it[0] >= start]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latecomers, "ROWS_MAX", rows_max)
        patch.setattr(latecomers, "HANDED_MAX", rows_max)
        patch.setattr(latecomers, "WORK_MAX", 2 * rows_max)
        patch.setattr(kv, "INLINE_ROWS_MAX", 0)
        patch.setattr(kv, "SLICE_ROWS", 2)
        story(tell)


@pytest.mark.pure("it counts lines")
def test_a_revision_of_many_keys_is_led_through_in_slices_and_told_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = 0
    turn = latecomers.Latecomers._turn

    def counted(behind: latecomers.Latecomers) -> None:
        nonlocal longest
        longest = max(longest, steps_of(lambda: turn(behind)))

    monkeypatch.setattr(latecomers.Latecomers, "_turn", counted)

    def tell(world: World) -> Iterator[None]:
        for number in range(5000):
            world.put(b"k%04d" % number)
        world.watch(key=b"k", range_end=b"l")
        world.watch(key=b"k0", range_end=b"k1", prev_kv=True)
        world.watch(key=b"k", range_end=b"l", fragment=True, start_revision=5000)
        world.watch(key=b"n")
        world.watch(key=b"k", range_end=b"l", start_revision=5003)
        yield
        world.delete(b"k", b"l")
        world.put(b"n")
        yield
        deleted = [(5002, b"k%04d" % number) for number in range(5000)]
        told = [
            [(it.kv.mod_revision, it.kv.key) for it in world.stream.events(watch_id)]
            for watch_id in range(5)
        ]
        assert told[0] == deleted
        assert told[1] == deleted[:1000]
        assert [it.prev_kv.mod_revision for it in world.stream.events(1)] == [*range(2, 1002)]
        assert told[2] == [(5000, b"k4998"), (5001, b"k4999"), *deleted]
        assert (told[3], told[4]) == ([(5003, b"n")], [])
        answers = [it for it in world.stream.sent if it.watch_id == 0 and it.events]
        assert len(answers) == 1, "a revision is not split"
        assert longest < 60_000
        assert world.services.watches.behind_count == 0

    story(tell)


def test_a_thousand_that_are_behind_cost_what_one_does() -> None:
    """Issue 14: 1,000 watches from revision 1 that matched nothing cost the leader its office."""

    def cost(watch_count: int) -> int:
        steps = Steps()

        async def main() -> None:
            world = World()
            for number in range(600):
                world.put(b"k%d" % number)
            for number in range(watch_count):
                first, start = b"n%d" % number, 1 + number % 7
                world.watch(key=first, range_end=first + b"0", start_revision=start)
            with steps:
                await until_idle()
            assert world.services.watches.behind_count == 0
            world.replica.close()

        run_virtually(main())
        return steps.count

    alone = cost(1)
    # Each is handed over and met on the way; the history is read and decoded once for all.
    assert cost(1000) < alone + 1000 * 200


def test_watchers_are_bounded() -> None:
    world = World(etcd.Limits(watchers_per_stream_max=2, watchers_max=3))
    try:
        for _ in range(3):
            world.watch(key=b"k")
        assert [it.canceled for it in world.stream.sent] == [False, False, True]
        assert world.stream.sent[-1].cancel_reason == "etcdserver: too many watchers"
        other = FakeStream()
        handler = watch_module.WatchStream(world.services.watches, other)
        create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"k"))
        for _ in range(2):
            handler.on_message(create.SerializeToString())
        assert [it.canceled for it in other.sent] == [False, True]
        world.handler.on_cancel()
        handler.on_message(create.SerializeToString())
        assert not other.sent[-1].canceled
    finally:
        world.replica.close()


def test_a_quiet_watcher_hears_how_far_it_has_come() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k", progress_notify=True)
        world.watch(key=b"k", watch_id=9)
        world.put(b"other")
        yield
        hub = world.services.watches
        hub.note_progress()
        progress = world.stream.sent[-1]
        assert (progress.watch_id, progress.header.revision, len(progress.events)) == (0, 2, 0)
        world.put(b"k")
        count = len(world.stream.sent)
        hub.note_progress()  # it has heard of the put
        assert len(world.stream.sent) == count
        hub.note_progress()
        assert world.stream.sent[-1].header.revision == 3

    story(tell)


def test_a_large_answer_comes_in_fragments_to_who_takes_them() -> None:
    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k", range_end=b"l", fragment=True)
        world.watch(key=b"k", range_end=b"l", watch_id=9)
        value = bytes(400_000)
        for number in range(3):
            world.put(b"k%d" % number, value)
        puts = [pb.PutRequest(key=b"k%d" % it, value=value) for it in range(3)]
        operations = [pb.RequestOp(request_put=it) for it in puts]
        world.call("Txn", pb.TxnRequest(success=operations))
        asked = {"fragment": True, "prev_kv": True, "start_revision": 5}
        world.watch(key=b"k", range_end=b"l", watch_id=5, **asked)
        yield
        whole = [it for it in world.stream.sent if it.watch_id == 9 and it.events]
        assert not any(it.fragment for it in whole)
        parts = [it for it in world.stream.sent if it.watch_id == 5 and it.events]
        assert [it.fragment for it in parts] == [True, True, False]
        assert all(it.ByteSize() < 1_600_000 for it in parts)
        for watch_id, count in ((0, 6), (5, 3), (9, 6)):
            assert len(world.stream.events(watch_id)) == count

    story(tell)


EDGES = st.sampled_from([b"", b"\0", b"a", b"ab", b"abc", b"b", b"\xff", b"\xff\xff", b"a\xff"])


@settings(max_examples=60 * SAMPLES, deadline=None)
@given(st.lists(st.tuples(EDGES, EDGES, st.booleans()), min_size=1, max_size=8), st.data())
def test_every_watcher_is_told_what_is_in_its_range(
    ranges: list[tuple[bytes, bytes, bool]], data: st.DataObject
) -> None:
    """Keys, prefixes and other ranges are looked up in different ways; the model looks at all."""
    world = World()

    async def run() -> None:
        wanted: dict[int, tuple[bytes, bytes]] = {}
        for number, (first, end, is_prefix) in enumerate(ranges, start=1):
            if is_prefix:
                end = prefix_end(first)
            if end not in (b"", b"\0") and end <= (first or b"\0"):
                continue
            world.watch(key=first, range_end=end, watch_id=number)
            wanted[number] = (first or b"\0", end)
        gone = data.draw(st.sets(st.sampled_from(sorted(wanted)))) if wanted else set()
        for number in gone:
            cancel = pb.WatchCancelRequest(watch_id=number)
            world.handler.on_message(pb.WatchRequest(cancel_request=cancel).SerializeToString())
            del wanted[number]
        keys = [b"a", b"ab", b"abcd", b"b", b"\0", b"\xff", b"\xff\xffx", b"a\xffz", b"c"]
        for key in keys:
            world.put(key)
        for number, (first, end) in wanted.items():
            expected = [
                key
                for key in keys
                if (key == first if not end else first <= key and (end == b"\0" or key < end))
            ]
            assert [it.kv.key for it in world.stream.events(number)] == expected
        for number in gone:
            assert not world.stream.events(number)
        world.handler.on_cancel()
        synced = world.services.watches._synced
        assert not synced and not list(synced) and not list(synced.candidates(b"key"))
        assert not synced._prefix_lengths

    try:
        asyncio.run(run())
    finally:
        world.replica.close()


def test_events_for_which_there_is_no_memory_are_served_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ended the member: what is applied is applied for all, and cannot be refused."""

    def starve(_index: WatcherIndex, _key: bytes) -> list[Watcher]:
        raise MemoryError

    def tell(world: World) -> Iterator[None]:
        world.watch(key=b"k")
        world.put(b"k", b"before")
        with monkeypatch.context() as short:
            short.setattr(WatcherIndex, "candidates", starve)
            world.put(b"k", b"meanwhile")
        world.put(b"k", b"behind")
        yield
        world.put(b"k", b"again")
        yield
        values = [event.kv.value for event in world.stream.events(0)]
        assert values == [b"before", b"meanwhile", b"behind", b"again"]

    story(tell)


def test_a_watch_has_so_many_filters_and_no_more() -> None:
    """A request has room for two million, each of which was looked at twice."""

    def tell(world: World) -> Iterator[None]:
        put = pb.WatchCreateRequest.NOPUT
        world.watch(key=b"k", filters=[put] * WATCH_FILTERS_MAX)
        yield
        world.watch(key=b"k", filters=[put] * (WATCH_FILTERS_MAX + 1))
        yield
        taken, refused = world.stream.sent
        assert (taken.created, taken.canceled) == (True, False)
        assert (refused.created, refused.canceled) == (True, True)
        assert refused.cancel_reason == "etcdserver: a watch has at most 16 filters"

    story(tell)
