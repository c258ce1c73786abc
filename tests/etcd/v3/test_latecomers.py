"""Those that are behind share one pass: each record read once, each told in order, none twice."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.call import StreamCall
from roost.etcd.v3 import latecomers
from roost.etcd.v3.latecomers import HANDED_MAX, OFFERS_MAX, ROWS_MAX, WORK_MAX, Latecomers
from roost.etcd.v3.watchers import Event, Watcher, WatcherIndex
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle, virtual_loop
from tests.etcd.v3.test_watch import FakeStream, World
from tests.samples import SAMPLES
from tests.steps import steps_of

EVERYTHING = (b"k", b"l")
# What `Passage` adds to a turn: the rest of a slice that was begun within its bound.
TURN_MAX = 2 * WORK_MAX + ROWS_MAX


@dataclass(frozen=True)
class Seen:
    """One change, as a watcher was told of it."""

    revision: int
    key: bytes


class Reader(FakeStream):
    """A stream whose client reads `room` answers and then no more."""

    behind: Latecomers

    def __init__(self, room: int = 1 << 30) -> None:
        super().__init__()
        self.room = room
        self.answers: list[list[Seen]] = []
        self.gone: list[int] = []
        self.failures: list[Exception] = []
        self.is_over = False
        self.breaks: Exception | None = None
        self.on_told: Callable[[], None] = lambda: None
        self.call: StreamCall = self

    def send_all(self, messages: Sequence[bytes]) -> None:
        if self.breaks is not None:
            raise self.breaks
        super().send_all(messages)
        self.on_told()

    def send(self, message: bytes) -> None:
        self.room -= 1
        words = [it.split(b" ") for it in message.split(b"\n")]
        self.answers.append([Seen(int(revision), key) for revision, key in words])

    @property
    def has_room(self) -> bool:
        return self.room > 0

    @property
    def seen(self) -> list[Seen]:
        return [it for answer in self.answers for it in answer]

    def note_progress(self, watcher: Watcher) -> None:
        raise AssertionError("only those that have caught up are told of progress")

    def cancel_denied(self, watcher: Watcher) -> None:
        raise AssertionError("nobody asks for rights here")

    def cancel_compacted(self, watcher: Watcher, compacted: int) -> None:
        self.gone.append(compacted)
        self.behind.discard(watcher)  # as the hub does when it removes one

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.is_over = True


class Hub:
    """Whoever has caught up, and answers that a test can read."""

    behind: Latecomers

    def __init__(self) -> None:
        self.synced: list[Watcher] = []
        self.event_count = 0

    def rows(self, watcher: Watcher, events: list[Event]) -> list[bytes]:
        del watcher
        self.event_count += len(events)
        return [b"%d %b" % (it.main, it.key) for it in events]

    def units(self, watcher: Watcher, event: Event) -> int:
        del watcher
        return event.units

    def answers_of(self, watcher: Watcher, rows: list[bytes], revision: int) -> list[bytes]:
        del watcher, revision
        return [b"\n".join(rows)]

    def answers(self, watcher: Watcher, events: list[Event], revision: int) -> list[bytes]:
        return self.answers_of(watcher, self.rows(watcher, events), revision)

    def is_asked(self, watcher: Watcher) -> bool:
        return watcher.rights_number == 0

    def sync(self, watcher: Watcher) -> None:
        assert watcher not in self.behind, "told by two"
        self.synced.append(watcher)


class Story:
    """A replica with a history, its latecomers, and how many records they have read."""

    def __init__(self) -> None:
        self.world = World()
        self.hub = Hub()
        self.behind = Latecomers(self.hub, self.world.services.watches.desk)
        self.hub.behind = self.behind
        self.history: list[Seen] = []
        self._living: set[bytes] = set()

    @property
    def revision(self) -> int:
        return self.world.services.revision()

    def put(self, key: bytes) -> None:
        self.world.put(key)
        self._living.add(key)
        self.history.append(Seen(self.revision, key))

    def delete_all(self) -> None:
        """One revision with a record of each key that lives."""
        if self._living:
            self.world.delete(*EVERYTHING)
            self.history += [Seen(self.revision, it) for it in sorted(self._living)]
            self._living.clear()

    def watch(
        self, stream: Reader, start: int, key: bytes = b"k", range_end: bytes = b"l"
    ) -> Watcher:
        stream.behind = self.behind
        watcher = Watcher(stream, pb.WatchCreateRequest(key=key, range_end=range_end))
        watcher.next_revision = start
        self.behind.add(watcher)
        return watcher

    def due(self, watcher: Watcher, start: int) -> list[Seen]:
        """What a watcher is owed from a revision on, by the dumbest reading of history."""
        first, end = watcher.first, watcher.range_end or watcher.first + b"\0"
        return [it for it in self.history if it.revision >= start and first <= it.key < end]


def story(tell: Callable[[Story], Iterator[None]]) -> None:
    """Run a test as a generator; each yield lets the loop turn until nothing moves."""

    async def main() -> None:
        told = Story()
        try:
            for _ in tell(told):
                await until_idle()
        finally:
            told.world.replica.close()

    run_virtually(main())


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every record that the pass decodes."""
    names: list[bytes] = []

    class Counted(Event):
        __slots__ = ()

        def __init__(self, revision: bytes, encoded: bytes) -> None:
            names.append(revision)
            super().__init__(revision, encoded)

    monkeypatch.setattr(latecomers, "Event", Counted)
    return names


