"""Members that count: alone, cut off, killed, copied, named wrongly; in virtual time."""

from copy import deepcopy
from pathlib import Path

import pytest

from roost.counters import facts, work
from roost.counters.counting import REOPEN_S
from roost.counters.environment import MemoryTrees
from roost.counters.errors import (
    BadCounterName,
    CounterStoreError,
    CounterStoreFull,
    NotReady,
    OwnerForked,
    OwnerRefused,
)
from roost.counters.joining import Phase
from roost.counters.pace import QUICK_ROWS_MAX
from roost.counters.ports import State
from roost.counters.requests import CHANGES_MAX, Request
from roost.errors import OutcomeUnknown, Stopped
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting
from tests.counters.stores import FailingTrees

# What a few turns of the loop take in virtual time.
TURNS_S = 5e-5


def test_every_member_counts_and_all_read_the_sum(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        for position in range(3):
            values = await cluster.desk(position).increment([("a", position + 1), ("b", -1)])
            assert values[0] is not None
        await cluster.until_all_read({"a": 6, "b": -3, "none": None})
        await cluster.until_known()
        [parts] = await cluster.desk(0).read_raw(["a"])
        assert parts == {"m0": 1, "m1": 2, "m2": 3}
        assert await cluster.desk(1).delete(["a"]) == [6]
        await cluster.until_all_read({"a": None, "b": -3})

    run_counting(tmp_path, story)


def test_nothing_is_there_before_somebody_counts(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.quiet()
        await pass_time(2.0)
        assert await cluster.desk(0).read(["a"]) == [None]
        assert await cluster.desk(0).read_raw(["a"]) == [{}]
        assert (await cluster.desk(0).search("")).rows == []
        with pytest.raises(BadCounterName):
            await cluster.desk(0).read(["\n"])
        assert {cluster.at(it).state for it in range(3)} == {State.ABSENT}
        assert facts.read(cluster.members[0].store, cluster.members[0].view) is None

    run_counting(tmp_path, story)


def test_a_member_that_is_cut_off_counts_durably(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        cluster.isolate(2)
        await cluster.until(lambda: cluster.members[2].leader_id == 0)
        assert await cluster.desk(2).increment([("a", 10)]) == [11]
        assert await cluster.desk(0).increment([("a", 100)]) == [101]
        # The process of the member that nobody reaches is gone; what it told is not.
        cluster.crash(2)
        await cluster.start(2)
        await cluster.until(lambda: cluster.read(2, ["a"]) == [11])
        await cluster.desk(2).increment([("a", 1000)])
        await pass_time(60)
        cluster.heal()
        await pass_time(5.0)  # as long as peers may take to dial again
        assert [cluster.read(it, ["a"]) for it in range(3)] == [[1111]] * 3

    run_counting(tmp_path, story)


def test_a_retry_at_the_same_member_counts_once(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        request = Request(b"key", 7, 0.0)
        assert await cluster.desk(0).increment([("a", 5)], request) == [5]
        await cluster.stop(0)
        await cluster.start(0)
        assert await cluster.desk(0).increment([("a", 5)], request) == [5]
        await cluster.until_all_read({"a": 5})

    run_counting(tmp_path, story)


@pytest.mark.pure("it replaces a method")
def test_a_request_of_thousands_takes_many_turns_and_is_in_one_step(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        counting, desk = cluster.at(0), cluster.desk(0)
        await desk.increment([("a", 1)])
        turns = []
        take_turn = counting.work.take_turn
        slices = work.CHANGES_A_TURN

        def counted(store: object) -> None:
            before = counting.store.version if counting.store else 0
            take_turn(counting.store)  # type: ignore[arg-type]  # it is open
            turns.append((before, counting.work.is_amid))

        counting.work.take_turn = counted  # type: ignore[method-assign]  # to listen
        values = await desk.increment([(f"n{it:05}", 1) for it in range(CHANGES_MAX)])
        assert values == [1] * CHANGES_MAX
        amid = [it for it in turns if it[1]]
        assert len(amid) >= 3 * CHANGES_MAX / slices - 1
        assert counting.counts.steps <= 6
        rows = (await desk.search("n", limit=CHANGES_MAX)).rows
        assert len(rows) == CHANGES_MAX

    run_counting(tmp_path, story, size=1)


def test_a_copied_directory_is_found_out_by_name(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        for position in range(3):
            await cluster.desk(position).increment([("a", 1)])
        await cluster.until_all_read({"a": 3})
        await cluster.stop(2)
        cluster.trees["m2"] = deepcopy(cluster.trees["m0"])
        await cluster.start(2)
        await cluster.until(lambda: any(cluster.at(it).error for it in (0, 2)))
        broken = next(cluster.at(it).error for it in (0, 2) if cluster.at(it).error)
        assert isinstance(broken, OwnerForked | OwnerRefused)

    run_counting(tmp_path, story)


def test_a_directory_that_was_rolled_back_is_found_out(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_all_read({"a": 1})
        await cluster.stop(0)
        old = deepcopy(cluster.trees["m0"])
        await cluster.start(0)
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_all_read({"a": 2})
        await cluster.stop(0)
        cluster.trees["m0"] = old
        await cluster.start(0)
        await cluster.until(lambda: cluster.at(0).error is not None)
        error = cluster.at(0).error
        assert isinstance(error, OwnerForked)
        assert "old state" in str(error)
        with pytest.raises(OwnerForked):
            await cluster.desk(0).increment([("a", 1)])
        with pytest.raises(OwnerForked):
            await cluster.desk(0).read(["a"])

    run_counting(tmp_path, story)


def test_a_name_is_nobody_elses_for_ever(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        await cluster.stop(2)
        cluster.trees["m2"] = MemoryTrees()  # its directory is lost
        await cluster.start(2)
        await cluster.until(lambda: cluster.at(2).error is not None)
        error = cluster.at(2).error
        assert isinstance(error, OwnerRefused)
        assert "'m2'" in str(error)
        await cluster.stop(2)
        cluster.counter_names["m2"] = "m2 anew"
        await cluster.start(2)
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until(lambda: cluster.read(2, ["a"]) == [2])

    run_counting(tmp_path, story)


def test_a_member_that_lacks_what_others_have_serves_nobody(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([(f"n{it}", 1) for it in range(1000)])
        await cluster.until_known()
        await cluster.stop(2)
        cluster.trees["m2"], cluster.counter_names["m2"] = MemoryTrees(), "another"
        cluster.isolate(2)
        await cluster.start(2)
        await cluster.until(lambda: cluster.at(2).state is State.OPEN)
        with pytest.raises(NotReady) as refusal:
            await cluster.desk(2).increment([("a", 1)])
        assert refusal.value.phase == Phase.FEEDING.value
        cluster.heal()
        await cluster.until(lambda: len(cluster.read(2, ["n7"])) == 1)
        assert len((await cluster.desk(2).search("n", limit=2000)).rows) == 1000

    run_counting(tmp_path, story)


@pytest.mark.parametrize("is_quick", [False, True])
def test_when_the_device_fails_nothing_is_promised(tmp_path: Path, *, is_quick: bool) -> None:
    """Beside the loop, and in the turn that took the step."""

    async def story(cluster: CountingCluster) -> None:
        failing = cluster.trees["m0"] = FailingTrees(MemoryTrees(), is_quick=is_quick)
        cluster.at(0)._open_trees = lambda: failing
        await cluster.desk(0).increment([("a", 1)])
        await pass_time(1.0)
        commit = failing.commit

        def fail(writes: object) -> None:
            del writes
            raise CounterStoreError("injected")

        failing.commit = fail  # type: ignore[method-assign]  # a device that fails
        with pytest.raises(OutcomeUnknown):
            await cluster.desk(0).increment([("a", 1)])
        failing.commit = commit  # type: ignore[method-assign]  # and is well again
        with pytest.raises(CounterStoreError):
            await cluster.desk(0).increment([("a", 1)])
        await pass_time(2 * REOPEN_S)
        assert cluster.at(0).state is State.BROKEN, "a sync that failed is final"

    run_counting(tmp_path, story, size=1)


@pytest.mark.parametrize("is_quick", [False, True])
def test_when_there_is_room_again_it_counts_again(tmp_path: Path, *, is_quick: bool) -> None:
    async def story(cluster: CountingCluster) -> None:
        failing = cluster.trees["m0"] = FailingTrees(MemoryTrees(), is_quick=is_quick)
        cluster.at(0)._open_trees = lambda: failing
        await cluster.desk(0).increment([("a", 1)])
        await pass_time(1.0)
        commit = failing.commit

        def fail(writes: object) -> None:
            del writes
            raise CounterStoreFull("injected")

        failing.commit = fail  # type: ignore[method-assign]  # a disk that is full
        with pytest.raises(OutcomeUnknown):
            await cluster.desk(0).increment([("a", 1)])
        with pytest.raises(CounterStoreFull):
            await cluster.desk(0).read(["a"])
        failing.commit = commit  # type: ignore[method-assign]  # and has room again
        await cluster.until(lambda: cluster.at(0).state is State.OPEN)
        assert await cluster.desk(0).increment([("a", 1)]) == [2]

    run_counting(tmp_path, story, size=1)


def test_a_small_step_is_durable_in_the_turn_that_took_it_unless_the_disk_is_slow(
    tmp_path: Path,
) -> None:
    async def story(cluster: CountingCluster) -> None:
        cluster.trees["m0"] = FailingTrees(MemoryTrees(), is_quick=True)
        counting = cluster.at(0)
        counting._open_trees = lambda: cluster.trees["m0"]
        await cluster.desk(0).increment([("a", 1)])
        await pass_time(1.0)
        clock_s = counting.around.clock_s
        began_s = clock_s()
        await cluster.desk(0).increment([("a", 1)])
        assert clock_s() - began_s < TURNS_S, "no thread was waited for"
        large = [(f"n{it}", 1) for it in range(QUICK_ROWS_MAX)]
        began_s = clock_s()
        await cluster.desk(0).increment(large)
        assert clock_s() - began_s > TURNS_S
        for _it in range(100):
            counting.pace.note(0.01)
        began_s = clock_s()
        await cluster.desk(0).increment([("a", 1)])
        assert clock_s() - began_s > TURNS_S
        assert await cluster.desk(0).read(["a", "n7"]) == [3, 1]

    run_counting(tmp_path, story, size=1)


def test_who_waits_when_a_member_stops_is_told(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        told: list[object] = []
        counting = cluster.at(0)
        cluster.desk(0).increment_nowait([("a", 1)], told.append)
        await counting.close()
        assert isinstance(told[0], Stopped)
        cluster.desk(0).increment_nowait([("a", 1)], told.append)
        assert isinstance(told[1], Stopped)

    run_counting(tmp_path, story, size=1)
