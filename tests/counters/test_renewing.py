"""Directories that were copied or rolled back, made another owner's: nothing of them is lost."""

from pathlib import Path

import pytest

from roost.counters import reading
from roost.counters.changing import increment
from roost.counters.errors import CounterStoreError, OwnerForked
from roost.counters.logged import LoggedTrees
from roost.counters.renewing import renew, renew_directory
from roost.counters.store import Store
from tests.counters.cluster import CountingCluster, run_counting
from tests.counters.stores import entropy
from tests.counters.test_retiring import until_folded


def test_a_directory_gets_an_identity_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(CounterStoreError, match="there is no"):
        renew_directory(tmp_path / "none", entropy(1))
    trees = LoggedTrees(tmp_path / "counters.1")
    trees.close()
    with pytest.raises(CounterStoreError, match="nobody has counted there"):
        renew_directory(tmp_path / "counters.1", entropy(1))
    store = Store.open(LoggedTrees(tmp_path / "counters.1"), entropy(2))
    increment(store, [("a", 5)])
    store.perform()
    store.close()
    renewed = renew_directory(tmp_path / "counters.1", entropy(3))
    assert renewed.before == store.epoch
    again = Store.open(LoggedTrees(tmp_path / "counters.1"), entropy(4))
    assert again.epoch == renewed.now != renewed.before
    assert again.version == 0
    assert reading.read_raw(again, "a") == {renewed.before: 5}
    again.close()


def test_what_a_rolled_back_directory_held_counts_on(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        cluster.isolate(2)
        # Nobody has heard of this, and it is in the copy.
        await cluster.desk(2).increment([("a", 10)])
        await cluster.stop(2)
        copied = cluster.copy_directory(2)
        cluster.heal()
        await cluster.start(2)
        await cluster.desk(2).increment([("a", 100)])
        await cluster.until_all_read({"a": 111})
        await cluster.stop(2)
        cluster.trees["m2"] = copied
        await cluster.start(2)
        await cluster.until(lambda: cluster.at(2).error is not None)
        assert isinstance(cluster.at(2).error, OwnerForked)
        assert cluster.operators(2).describe("stats")["error"].count("m2 (") >= 1
        await cluster.stop(2)
        cluster.counter_names["m2"] = "m2 anew"
        renew(copied, entropy(5))
        await cluster.start(2)
        await cluster.operators(0).retiring.retire("m2")
        await until_folded(cluster)
        await cluster.until_all_read({"a": 111})
        await cluster.desk(2).increment([("a", 1000)])
        await cluster.until_all_read({"a": 1111})

    run_counting(tmp_path, story)


def test_a_copy_that_has_counted_is_renewed_while_its_original_counts_on(tmp_path: Path) -> None:
    """The original was told of what the copy had counted, and took itself for an old state."""

    async def story(cluster: CountingCluster) -> None:
        for position in range(3):
            await cluster.desk(position).increment([("a", 10**position)])
        await cluster.until_all_read({"a": 111})
        await cluster.until_known()
        await cluster.stop(2)
        copied = cluster.copy_directory(1)
        astray = Store.open(copied, entropy(6))
        for _it in range(5):
            increment(astray, [("a", 1), ("b", 1)])
        astray.perform()
        renew(copied, entropy(7))
        cluster.trees["m2"] = copied
        cluster.counter_names["m2"] = "m2 anew"
        await cluster.start(2)
        await cluster.until_all_read({"a": 111, "b": None})
        await cluster.desk(1).increment([("a", 10)])
        await cluster.desk(2).increment([("a", 1000)])
        await cluster.until_all_read({"a": 1121, "b": None})
        assert [cluster.at(it).error for it in range(3)] == [None] * 3
        wanted = {"m0": 1, "m1": 20, "m2": 100, "m2 anew": 1000}
        assert await cluster.desk(2).read_raw(["a"]) == [wanted]

    run_counting(tmp_path, story)


def test_two_histories_of_who_is_gone_become_one_part_everywhere(tmp_path: Path) -> None:
    """Whoever united what was left of it found two states of one version, and counted no more."""

    async def story(cluster: CountingCluster) -> None:
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        await cluster.desk(2).increment([("a", 10)])
        await cluster.until_all_read({"a": 11})
        await cluster.stop(2)
        copied = cluster.copy_directory(2)
        await cluster.start(2)
        await cluster.desk(2).increment([("a", 100)])
        await cluster.until_all_read({"a": 111})
        await cluster.stop(2)
        astray = Store.open(copied, entropy(6))
        increment(astray, [("a", 1000)])  # its second version, as that of the 100 was
        astray.perform()
        renew(copied, entropy(7))
        cluster.trees["m2"] = copied
        cluster.counter_names["m2"] = "m2 anew"
        await cluster.start(2)
        await cluster.operators(0).retiring.retire("m2")
        await until_folded(cluster)
        assert [cluster.at(it).error for it in range(3)] == [None] * 3
        await cluster.until_all_read({"a": 1011})

    run_counting(tmp_path, story)
