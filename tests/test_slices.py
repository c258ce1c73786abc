"""Many small steps: some now, the rest in turns to come, in order."""

import asyncio
from collections.abc import Generator, Iterator

import pytest

from roost.sim.members.loop import run_virtually, until_idle
from roost.slices import Slices, Turns, in_turns


def steps(done: list[str], name: str, count: int) -> Iterator[None]:
    for number in range(count):
        done.append(f"{name}{number}")
        yield


def test_what_fits_into_the_turn_is_done_at_once_and_the_rest_in_turns_to_come() -> None:
    async def main() -> None:
        done: list[str] = []
        slices = Slices(10)
        slices.run(steps(done, "a", 3))
        assert len(done) == 3
        slices.run(steps(done, "b", 20))
        slices.run(steps(done, "c", 2))
        assert len(done) == 10, "all of a turn share its room"
        await until_idle()
        assert done == [*steps_of("a", 3), *steps_of("b", 20), *steps_of("c", 2)]
        assert len(slices) == 0

    run_virtually(main())


def steps_of(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def test_whoever_has_turns_of_its_own_gives_them_and_an_end_takes_all() -> None:
    done: list[str] = []
    asked: list[int] = []
    slices = Slices(10, lambda: asked.append(len(done)))
    slices.run(steps(done, "a", 25))
    assert (len(done), asked) == (10, [10])
    slices.begin_turn()
    assert (len(done), asked) == (20, [10, 20])
    slices.run(steps(done, "b", 25))
    slices.finish()
    assert done == [*steps_of("a", 25), *steps_of("b", 25)]
    assert len(slices) == 0


def test_a_step_that_has_others_taken_loses_none_of_its_own() -> None:
    done: list[str] = []
    slices = Slices(4, lambda: None)

    def nested() -> Iterator[None]:
        for number in range(8):
            slices.run(steps(done, f"inner {number} ", 3))
            done.append("outer")
            yield

    slices.run(nested())
    for _ in range(10):
        slices.begin_turn()
    assert done.count("outer") == 8
    assert len(done) == 8 + 24
    assert len(slices) == 0


def test_who_fails_ends_alone() -> None:
    def failing() -> Iterator[None]:
        yield
        raise ValueError("a step failed")

    async def main() -> None:
        done: list[str] = []
        slices = Slices(10)
        with pytest.raises(ValueError, match="a step failed"):
            slices.run(failing())
        slices.run(steps(done, "a", 15))
        await until_idle()
        assert len(done) == 15
        assert len(slices) == 0

    run_virtually(main())


def test_tasks_share_the_steps_of_a_turn_in_the_order_of_coming() -> None:
    async def main() -> None:
        turns, done, turn = Turns(2), list[tuple[int, str]](), 0

        async def work(name: str) -> None:
            for _ in range(3):
                await turns.take()
                done.append((turn, name))

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if turn < 20:
                asyncio.get_running_loop().call_soon(next_turn)

        next_turn()
        gone = asyncio.ensure_future(turns.take())
        gone.cancel()
        await asyncio.gather(*(work(it) for it in "abc"))
        assert sorted(it for _, it in done) == [*"aaabbbccc"]
        for it in range(20):
            assert sum(at == it for at, _ in done) <= 2

    run_virtually(main())


def test_what_steps_come_to_takes_a_turn_for_each() -> None:
    def counting(done: list[int]) -> Generator[None, None, str]:
        for number in range(3):
            done.append(number)
            yield
        return "made"

    async def main() -> None:
        done: list[int] = []
        making = asyncio.ensure_future(in_turns(counting(done)))
        seen = []
        while not making.done():
            await asyncio.sleep(0)
            seen.append(len(done))
        assert await making == "made"
        assert seen[:3] == [1, 2, 3]

    run_virtually(main())
