"""What is gathered happens in lots, one after the other, and what is lost is told at the end."""

import asyncio

import pytest

from roost import lots
from roost.errors import NotLeader, OutcomeUnknown, Refused, RoostError, Stopped
from roost.lots import Lots, Sums, Taken
from roost.sim.members.loop import pass_time, run_virtually


class Place:
    """Where lots happen; `errors` are what the next ones meet instead."""

    def __init__(self, *errors: RoostError) -> None:
        self.errors = list(errors)
        self.happened: list[Sums] = []
        self.asked_count = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, lot: Sums) -> None:
        self.asked_count += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.happened.append(dict(lot))


def test_what_comes_while_a_lot_is_on_its_way_is_the_next_one() -> None:
    async def story() -> None:
        place = Place()
        place.gate.clear()
        made = Lots(place.take, 1.0)
        assert made.add("a", 1) is Taken.TAKEN
        await pass_time(2.0)
        for _it in range(3):
            made.add("a", 2)
        made.add("b", -1)
        assert made.waiting_count == 2
        place.gate.set()
        await made.flush()
        assert place.happened == [{"a": 1}, {"a": 6, "b": -1}]
        assert (made.waiting_count, await made.end(1.0)) == (0, {})

    run_virtually(story())


def test_what_has_not_happened_is_tried_again_with_what_came_meanwhile() -> None:
    async def story() -> None:
        place = Place(NotLeader("not here"), NotLeader("nor here"))
        made = Lots(place.take, 1.0)
        made.add("a", 1)
        await pass_time(1.5)
        made.add("a", 1)
        await made.flush()
        assert (place.happened, place.asked_count) == ([{"a": 2}], 3)
        assert await made.end(1.0) == {}

    run_virtually(story())


@pytest.mark.parametrize("error", [Refused("no"), OutcomeUnknown("who knows"), Stopped("over")])
def test_what_is_lost_is_told_once(error: RoostError) -> None:
    async def story() -> None:
        place = Place(error)
        made = Lots(place.take, 1.0)
        made.add("a", 5)
        await made.flush()
        made.add("b", 1)
        assert await made.end(10.0) == {"a": 5}
        assert place.happened == [{"b": 1}]
        assert made.has_ended
        assert made.add("c", 1) is Taken.ENDED
        assert await made.end(10.0) == {}
        await made.flush()  # there is nothing to wait for

    run_virtually(story())


def test_an_end_waits_so_long_for_what_is_on_its_way() -> None:
    async def story() -> None:
        place = Place()
        place.gate.clear()
        made = Lots(place.take, 1.0)
        made.add("a", 1)
        await pass_time(2.0)
        made.add("a", 2)
        begun_s = asyncio.get_running_loop().time()
        assert await made.end(7.0) == {"a": 3}
        assert asyncio.get_running_loop().time() - begun_s < 8.0
        assert place.happened == []

    run_virtually(story())


def test_names_and_lots_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "NAMES_MAX", 5)
    monkeypatch.setattr(lots, "LOT_NAMES_MAX", 2)

    async def story() -> None:
        place = Place()
        made = Lots(place.take, 1.0)
        assert [made.add(name, 1) for name in "abcdef"] == [Taken.TAKEN] * 5 + [Taken.FULL]
        assert made.add("a", 1) is Taken.TAKEN, "its name waits already"
        await made.flush()
        assert place.happened == [{"a": 2, "b": 1}, {"c": 1, "d": 1}, {"e": 1}]
        await made.end(1.0)

    run_virtually(story())
