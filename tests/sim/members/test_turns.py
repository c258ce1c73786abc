"""A turn of a member's loop that does too much fails its seed, by the name of what ran (D14)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from roost.member.pipeline.applier import Applier
from roost.raft import Entry
from roost.sim.campaign import simulate
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.swarm import Swarm
from roost.sim.members.turns import STEPS_MAX, CountedTurns, TurnLoop, Turns, aside

KEYS = 5200


def work(steps: int) -> None:
    for _ in range(steps // 2):
        len(())  # a call and its return


def measured(turns: Turns, *works: int, exempt: int = 0) -> Turns:
    loop = TurnLoop(turns)

    async def exempted() -> None:
        work(exempt)

    try:
        turns.start()
        for it in works:
            loop.call_soon(work, it)
        turns.exempt = loop.create_task(exempted())
        loop.run_until_complete(turns.exempt)
        turns.stop()
    finally:
        loop.close()
    return turns


def test_steps_are_counted_of_each_callback_alone() -> None:
    turns = CountedTurns(1000)
    measured(turns, 100, 900, 500)
    assert 900 <= turns.most <= 910
    assert turns.excess == ""


def test_what_comes_from_a_thread_is_a_callback_as_any_other() -> None:
    """A disk's thread says that it has written; asyncio hands that over by a way of its own."""
    turns = CountedTurns(1000)
    loop = TurnLoop(turns)

    async def two_of_them() -> None:
        ended = loop.create_future()
        loop.call_soon_threadsafe(work, 900)
        loop.call_soon_threadsafe(work, 800)
        loop.call_soon_threadsafe(ended.set_result, None)
        await ended

    try:
        turns.start()
        loop.run_until_complete(loop.create_task(two_of_them()))
        turns.stop()
    finally:
        loop.close()
    assert turns.excess == "", "not both of them together"
    assert 900 <= turns.most <= 910


def test_a_callback_that_does_too_much_is_noted() -> None:
    turns = CountedTurns(1000)
    measured(turns, 100, 1100, 500)
    assert turns.excess != ""


def test_what_is_done_aside_does_not_count() -> None:
    turns = CountedTurns(1000)
    measured(turns, exempt=5000)
    assert turns.excess == ""

    async def aside_of_it() -> None:
        with aside(), aside():
            work(5000)
        work(500)

    turns = CountedTurns(1000)
    loop = TurnLoop(turns)
    turns.start()
    loop.run_until_complete(aside_of_it())
    turns.stop()
    loop.close()
    assert turns.excess == ""
    assert 500 <= turns.most < 1000


def test_time_is_taken_of_what_is_no_ones_else() -> None:
    assert measured(Turns(), *[1000] * 40, exempt=40_000_000).longest_s < 0.1
    assert measured(Turns(), *[1000] * 16, 40_000_000, *[1000] * 40).longest_s > 0.1


def test_aside_of_another_loop_is_nothing() -> None:
    async def nothing() -> int:
        with aside():
            return 1

    assert asyncio.run(nothing()) == 1


def test_a_loop_without_a_bound_fails_the_seed_that_runs_into_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody asked for a count: the turn is long enough to be suspected."""
    honest = Applier.apply

    def planted(self: Applier, entries: Sequence[Entry]) -> None:
        # A tenth of a second of a fast processor: what is suspected is a third of that.
        work(8_000_000 if any(it.index == 5 for it in entries) else 0)
        honest(self, entries)

    assert simulate(9)[0].violation == ""
    monkeypatch.setattr(Applier, "apply", planted)
    found = simulate(9)[0]
    assert "a turn of the loop was too long" in found.violation
    assert "roost.member." in found.violation
    assert simulate(9, is_counted=True)[0] == found


def test_counting_changes_nothing_of_a_run() -> None:
    assert simulate(10, is_counted=True)[0] == simulate(10)[0]


def heavy(seed: int, kind: str) -> Swarm:
    """A quiet cluster of three with one client that asks for much."""
    drawn = Swarm.draw(Chronicle(seed).stream("swarm"))
    return replace(
        drawn, size=3, changes=False, damage=False, delay_s_mean=0.002, clients=2, safety_s=1.0,
        kills=False, power_cuts=False, strangers=False, copies=False, clogs=False, deafness=False,
        garbage=False, one_way_cuts=False, partitions=False, slow_disks=False, transfers=False,
        slow_batches=False, window_bytes=256 << 10, queue_bytes=128 << 20, trailing_entries=100,
        layer_bytes=1 << 20, heavy=kind, heavy_keys=KEYS,
    )  # fmt: skip


KINDS = (
    # Those that leave the keys as they are, on one filling.
    "limit count whole sorted old watch transaction",
    "delete", "lease", "election",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_turn_is_long_however_much_is_asked_for(kind: str) -> None:
    """More rows than a turn has steps for: what walks over all of them at once is found."""
    result, trace = simulate(1, heavy(1, kind), is_counted=True)
    assert KEYS * 10 > STEPS_MAX
    assert result.violation == "", "\n".join(trace[-10:])
