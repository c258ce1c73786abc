"""Long reads: one state over many turns, a bound on how many, and an answer to all."""

import asyncio
from collections.abc import Iterator

import pytest

from roost.database.model import HeldViewLost, View
from roost.errors import Overloaded
from roost.etcd.model.costs import Costs
from roost.etcd.v2 import reads as reads_module
from roost.etcd.v2.reads import Reads, Write
from roost.memory import Memory
from roost.sim.members.loop import run_virtually, until_idle
from roost.store.held import STATES_MAX
from roost.tasks import Tasks
from tests.etcd.replica import LocalReplica

STEPS = 20


@pytest.fixture
def replica() -> Iterator[LocalReplica]:
    made = LocalReplica()
    yield made
    made.close()


def write_row(replica: LocalReplica, value: bytes) -> None:
    txn = replica.store.begin()
    txn.put(replica.store.tree("$v2").id, b"row", value)
    replica.store.apply(replica.store.applied_index + 1, txn.encode())


def long_read(
    replica: LocalReplica, steps: int = STEPS, taken: list[None] | None = None
) -> reads_module.Read:
    """Reads the same row again and again, and notes each step that it takes."""

    def read(view: View, write: Write) -> Costs[None]:
        for _ in range(steps):
            if taken is not None:
                taken.append(None)
            write(view.get(replica.store.tree("$v2").id, b"row") or b"-")
            yield 100

    return read


def test_a_short_read_is_answered_at_once_and_holds_nothing(replica: LocalReplica) -> None:
    async def story() -> None:
        reads = Reads(replica.store, Memory())
        assert await reads.read(long_read(replica, 2)) == b"--"
        assert (reads.count, reads.answers_bytes) == (0, 0)

    run_virtually(story())


def test_a_long_answer_comes_in_pieces_that_are_not_long(replica: LocalReplica) -> None:
    """Of 100,000 nodes it was 400,000 parts and 8 MiB that were joined in one step, 35 ms."""

    async def story() -> None:
        reads = Reads(replica.store, Memory())
        write_row(replica, b"a" * 1000)
        pieces = list(await reads.read_pieces(long_read(replica, 1000)))
        assert b"".join(pieces) == b"a" * 1_000_000
        most = reads_module.ANSWER_PIECE_BYTES + 1000
        assert max(map(len, pieces)) <= most
        assert len(pieces) <= 1_000_000 // reads_module.ANSWER_PIECE_BYTES + 1, "nor many"
        assert reads.answers_bytes == 0

    run_virtually(story())


def test_a_long_read_sees_one_state_whatever_is_written(replica: LocalReplica) -> None:
    async def story() -> None:
        reads, tasks = Reads(replica.store, Memory()), Tasks()
        write_row(replica, b"a")
        taken = list[None]()
        reading = tasks.start(reads.read(long_read(replica, taken=taken)))
        for steps, value in ((5, b"b"), (8, b"c")):
            while len(taken) < steps:
                await asyncio.sleep(0)
            write_row(replica, value)
        assert not reading.done()
        assert await reading == b"a" * STEPS
        assert (reads.count, reads.answers_bytes) == (0, 0)
        assert replica.store.held_views.count == 0

    run_virtually(story())


def test_who_finds_no_room_waits_and_is_answered(replica: LocalReplica) -> None:
    async def story() -> None:
        reads, tasks = Reads(replica.store, Memory()), Tasks()
        answers = []
        for number in range(3 * STATES_MAX):
            write_row(replica, b"%x" % number)
            answers.append(tasks.start(reads.read(long_read(replica, 1000))))
            while reads.count + reads.waiting_count < len(answers):
                await asyncio.sleep(0)
        assert replica.store.held_views.count == STATES_MAX
        await until_idle()
        assert [len(await it) for it in answers] == [1000] * len(answers)
        assert (reads.count, reads.answers_bytes) == (0, 0)

    run_virtually(story())


def test_too_many_are_refused(replica: LocalReplica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "READS_MAX", 2)

    async def story() -> None:
        reads, tasks = Reads(replica.store, Memory()), Tasks()
        running = [tasks.start(reads.read(long_read(replica))) for _ in range(2)]
        while reads.count < 2:
            await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await reads.read(long_read(replica))
        assert await reads.read(long_read(replica, 1)) == b"-"
        assert [len(await it) for it in running] == [STEPS] * 2

    run_virtually(story())


def test_answers_in_the_making_have_a_bound(
    replica: LocalReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_module, "ANSWERS_BYTES_MAX", STEPS // 2)

    async def story() -> None:
        reads = Reads(replica.store, Memory())
        with pytest.raises(Overloaded):
            await reads.read(long_read(replica))
        assert (reads.count, reads.answers_bytes) == (0, 0)
        assert replica.store.held_views.count == 0

    run_virtually(story())


def test_a_client_that_is_gone_costs_nothing_more(replica: LocalReplica) -> None:
    async def story() -> None:
        reads, tasks = Reads(replica.store, Memory()), Tasks()
        reading = tasks.start(reads.read(long_read(replica)))
        while not reads.count:
            await asyncio.sleep(0)
        await tasks.close()
        await until_idle()
        assert reading.cancelled()
        assert (reads.count, reads.answers_bytes) == (0, 0)
        assert replica.store.held_views.count == 0

    run_virtually(story())


def test_a_state_that_is_lost_is_begun_anew_and_not_for_ever(replica: LocalReplica) -> None:
    async def story() -> None:
        reads = Reads(replica.store, Memory())
        tasks = Tasks(lambda _: None)  # who awaits them is told
        reading = tasks.start(reads.read(long_read(replica)))
        while not reads.count:
            await asyncio.sleep(0)
        replica.store.held_views.lose_all("it is tried")
        assert len(await reading) == STEPS
        reading = tasks.start(reads.read(long_read(replica)))
        while not reading.done():
            replica.store.held_views.lose_all("it is tried")
            await asyncio.sleep(0)
        with pytest.raises(HeldViewLost):
            await reading
        assert (reads.count, reads.answers_bytes) == (0, 0)

    run_virtually(story())


def test_what_a_read_raises_comes_to_who_asked(replica: LocalReplica) -> None:
    def read(view: View, write: Write) -> Costs[None]:
        del view, write
        for _ in range(STEPS):
            yield 100
        raise ZeroDivisionError

    async def story() -> None:
        with pytest.raises(ZeroDivisionError):
            await Reads(replica.store, Memory()).read(read)

    run_virtually(story())


def test_what_begins_in_one_turn_shares_its_time_and_the_rest_is_begun_later(
    replica: LocalReplica,
) -> None:
    """Issue 14: a hundred reads that came at once had a millisecond each, in one turn."""

    async def story() -> None:
        reads, taken, found = Reads(replica.store, Memory()), list[None](), list[bytes | None]()

        def begin() -> None:
            found.append(reads.read_now(long_read(replica, 2, taken)))

        for _ in range(50):
            reads.when_turn(begin)
        # The last of a turn may go beyond what is left.
        most = reads_module.INLINE_COST // 100 + 2
        assert len(taken) <= most
        while reads.unbegun_count:
            before = len(taken)
            await asyncio.sleep(0)
            assert len(taken) - before <= most
        assert found == [b"--"] * 50

    run_virtually(story())
