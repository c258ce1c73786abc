"""Costly work: few at once, the rest by turns, and nobody is left behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.errors import Overloaded
from roost.etcd.v3.costly import Costly
from roost.flow import Flow
from roost.sim.members.loop import run_virtually, until_idle

ALICE, BOB = Flow("10.0.0.1", 1), Flow("10.0.0.2", 1)


class Work:
    """Turns that tests begin, and end when they like."""

    def __init__(self, costly: Costly) -> None:
        self.costly = costly
        self.began: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def ask(self, name: str, flow: Flow) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, flow))
        await until_idle()

    async def _run(self, name: str, flow: Flow) -> None:
        async with self.costly.turn(flow):
            self.began.append(name)
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await until_idle()

    async def give_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await until_idle()


def story(tell: Callable[[Work], Awaitable[None]], **bounds: int) -> None:
    async def main() -> None:
        work = Work(Costly("copies", **bounds))
        await tell(work)
        for name in list(work.tasks):
            await work.end(name)
        await asyncio.gather(*work.tasks.values(), return_exceptions=True)
        assert (work.costly.running_count, work.costly.waiting_count) == (0, 0)

    run_virtually(main())


def test_few_are_at_work_and_who_has_fewest_is_next() -> None:
    async def tell(work: Work) -> None:
        for number in range(5):
            await work.ask(f"alice{number}", ALICE)
        await work.ask("bob", BOB)
        assert work.began == ["alice0", "alice1"]
        await work.end("alice0")
        assert work.began[2:] == ["bob"], "alice has one at work"
        await work.end("alice1")
        assert work.began[3:] == ["alice2"], "in the order of coming"

    story(tell, running_max=2, waiting_max=100)


def test_who_has_most_in_line_is_refused_first() -> None:
    async def tell(work: Work) -> None:
        for number in range(10):
            await work.ask(f"alice{number}", ALICE)
        await work.ask("bob", BOB)
        refused = [it for it, task in work.tasks.items() if task.done() and task.exception()]
        assert refused == [f"alice{number}" for number in range(4, 10)]
        assert isinstance(work.tasks["alice9"].exception(), Overloaded)
        assert (work.costly.waiting_count, work.costly.refused_count) == (4, 6)

    story(tell, running_max=1, waiting_max=6)


def test_who_goes_away_leaves_the_line_and_gives_back_its_turn() -> None:
    async def tell(work: Work) -> None:
        for name in ("a", "b", "c"):
            await work.ask(name, ALICE)
        await work.give_up("b")
        assert work.costly.waiting_count == 1
        await work.give_up("a")
        assert work.began == ["a", "c"]

    story(tell, running_max=1, waiting_max=10)


def test_a_turn_that_comes_as_its_client_goes_is_passed_on() -> None:
    async def tell(work: Work) -> None:
        for name in ("a", "b", "c"):
            await work.ask(name, ALICE)
        work._ends["a"].set()
        while work.costly.waiting_count == 2:
            await asyncio.sleep(0)  # then "a" has ended, and "b" has not heard of its turn
        work.tasks["b"].cancel()
        await until_idle()
        assert work.began == ["a", "c"]

    story(tell, running_max=1, waiting_max=10)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "ask", "end", "give up"]), st.integers(0, 9)),
        max_size=40,
    )
)
def test_no_turn_is_lost_or_made_up(actions: list[tuple[str, int]]) -> None:
    async def tell(work: Work) -> None:
        for number, (what, which) in enumerate(actions):
            names = list(work.tasks)
            if what == "ask":
                await work.ask(f"{number}", Flow(f"10.0.0.{which % 3}"))
            elif names:
                name = names[which % len(names)]
                await (work.end(name) if what == "end" else work.give_up(name))
            at_work = sum(not work.tasks[it].done() for it in work.began)
            assert work.costly.running_count == at_work <= 2
            waiting = sum(not it.done() for it in work.tasks.values()) - at_work
            assert work.costly.waiting_count == waiting
            assert not waiting or at_work == 2

    story(tell, running_max=2, waiting_max=6)