def test_a_thousand_from_one_revision_cost_the_reading_of_one(
    decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(it: Story) -> Iterator[None]:
        for number in range(20):
            it.put(b"k%d" % number)
        handed: list[int] = []
        turn = it.behind._turn

        def counted() -> None:
            before = len(it.hub.synced)
            turn()
            handed.append(len(it.hub.synced) - before)

        monkeypatch.setattr(it.behind, "_turn", counted)
        readers = [Reader() for _ in range(1000)]
        for number, reader in enumerate(readers):
            it.watch(reader, 2, key=b"k%d" % (number % 20), range_end=b"")
        yield
        assert len(decoded) <= 2 * 20, "a slice is read again only where it was too much to ask"
        assert all(len(reader.seen) == 1 for reader in readers)
        assert sum(handed) == 1000
        assert max(handed) <= WORK_MAX, "those that have caught up leave in parts, too"

    story(tell)


def test_those_from_many_revisions_come_together_on_the_way(decoded: list[bytes]) -> None:
    """Each record is read for all that stand before it, not once for each of them."""

    def tell(it: Story) -> Iterator[None]:
        for number in range(100):
            it.put(b"k%d" % number)
        readers = [Reader() for _ in range(100)]
        for number, reader in enumerate(readers):
            it.watch(reader, 2 + number, key=b"k99", range_end=b"")
        yield
        assert len(decoded) == len(it.history)
        assert [reader.seen for reader in readers] == [[it.history[-1]]] * 100

    story(tell)


def test_a_revision_is_one_answer_though_it_is_longer_than_a_slice() -> None:
    def tell(it: Story) -> Iterator[None]:
        for number in range(3 * ROWS_MAX):
            it.put(b"k%03d" % number)
        it.delete_all()
        deleted = it.revision
        it.put(b"k")
        one, other = Reader(), Reader()
        it.watch(one, deleted)
        it.watch(other, deleted, key=b"k00", range_end=b"k01")
        yield
        keys = [b"k%03d" % number for number in range(3 * ROWS_MAX)]
        assert [seen.key for seen in one.answers[0]] == keys
        assert [seen.key for seen in other.answers[0]] == keys[:10]
        assert one.seen[-1] == Seen(deleted + 1, b"k")
        assert len(other.answers) == 1

    story(tell)


def test_a_revision_at_the_end_of_a_slice_is_left_whole_to_the_next() -> None:
    def tell(it: Story) -> Iterator[None]:
        for number in range(ROWS_MAX - 1):
            it.put(b"k%03d" % number)
        it.delete_all()
        reader = Reader()
        it.watch(reader, 2)
        yield
        assert reader.seen == it.history
        assert [len(answer) for answer in reader.answers] == [ROWS_MAX - 1, ROWS_MAX - 1]

    story(tell)


@pytest.mark.parametrize("is_long", [False, True], ids=["short revisions", "one long revision"])
def test_no_turn_reads_or_tells_more_than_its_part(
    decoded: list[bytes], monkeypatch: pytest.MonkeyPatch, *, is_long: bool
) -> None:
    turns: list[int] = []

    def tell(it: Story) -> Iterator[None]:
        for number in range(4 * ROWS_MAX):
            it.put(b"k%03d" % number)
        start = 2
        if is_long:
            it.delete_all()
            start = it.revision
        readers = [Reader() for _ in range(30)]
        for reader in readers:
            it.watch(reader, start)
        turn = it.behind._turn

        def counted() -> None:
            before = len(decoded) + it.hub.event_count
            turn()
            turns.append(len(decoded) + it.hub.event_count - before)

        monkeypatch.setattr(it.behind, "_turn", counted)
        it.watch(Reader(), start)
        yield
        assert all(len(reader.seen) == 4 * ROWS_MAX for reader in readers)
        assert len(turns) > 30 * 4 * ROWS_MAX // TURN_MAX
        assert max(turns) <= TURN_MAX

    story(tell)


def test_records_of_large_values_are_read_a_few_at_a_time(
    decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 14: 128 of them, of a megabyte each, were one step."""
    turns: list[int] = []

    def tell(it: Story) -> Iterator[None]:
        for number in range(40):
            it.world.put(b"k%03d" % number, b"v" * (1 << 19))
        reader = Reader()
        turn = it.behind._turn

        def counted() -> None:
            before = len(decoded)
            turn()
            turns.append(len(decoded) - before)

        monkeypatch.setattr(it.behind, "_turn", counted)
        it.watch(reader, 2)
        yield
        assert [seen.key for seen in reader.seen] == [b"k%03d" % it for it in range(40)]
        assert 0 < max(turns) <= 10
        assert sum(turns) < 90, "and none is read again and again"

    story(tell)


def test_who_has_no_room_rests_and_goes_on_where_it_left() -> None:
    def tell(it: Story) -> Iterator[None]:
        it.put(b"k1")
        it.put(b"k2")
        slow, quick = Reader(room=0), Reader()
        watcher = it.watch(slow, 2)
        it.watch(quick, 2)
        yield
        assert (slow.seen, quick.seen) == ([], it.history)
        assert watcher in it.behind
        it.put(b"k3")
        it.behind.resume(slow)
        yield
        assert slow.seen == [], "it still has no room"
        slow.room = 1 << 30
        it.behind.resume(slow)
        yield
        assert slow.seen == it.history
        assert watcher not in it.behind

    story(tell)


def test_many_watches_of_a_client_that_reads_again_go_on_over_turns() -> None:
    """Issue 14: ten thousand watches of one stream went on in the step in which it drained."""

    def tell(it: Story) -> Iterator[None]:
        it.put(b"k1")
        slow = Reader(room=0)
        watchers = [it.watch(slow, 2) for _ in range(3 * HANDED_MAX)]
        slow.room = 1 << 30
        assert steps_of(lambda: it.behind.resume(slow)) < 40 * HANDED_MAX
        it.behind.discard(watchers[0])  # it rests still, and is gone
        it.behind.resume(slow)
        yield
        assert len(slow.answers) == len(watchers) - 1
        assert len(it.behind) == 0

    story(tell)


def test_room_that_goes_on_the_way_is_seen_before_anything_is_sent() -> None:
    """Two watches of one stream: the first answer fills it, the second waits, nothing is lost."""

    def tell(it: Story) -> Iterator[None]:
        it.put(b"k1")
        it.put(b"k2")
        narrow = Reader(room=1)
        watchers = [it.watch(narrow, 2), it.watch(narrow, 3)]
        yield
        assert len(narrow.answers) == 1
        assert sum(watcher in it.behind for watcher in watchers) >= 1
        narrow.room = 1 << 30
        it.behind.resume(narrow)
        yield
        assert sorted(narrow.seen, key=lambda seen: seen.revision) == [
            it.history[0], it.history[1], it.history[1],
        ]  # fmt: skip

    story(tell)


def test_who_needs_what_was_compacted_is_told_so_and_others_are_served() -> None:
    def tell(it: Story) -> Iterator[None]:
        for number in range(6):
            it.put(b"k%d" % number)
        it.world.compact(5)
        early = [Reader() for _ in range(HANDED_MAX + 1)]
        for reader in early:
            it.watch(reader, 2)
        late, at_it = Reader(), Reader()
        it.watch(late, 6)
        it.watch(at_it, 5)
        yield
        assert [reader.gone for reader in early] == [[5]] * (HANDED_MAX + 1)
        assert (late.seen, at_it.seen) == (it.history[4:], it.history[3:])
        assert len(it.behind) == 0

    story(tell)


def test_what_is_compacted_while_it_is_read_is_not_told_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latecomers, "WORK_MAX", 1)

    def tell(it: Story) -> Iterator[None]:
        for number in range(3 * ROWS_MAX):
            it.put(b"k%03d" % number)
        it.delete_all()
        start = it.revision
        it.put(b"k")
        reader = Reader()
        it.watch(reader, start)
        # Between the first turn, which begins to read, and the second.
        virtual_loop().call_soon(it.world.compact, it.revision)
        yield
        assert (reader.gone, reader.seen) == ([it.revision], [])

    story(tell)


@pytest.mark.parametrize("is_long", [False, True], ids=["short revisions", "one long revision"])
def test_who_leaves_when_it_is_told_has_been_told_all_of_it(*, is_long: bool) -> None:
    """Others of its party are yet to be told: where they stand is not where it does."""

    def tell(it: Story) -> Iterator[None]:
        for number in range(2 * ROWS_MAX):
            it.put(b"k%03d" % number)
        start = it.revision
        if is_long:
            it.delete_all()
            start = it.revision
        places: list[int] = []

        def leave() -> None:
            for watcher in watchers:
                if watcher.stream.call.answers and watcher in it.behind:  # type: ignore[attr-defined]  # a reader
                    it.behind.discard(watcher)
                    places.append(watcher.next_revision)

        readers = [Reader() for _ in range(3)]
        for reader in readers:
            reader.on_told = leave
        watchers = [it.watch(reader, start) for reader in readers]
        yield
        assert places == [it.revision + 1] * 3

    story(tell)


def test_a_stream_that_cannot_be_told_ends_alone() -> None:
    def tell(it: Story) -> Iterator[None]:
        it.put(b"k")
        broken, whole = Reader(), Reader()
        broken.breaks = ConnectionResetError("gone")
        it.watch(broken, 2)
        it.watch(whole, 2)
        yield
        assert broken.failures == [broken.breaks]
        assert whole.seen == it.history

    story(tell)


def test_who_begins_later_than_now_is_handed_over_and_still_does() -> None:
    """It joins those at the next revision; what it asked for is not forgotten."""

    def tell(it: Story) -> Iterator[None]:
        it.put(b"k")
        early, late = it.watch(Reader(), 3), it.watch(Reader(), 50)
        yield
        assert set(it.hub.synced) == {early, late}
        assert (early.next_revision, late.next_revision) == (3, 50)

    story(tell)


def test_a_whole_index_is_taken_over_at_a_revision() -> None:
    """Who gave it away never told them of that revision, whatever they remember."""

    def tell(it: Story) -> Iterator[None]:
        for number in range(3):
            it.put(b"k%d" % number)
        index = WatcherIndex()
        readers = [Reader() for _ in range(3)]
        for reader in readers:
            index.add(Watcher(reader, pb.WatchCreateRequest(key=b"k", range_end=b"l")))
        it.behind.add_all(index, 3)
        assert len(it.behind) == 3
        yield
        assert [reader.seen for reader in readers] == [it.history[1:]] * 3
        assert len(it.hub.synced) == 3

    story(tell)


def test_many_that_want_much_are_offered_a_part_and_told_much_at_a_time() -> None:
    """What is offered at once is bounded in records times watchers: 16,000 here, not 40,000."""

    def tell(it: Story) -> Iterator[None]:
        for number in range(100):
            it.put(b"k%d" % number)
        readers = [Reader() for _ in range(400)]
        for reader in readers:
            it.watch(reader, 2)
        yield
        assert all(reader.seen == it.history for reader in readers)
        longest = max(len(answer) for reader in readers for answer in reader.answers)
        assert OFFERS_MAX // 400 - 1 <= longest <= OFFERS_MAX // 400

    story(tell)


RANGES = ((b"k1", b""), (b"k2", b""), (b"k", b"l"), (b"k1", b"k3"), (b"k2", b"k9"))


WHAT = ("put", "put", "delete", "watch", "watch", "drain", "leave", "turn")
NUMBERS = st.integers(0, 9)


@settings(max_examples=80 * SAMPLES, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WHAT), NUMBERS, NUMBERS), max_size=40),
    st.sampled_from([(1, 1, 1), (4, 3, 6), (400, 128, 16_000)]),
    st.integers(0, 3),
)
def test_each_is_told_whole_revisions_in_order_and_leaves_where_it_stands(
    actions: list[tuple[str, int, int]], bounds: tuple[int, int, int], room: int
) -> None:
    def tell(it: Story) -> Iterator[None]:
        watching: list[tuple[Watcher, Reader, int]] = []
        for what, number, back in actions:
            if what == "turn":
                yield
            elif what == "put":
                it.put(b"k%d" % number)
            elif what == "delete":
                it.delete_all()
            elif what == "watch":
                reader, start = Reader(room), max(1, it.revision + 1 - back)
                watcher = it.watch(reader, start, *RANGES[number % len(RANGES)])
                watching.append((watcher, reader, start))
            elif watching:
                watcher, reader, start = watching[number % len(watching)]
                if what == "drain":
                    reader.room += 2
                    it.behind.resume(reader)
                else:
                    it.behind.discard(watcher)
                    # What it has not been sent is exactly what `next_revision` says.
                    due = it.due(watcher, start)
                    assert reader.seen == [
                        seen for seen in due if seen.revision < watcher.next_revision
                    ]
        for _, reader, _ in watching:
            reader.room = 1 << 30
            it.behind.resume(reader)
        yield
        assert len(it.behind) == 0
        for watcher, reader, start in watching:
            due = [seen for seen in it.due(watcher, start) if seen.revision < watcher.next_revision]
            assert (reader.seen, reader.failures) == (due, [])
            # Handed over, it stands behind all that was there when it was.
            ends = [answer[-1].revision for answer in reader.answers]
            assert sorted(set(ends)) == ends, "an answer splits no revision"

    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("WORK_MAX", "ROWS_MAX", "OFFERS_MAX"), bounds, strict=True):
            patch.setattr(latecomers, name, value)
        story(tell)
