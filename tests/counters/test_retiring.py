"""Members that are away for good: what they told anybody counts, everywhere, as one part."""

from pathlib import Path

import pytest

from roost.counters.errors import OwnerForked, OwnerRefused, RetireRefused
from roost.counters.facts import INTRODUCE, Admission, Stage, encode
from roost.counters.ports import transact
from roost.counters.upkeep import SLICE_NAMES
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting

NAMES = [f"n{it:04}" for it in range(2 * SLICE_NAMES + 7)]


def stages(cluster: CountingCluster, position: int) -> list[Stage]:
    return [it.stage for it in cluster.at(position).known.facts.folds]


async def until_folded(cluster: CountingCluster, count: int = 1) -> None:
    """Wait until all that were retired are one part each, and everybody knows that of everybody."""
    ended = [Stage.ENDED] * count

    def is_forgotten(position: int) -> bool:
        store = cluster.at(position).store
        assert store is not None
        folds = cluster.at(position).known.facts.folds
        numbers = [store.owners.numbers.get(it.epoch, 0) for it in folds]
        return all(it and store.owners.is_forgotten(it) for it in numbers)

    await cluster.until(
        lambda: all(stages(cluster, it) == ended and is_forgotten(it) for it in cluster.members)
    )


def owners_of(cluster: CountingCluster, position: int, name: str) -> set[bytes]:
    """Whose registers a member has of a counter."""
    store = cluster.at(position).store
    assert store is not None
    return {store.owners.epochs[it] for it in store.layers.parts(name.encode())}


