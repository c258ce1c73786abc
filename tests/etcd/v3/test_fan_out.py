"""An event that very many want: told in slices over turns, in order, once; nobody else waits."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.call import StreamCall
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.v3 import latecomers, watch_hub
from roost.etcd.v3 import watch as watch_module
from roost.etcd.v3.watch import WatchStream
from roost.etcd.v3.watchers import Event, Watcher, WatcherIndex
from roost.proto import rpc_pb2 as pb
from roost.store import View
from tests.etcd.v3.test_watch import FakeStream, World, story
from tests.samples import SAMPLES
from tests.steps import skip_where_compiled, steps_of

MANY = 5000
# About five milliseconds' worth.
STEP_LINES_MAX = 60_000


class Crowd:
    """Streams of one world, each with its own watchers."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.streams = [FakeStream() for _ in range(count)]
        self.handlers = [WatchStream(world.services.watches, it) for it in self.streams]

    def watch(self, number: int, **fields: object) -> None:
        create = pb.WatchCreateRequest(**fields)  # type: ignore[arg-type]  # a test's fields
        request = pb.WatchRequest(create_request=create)
        self.handlers[number].on_message(request.SerializeToString())


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of each turn of those that are behind."""
    skip_where_compiled()
    turns: list[int] = []
    turn = latecomers.Latecomers._turn

    def counted(behind: latecomers.Latecomers) -> None:
        turns.append(steps_of(lambda: turn(behind)))

    monkeypatch.setattr(latecomers.Latecomers, "_turn", counted)
    return turns


def test_what_five_thousand_watch_is_told_in_slices_and_others_hear_at_once(
    longest: list[int],
) -> None:
    def tell(world: World) -> Iterator[None]:
        crowd = Crowd(world, 50)
        for number in range(MANY):
            crowd.watch(number % 50, key=b"hot")
        world.watch(key=b"cold")
        yield
        longest.clear()
        assert steps_of(lambda: world.put(b"hot", b"1")) < STEP_LINES_MAX
        world.put(b"cold")
        assert [it.kv.key for it in world.stream.events(0)] == [b"cold"], "before a turn has passed"
        world.put(b"hot", b"2")
        yield
        for stream in crowd.streams:
            for watch_id in range(MANY // 50):
                assert [it.kv.value for it in stream.events(watch_id)] == [b"1", b"2"]
        assert max(longest) < STEP_LINES_MAX
        hub = world.services.watches
        assert (hub.behind_count, hub.fanned_out_count) == (0, MANY)
        # They are synced again, and the next is told them as well.
        world.put(b"hot", b"3")
        yield
        assert [it.kv.value for it in crowd.streams[7].events(3)] == [b"1", b"2", b"3"]

    story(tell)


@pytest.mark.parametrize(("prev_kv", "size"), [(False, 1 << 20), (True, 1 << 20), (True, 1)])
def test_a_large_event_is_told_to_few_in_a_step_and_made_once(*, prev_kv: bool, size: int) -> None:
    """Issue 14: a megabyte was copied for 400 in one step, what was before looked up for each."""
    looked, sent = list[bytes](), list[int]()

    def tell(world: World) -> Iterator[None]:
        world.put(b"hot", b"v" * (1 << 20))
        crowd = Crowd(world, 30)
        for number in range(30):
            crowd.watch(number, key=b"hot", prev_kv=prev_kv)
        yield
        honest, turn = Mvcc.before, latecomers.Latecomers._turn

        def before(mvcc: Mvcc, view: View, key: bytes, main: int) -> bytes | None:
            looked.append(key)
            return honest(mvcc, view, key, main)

        def told() -> int:
            return sum(bool(it.events(0)) for it in crowd.streams)

        def counted(behind: latecomers.Latecomers) -> None:
            told_before = told()
            turn(behind)
            sent.append(told() - told_before)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Mvcc, "before", before)
            patch.setattr(latecomers.Latecomers, "_turn", counted)
            world.put(b"hot", b"w" * size)
            assert told() <= 3
            yield
        assert told() == 30
        assert max(sent) <= 4
        # Once for all who are behind, and once for those few who are told at once, if there are.
        assert looked == [b"hot"] * ((2 if size == 1 else 1) if prev_kv else 0)

    story(tell)


def test_many_that_catch_up_with_much_are_sent_much_at_a_time(longest: list[int]) -> None:
    """They are asked and told in slices; answers have many events all the same."""

    def tell(world: World) -> Iterator[None]:
        for number in range(200):
            world.put(b"k%d" % number)
        crowd = Crowd(world, 20)
        for number in range(400):
            crowd.watch(number % 20, key=b"k", range_end=b"l", start_revision=2)
        yield
        assert max(longest) < STEP_LINES_MAX
        for stream in crowd.streams:
            for watch_id in range(20):
                told = [it.kv.mod_revision for it in stream.events(watch_id)]
                assert told == list(range(2, 202))
        answers = [it for it in crowd.streams[0].sent if it.watch_id == 0 and it.events]
        assert len(answers) <= 1 + 200 * 400 // latecomers.OFFERS_MAX

    story(tell)


RANGES = (
    {"key": b"k1"},
    {"key": b"k2"},
    {"key": b"k", "range_end": b"l"},
    {"key": b"k1", "range_end": b"k3"},
    {"key": b"k2", "range_end": b"k9"},
    {"key": b"", "range_end": b"\0"},
    {"key": b"k1", "prev_kv": True},
)
STREAMS = 3
ACTIONS = st.sampled_from(
    ["put", "put", "put", "txn", "delete", "watch", "watch", "fill", "drain", "close", "turn"]
)


def in_range(fields: dict[str, object], key: bytes) -> bool:
    first, end = fields["key"], fields.get("range_end", b"")
    assert isinstance(first, bytes)
    assert isinstance(end, bytes)
    if not end:
        return key == first
    return first <= key and (end == b"\0" or key < end)


class Model:
    """What was written, and who should be told of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.crowd = Crowd(world, STREAMS)
        self.history: list[tuple[int, bytes]] = []
        self.watching: dict[tuple[int, int], tuple[int, dict[str, object]]] = {}
        self.closed: set[int] = set()
        self._living: set[bytes] = set()

    def write(self, what: str, number: int) -> None:
        before, key = self.world.services.revision(), b"k%d" % number
        written = [key]
        if what == "put":
            self.world.put(key)
        elif what == "txn":
            written = [key, b"k9"]
            puts = [pb.RequestOp(request_put=pb.PutRequest(key=it)) for it in written]
            self.world.call("Txn", pb.TxnRequest(success=puts))
        else:
            written = sorted(it for it in self._living if it >= key)
            self.world.delete(key, b"l")
        if self.world.services.revision() > before:
            self.history += [(before + 1, it) for it in written]
        self._living = (self._living - set(written)) | (set(written) if what != "delete" else set())

    def watch(self, stream: int, number: int) -> None:
        fields = dict(RANGES[number])
        start = max(1, self.world.services.revision() + 1 - number)
        self.crowd.watch(stream, **fields, start_revision=start)
        self.watching[stream, sum(it == stream for it, _ in self.watching)] = (start, fields)

    def listen(self, what: str, stream: int) -> None:
        one = self.crowd.streams[stream]
        if what == "close":
            self.crowd.handlers[stream].on_cancel()
            self.closed.add(stream)
        else:
            one.pending_bytes = watch_module.STREAM_BYTES_MAX + 1 if what == "fill" else 0
            one.drain()

    def check(self) -> None:
        hub = self.world.services.watches
        assert hub.behind_count == 0
        assert hub.count == sum(stream not in self.closed for stream, _ in self.watching)
        for (stream, watch_id), (start, fields) in self.watching.items():
            events = self.crowd.streams[stream].events(watch_id)
            seen = [(it.kv.mod_revision, it.kv.key) for it in events]
            due = [it for it in self.history if it[0] >= start and in_range(fields, it[1])]
            assert seen == (due[: len(seen)] if stream in self.closed else due)


