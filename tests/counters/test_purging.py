"""Purging on members: with proof, on all of them, whoever was away or was killed amid it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from roost.counters import upkeep
from roost.counters.errors import PurgeRefused
from roost.counters.purging import Purging
from roost.counters.store import Store
from roost.counters.upkeep import SLICE_NAMES, Slice
from roost.errors import ModelRefused, NotExecuted, OutcomeUnknown
from roost.sim.members.loop import pass_time
from tests.counters.cluster import CountingCluster, run_counting

NAMES = [f"n{it:04}" for it in range(3 * SLICE_NAMES)]


def rows(cluster: CountingCluster, position: int) -> list[int]:
    """How many rows of parts and of tombstones a member has."""
    store = cluster.at(position).store
    assert store is not None
    return [store.trees.count(it) for it in ("parts", "tombstones")]


async def purge(
    cluster: CountingCluster, purging: Purging, reached: list[int], *, forced: bool = False
) -> None:
    """Purge, and wait until those that are reached have carried it out."""
    before = cluster.at(0).known.facts.purge_number
    await purging.purge(is_forced=forced)
    await cluster.until(
        lambda: all(cluster.at(it).known.facts.purge_number > before for it in reached)
    )
    await pass_time(2.0)


def test_what_was_deleted_everywhere_is_removed_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(cluster: CountingCluster) -> None:
        purgings = [cluster.operators(it).purging for it in range(3)]
        for position in range(3):
            await cluster.desk(position).increment([(it, 1) for it in NAMES])
        await cluster.until_all_read({NAMES[0]: 3, NAMES[-1]: 3})
        await cluster.until_known()
        await cluster.desk(1).delete(NAMES[1:])
        await cluster.until_all_read({NAMES[0]: 3, NAMES[-1]: None})
        await pass_time(1.0)
        told: list[tuple[int, int]] = []

        def purge_slice(store: Store, known: Mapping[bytes, int], after: bytes = b"") -> Slice:
            if (it := purgings[0].progress) is not None and store is cluster.at(0).store:
                told.append((it.done_count, it.total_count))
            return whole_slice(store, known, after)

        whole_slice = upkeep.purge_slice
        monkeypatch.setattr(upkeep, "purge_slice", purge_slice)
        for _it in range(3):
            await purge(cluster, purgings[0], [0, 1, 2])
        # Three slices of the names, and one that finds none.
        assert told[:4] == [(it * SLICE_NAMES, len(NAMES)) for it in range(4)]
        assert purgings[0].progress is None
        assert [rows(cluster, it) for it in range(3)] == [[1, 0]] * 3
        # What is counted after that counts.
        await cluster.desk(2).increment([(NAMES[5], 7)])
        await cluster.until_all_read({NAMES[0]: 3, NAMES[5]: 7})

    run_counting(tmp_path, story)


def test_a_member_that_is_away_holds_a_purge_up_and_is_named(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        purgings = [cluster.operators(it).purging for it in range(3)]
        with pytest.raises(PurgeRefused):
            await purgings[0].purge()
        for position in range(3):
            await cluster.desk(position).increment([("a", 1), ("b", 1)])
        await cluster.until_all_read({"a": 3})
        await cluster.until_known()
        await cluster.desk(0).delete(["a"])
        cluster.isolate(2)
        with pytest.raises(PurgeRefused, match="m2"):
            await purgings[0].purge()
        with pytest.raises((NotExecuted, OutcomeUnknown, PurgeRefused)):
            await purgings[2].purge(is_forced=True)
        assert (await purgings[0].purge(is_forced=True)).left_out == ["m2"]
        for _it in range(3):
            await purge(cluster, purgings[0], [0, 1], forced=True)
        await cluster.desk(2).increment([("b", 10)])
        cluster.heal()
        # It has missed the delete and its traces: it is told everything, and nothing comes back.
        await cluster.until_all_read({"a": None, "b": 13})

    run_counting(tmp_path, story)


def test_who_counts_must_not_change_between_the_proof_and_the_decision(tmp_path: Path) -> None:
    async def story(cluster: CountingCluster) -> None:
        purging = cluster.operators(0).purging
        await cluster.desk(0).increment([("a", 1)])
        await cluster.until_known()
        known = cluster.at(0).known
        known.facts = type(known.facts)(edition=99, owners=known.facts.owners)
        with pytest.raises(ModelRefused, match="has changed"):
            await purging.purge()

    run_counting(tmp_path, story, size=1)