def test_what_a_dead_member_told_anybody_counts_everywhere(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        for position in range(3):
            await cluster.desk(position).increment([(it, 1) for it in NAMES])
        await cluster.until_all_read({NAMES[0]: 3, NAMES[-1]: 3})
        await cluster.until_known()
        dead = cluster.at(2).known.facts.of_name("m2")
        assert dead is not None
        # The last thing that it counts comes to m0 alone; what it deletes, too.
        cut = cluster.network.simulated.cut
        cut |= {(cluster.address(2), cluster.address(1)), (cluster.address(1), cluster.address(2))}
        await cluster.desk(2).increment([("late", 5)])
        await cluster.desk(2).delete([NAMES[1]])
        await cluster.until(lambda: cluster.read(0, ["late", NAMES[1]]) == [5, None])
        assert cluster.read(1, ["late", NAMES[1]]) == [None, 3]
        cluster.crash(2)
        cluster.heal()
        said = await cluster.operators(0).administer("retire", name="m2", who="a test")
        assert (said["name"], said["stage"]) == ("m2", "uniting")
        # Counting goes on meanwhile, and so does deleting.
        await cluster.desk(1).increment([("late", 10), (NAMES[2], 1)])
        await cluster.desk(0).delete([NAMES[3]])
        await cluster.desk(0).increment([(NAMES[3], 7)])
        await until_folded(cluster)
        wanted = {"late": 15, NAMES[0]: 3, NAMES[1]: None, NAMES[2]: 4, NAMES[3]: 7, NAMES[-1]: 3}
        await cluster.until_all_read(wanted)
        assert await cluster.desk(1).read_raw(["late"]) == [{"m1": 10, "m2": 5}]
        for position in range(2):
            assert dead.epoch not in owners_of(cluster, position, "late")
        # With the proof by which it ended; and asked again it says so.
        [fold] = cluster.at(1).known.facts.folds
        assert fold.proof
        said = await cluster.operators(1).administer("retire", name="m2", who="a test")
        assert (said["stage"], sorted(said["proof"])) == ("ended", ["m0", "m1"])
        # It comes back, and is refused by name.
        await cluster.start(2)
        await cluster.until(lambda: cluster.at(2).error is not None)
        # By what is decided, or by who hears of it first.
        error = cluster.at(2).error
        assert isinstance(error, OwnerRefused | OwnerForked)
        assert "m2" in str(error)
        assert "was retired" in str(error)
        await cluster.until_all_read_of([0, 1], wanted)

    run_counting(tmp_path, story)


def test_who_is_there_or_nobody_or_the_last_one_is_not_retired(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        retire = cluster.operators(0).retiring.retire
        with pytest.raises(RetireRefused, match="nobody has counted"):
            await retire("m1")
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        with pytest.raises(RetireRefused, match="m1 is there"):
            await retire("m1")
        with pytest.raises(RetireRefused, match="m0 is there"):
            await retire("m0")
        with pytest.raises(RetireRefused, match="'somebody'"):
            await retire("somebody")
        assert cluster.at(0).known.facts.folds == ()

    run_counting(tmp_path, story, size=2)


def test_it_waits_for_who_is_away_and_two_go_one_after_the_other(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        for position in range(5):
            await cluster.desk(position).increment([("a", 1), ("b", 1)])
        await cluster.until_all_read({"a": 5})
        await cluster.until_known()
        cluster.crash(4)
        await cluster.operators(0).retiring.retire("m4")
        cluster.crash(3)
        said = await cluster.operators(2).administer("retire", name="m4", who="a test")
        assert "not known of m3" in said["waits_for"]
        await pass_time(2.0)
        assert {stages(cluster, it)[0] for it in range(3)} == {Stage.UNITING}
        # So is that one, then: nobody waits for it any more.
        await cluster.operators(1).retiring.retire("m3")
        await cluster.desk(2).increment([("a", 1)])
        await until_folded(cluster, 2)
        await cluster.until_all_read({"a": 6, "b": 5})
        [parts] = await cluster.desk(0).read_raw(["b"])
        assert parts == dict.fromkeys(("m0", "m1", "m2", "m3", "m4"), 1)

    run_counting(tmp_path, story, size=5)


def test_kills_amid_it_change_nothing_and_a_newcomer_has_it_too(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        for position in range(4):
            await cluster.desk(position).increment([(it, 1) for it in NAMES])
        await cluster.until_all_read({NAMES[0]: 4, NAMES[-1]: 4})
        await cluster.until_known()
        cluster.crash(3)
        await cluster.operators(0).retiring.retire("m3")
        for stage in (Stage.FOLDING, Stage.ENDING):
            await cluster.until(lambda it=stage: max(stages(cluster, 1), default=0) >= it)  # type: ignore[misc]  # bound at once
            victim = 2 if stage is Stage.FOLDING else 0
            cluster.crash(victim)
            await pass_time(0.2)
            await cluster.start(victim)
            await cluster.desk(victim).increment([(NAMES[5], 1)])
        await until_folded(cluster)
        await cluster.until_all_read({NAMES[0]: 4, NAMES[5]: 6, NAMES[-1]: 4})
        cluster.forget_directory(3, "m3 anew")
        await cluster.start(3)
        await cluster.desk(3).increment([(NAMES[0], 1)])
        await cluster.until_all_read({NAMES[0]: 5, NAMES[5]: 6, NAMES[-1]: 4})
        await until_folded(cluster)
        await cluster.desk(3).delete([NAMES[-1]])
        await cluster.until_all_read({NAMES[0]: 5, NAMES[-1]: None})

    run_counting(tmp_path, story, size=4)


def test_who_counted_and_was_lost_before_it_was_known_can_be_retired(tmp_path: Path) -> None:
    """It counted at who had heard of it for ever, and at nobody else: no name led to it."""

    async def story(cluster: CountingCluster) -> None:
        await cluster.quiet()
        leader = await cluster.leader()
        victim, friend = (it for it in range(3) if it != leader)
        here, there = cluster.address(victim), cluster.address(leader)
        cluster.network.simulated.cut |= {(here, there), (there, here)}
        await cluster.desk(victim).increment([("a", 7)])
        await cluster.until(lambda: cluster.read(friend, ["a"]) == [7])
        cluster.crash(victim)
        lost = cluster.names[victim]
        cluster.forget_directory(victim, "anew")
        cluster.heal()
        await cluster.start(victim)
        await cluster.desk(leader).increment([("a", 1)])
        await cluster.until(lambda: cluster.at(leader).known.facts.of_name(lost) is not None)
        await cluster.operators(leader).retiring.retire(lost)
        await until_folded(cluster)
        await cluster.until_all_read({"a": 8})
        counting = [it.name for it in cluster.at(friend).known.facts.counting()]
        assert sorted(counting) == sorted(["anew", *(set(cluster.names) - {lost})])
        # Who is known stays as it is; and a name that is another's gets a mark.
        facts = cluster.at(leader).known.facts
        known = facts.of_name("anew")
        assert known is not None
        for epoch in (known.epoch, b"n" * 16):
            asked = Admission(name="anew", epoch=epoch, member_id=1, is_ready=False)
            await transact(cluster.at(leader).replica, INTRODUCE, encode(asked))
        after = cluster.at(leader).known
        await cluster.until(lambda: after.facts.of_name("anew#6e6e6e6e") is not None)
        assert after.facts.of_name("anew") == known

    run_counting(tmp_path, story)
