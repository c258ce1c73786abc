"""What programs have is shown as metrics: each is moved by what it says it counts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

import roost
from roost.database.embedded import Embedded, Rooms
from roost.database.observing import COUNT_MAX
from roost.faces import Closed
from roost.figures import Family
from roost.objects.aio import Database, open_database
from roost.server.embedding import Services
from roost.server.models import Ground
from roost.server.models.programs import PROGRAMS
from roost.server.options import serving_of
from roost.settings import Settings

many = roost.Operations("many")
WRITTEN = COUNT_MAX + 1


@many.operation
def fill(txn: roost.Transaction, first: int, count: int) -> None:
    tree = txn.tree("people", key=int, value=int)
    for number in range(first, first + count):
        tree[number] = 1


@many.operation
def refuse(_txn: roost.Transaction) -> None:
    raise roost.Refused("no")


@many.operation
def fail(_txn: roost.Transaction) -> None:
    raise KeyError


@roost.derived("ix_people", source="people", version=1, rows_max=1)
def by_value(number: int, value: int) -> list[tuple[tuple[int, int], bytes]]:
    if value == 13:
        raise ValueError("unlucky")
    return [((value, number), b""), *([((value, -1), b"")] if number == 7 else [])]


class Board(roost.Machine):
    """One score."""

    def __init__(self) -> None:
        self.best = 0

    @roost.command
    def score(self, context: roost.Context, points: int) -> int:
        """Fails, when there are too many."""
        del context
        self.best += 100 // (100 - points)
        return self.best


class Watched(Services):
    """What `roost.open` builds, and the figures of its programs."""

    ground: Ground

    def build(self, embedded: Embedded, settings: Settings) -> Rooms:
        self.ground = Ground(embedded, serving_of(settings))
        return super().build(embedded, settings)

    def collect(self) -> Sequence[Family]:
        return PROGRAMS.attach(self.ground).collect()

    def values(self) -> dict[str, float]:
        found = {}
        for family in self.collect():
            for sample in family.samples:
                assert isinstance(sample.value, int | float)
                found[family.name] = float(sample.value)
        return found


async def until(watched: Watched, name: str, value: float) -> None:
    """Let the loop turn until a figure is so; the suite's own limit ends it when it never is."""
    while watched.values().get(name) != value:
        await asyncio.sleep(0)


async def observe(db: Database, watched: Watched) -> None:
    async with db.observe("people", key=int, value=int):
        await db.run(fill, 0, 1)
        assert watched.values()["roost_observers"] == 1
        await until(watched, "roost_observer_waiting_changes", 1)
        await db.run(fill, 1, 1)
        await until(watched, "roost_observer_waiting_changes", 2)
        assert watched.values()["roost_observer_lag_entries"] == 2
        await db.run(fill, 2, WRITTEN)
        await until(watched, "roost_observer_overruns_total", 1)
    assert watched.values()["roost_observers"] == 0


async def derive(db: Database, watched: Watched) -> None:
    tree = await db.derived(by_value)
    assert watched.values()["roost_derived_share"] < 1
    assert watched.values()["roost_derived_lag_entries"] > 0
    await tree.wait_built()
    seen = watched.values()
    assert (seen["roost_derived_share"], seen["roost_derived_builds_total"]) == (1, 1)
    assert (seen["roost_derived_lag_entries"], seen["roost_derived_oversized_total"]) == (0, 1)
    assert seen["roost_derived_has_failed"] == 0
    await db.tree("people", key=int, value=int).put(5, 13)
    await until(watched, "roost_derived_has_failed", 1)


async def play(db: Database, watched: Watched) -> None:
    board = await db.machine("board", Board)
    await board.run(Board.score, 3)
    assert watched.values()["roost_machine_applied_index"] == 1
    with pytest.raises(roost.MachineStopped):
        await board.run(Board.score, 100)
    seen = watched.values()
    assert (seen["roost_machine_is_stopped"], seen["roost_machine_lag_commands"]) == (1, 1)


def test_what_programs_do_moves_what_a_member_shows_of_them(tmp_path: Path) -> None:
    watched = Watched()

    async def story() -> None:
        async with await open_database(tmp_path, operations=[many], builder=watched) as db:
            before = watched.values()
            assert before["roost_operations_total"] == 0
            await observe(db, watched)
            with pytest.raises(roost.Refused):
                await db.run(refuse)
            with pytest.raises(roost.OperationFailed):
                await db.run(fail)
            seen = watched.values()
            assert seen["roost_operations_total"] >= 5
            assert seen["roost_operations_refused_total"] >= 1
            assert seen["roost_operations_failed_total"] == 1
            await derive(db, watched)
            await play(db, watched)
        with pytest.raises(Closed):
            await db.run(refuse)

    asyncio.run(story())


def test_all_of_them_are_on_the_page_and_none_twice() -> None:
    names = [it.name for it in PROGRAMS.figures]
    assert len(names) == len(set(names))
    page = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    assert [it for it in names if f"`{it}`" not in page.read_text()] == []
