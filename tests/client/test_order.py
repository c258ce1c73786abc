"""Which endpoint is asked first: all in turn, the silent last, and those asked how they are."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client.order import Order
from roost.sim.members.loop import pass_time, run_virtually, until_idle

COUNT = 4


class Endpoints:
    """Some endpoints, of which a few answer."""

    def __init__(self, count: int = COUNT, *, spreads: bool = True) -> None:
        self.answering: set[int] = set()
        self.probed: list[int] = []
        self.order = Order(count, self.probe, spreads=spreads)

    async def probe(self, position: int) -> bool:
        self.probed.append(position)
        return position in self.answering


def virtually(story: Callable[[], Coroutine[None, None, None]]) -> None:
    run_virtually(story())


def test_calls_begin_everywhere_in_turn() -> None:
    async def story() -> None:
        order = Endpoints().order
        firsts = [order.take()[0] for _ in range(2 * COUNT)]
        assert sorted(firsts[:COUNT]) == list(range(COUNT))
        assert firsts[:COUNT] == firsts[COUNT:]

    virtually(story)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, COUNT - 1)), max_size=12))
def test_everybody_is_in_every_order_and_the_silent_come_last(
    news: list[tuple[bool, int]],
) -> None:
    async def story() -> None:
        order, silent = Endpoints().order, set()
        for has_answered, position in news:
            if has_answered:
                order.note_answer(position)
                silent.discard(position)
            else:
                order.note_failure(position)
                silent.add(position)
            assert order.is_answering(position) is has_answered
            for _ in range(COUNT):
                taken = order.take()
                assert sorted(taken) == list(range(COUNT))
                assert set(taken[COUNT - len(silent) :]) == silent
        await order.close()

    virtually(story)


def test_without_spreading_calls_stay_where_they_were_answered_until_one_fails() -> None:
    """Each member's revisions are its own pace: to stay is to read one's own writes."""

    async def story() -> None:
        it = Endpoints(spreads=False)
        order = it.order
        order.note_answer(2)
        assert order.take() == order.take() == [2, 3, 0, 1]
        order.note_failure(0)
        assert order.take() == [2, 3, 0, 1], "another's failure moves nobody"
        order.note_failure(2)
        assert order.take() == [3, 0, 1, 2]
        await until_idle()
        assert it.probed == [], "who is asked last need not be asked how it is"
        await order.close()

    virtually(story)


def test_a_silent_endpoint_is_asked_how_it_is_until_it_answers_and_no_longer() -> None:
    async def story() -> None:
        it = Endpoints()
        it.order.note_failure(1)
        it.order.note_failure(1)
        await pass_time(60)
        asked = len(it.probed)
        assert 60 / 8 - 1 <= asked <= 60, "with growing pauses, by one prober"
        assert set(it.probed) == {1}
        it.answering.add(1)
        await pass_time(20)
        assert it.order.is_answering(1)
        assert len(it.probed) == asked + 1
        await it.order.close()

    virtually(story)


def test_one_that_answers_a_call_is_probed_no_more() -> None:
    async def story() -> None:
        it = Endpoints()
        it.order.note_failure(1)
        it.order.note_answer(1)
        await pass_time(60)
        assert len(it.probed) <= 1, "a pause was under way"
        await it.order.close()

    virtually(story)


@pytest.mark.parametrize("spreads", [True, False])
def test_an_endpoint_that_is_alone_is_always_asked(*, spreads: bool) -> None:
    async def story() -> None:
        it = Endpoints(1, spreads=spreads)
        it.order.note_failure(0)
        await pass_time(60)
        assert (it.order.take(), it.probed) == ([0], [])

    virtually(story)


def test_nobody_is_asked_after_the_end() -> None:
    async def story() -> None:
        it = Endpoints()
        it.order.note_failure(1)
        await it.order.close()
        it.order.note_failure(2)
        await pass_time(60)
        assert it.probed == []
        assert len(asyncio.all_tasks()) == 1

    virtually(story)