@pytest.mark.slow
@settings(max_examples=60 * SAMPLES, deadline=None)
@given(
    st.lists(st.tuples(ACTIONS, st.integers(0, 6)), max_size=50),
    st.sampled_from([(0, 0, 1), (2, 1, 3), (400, 50, 400)]),
)
def test_whoever_watches_what_is_told_each_event_once_in_order(
    actions: list[tuple[str, int]], bounds: tuple[int, int, int]
) -> None:
    def tell(world: World) -> Iterator[None]:
        model = Model(world)
        for what, number in actions:
            stream = 0 if what == "close" else number % STREAMS
            if what == "turn":
                yield
            elif what in ("put", "txn", "delete"):
                model.write(what, number)
            elif stream in model.closed:
                continue
            elif what == "watch":
                model.watch(stream, number)
            else:
                model.listen(what, stream)
        for stream in set(range(STREAMS)) - model.closed:
            model.listen("drain", stream)
        yield
        model.check()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch_hub, "FAN_OUT_MAX", bounds[0])
        patch.setattr(watch_hub, "CROWD_MAX", bounds[1])
        patch.setattr(latecomers, "WORK_MAX", bounds[2])
        patch.setattr(latecomers, "OFFERS_MAX", 2 * bounds[2])
        story(tell)


@given(
    st.lists(st.integers(0, len(RANGES) - 1), max_size=30),
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
    st.integers(0, 4),
)
def test_a_crowd_is_taken_out_of_the_index_and_the_rest_is_found_as_before(
    kinds: list[int], keys: list[int], crowd: int
) -> None:
    index, stream = WatcherIndex(), FakeListener()
    for kind in kinds:
        request = pb.WatchCreateRequest(**RANGES[kind])
        index.add(Watcher(stream, request))
    events = [_event(b"k%d" % it) for it in keys]
    everybody = set(index)
    offers = [it for event in events for it in index.candidates(event.key)]
    assert index.weight(events, 1000) == len(offers)
    assert index.weight(events, 2) == min(2, len(offers))
    taken = index.take_for(events, crowd)
    assert set(taken) | set(index) == everybody
    assert not set(taken) & set(index)
    assert (len(taken), len(index)) == (len(set(taken)), len(set(index)))
    if not crowd:
        assert not [it for event in events for it in index.candidates(event.key)]
    for part in (taken, index):
        for key in (b"k%d" % it for it in range(10)):
            found = list(part.candidates(key))
            assert set(found) == {it for it in part if it.wants(_event(key))}
        for watcher in list(part):
            part.discard(watcher)
        assert len(part) == 0


class FakeListener:
    """Whoever is never told anything."""

    is_over = False
    has_room = True

    def __init__(self) -> None:
        self.call: StreamCall = FakeStream()

    def note_progress(self, watcher: Watcher) -> None: ...
    def cancel_compacted(self, watcher: Watcher, compacted: int) -> None: ...
    def cancel_denied(self, watcher: Watcher) -> None: ...
    def fail(self, error: Exception) -> None: ...


def _event(key: bytes) -> Event:
    kv = pb.RangeResponse().kvs.add(key=key, mod_revision=1, create_revision=1, version=1)
    return Event(bytes(7) + b"\1" + bytes(8), kv.SerializeToString())
