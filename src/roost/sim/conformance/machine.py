"""What must hold of the machine under a member, `member.World`, beside its disk and network."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from roost.member import World

MachineCheck = Callable[[World], Awaitable[None]]
_NUMBERS = 1000
_WORK_COUNT = 20


async def a_clock_never_goes_back(world: World) -> None:
    """And goes on while somebody waits, about as fast as the loop's."""
    loop = asyncio.get_running_loop()
    before_s, loop_s = world.clock_s(), loop.time()
    for _ in range(100):
        now_s = world.clock_s()
        assert now_s >= before_s
        before_s = now_s
    await asyncio.sleep(0.02)
    passed_s = world.clock_s() - before_s
    assert 0.0 < passed_s < 2 * (loop.time() - loop_s) + 0.01


async def a_later_life_has_a_higher_number(world: World) -> None:
    """That is how an old state of a directory is told from the new one."""
    first = world.new_incarnation()
    assert world.new_incarnation() > first >= 0


async def chance_is_within_its_bounds(world: World) -> None:
    """And is no constant."""
    for bound in (1, 2, 6, 1 << 128):
        drawn = [world.dice.below(bound) for _ in range(_NUMBERS)]
        assert all(0 <= it < bound for it in drawn)
        assert bound == 1 or len(set(drawn)) > 1
    assert len(set(drawn)) == _NUMBERS, "a number of sixteen bytes was drawn twice"


async def a_worker_does_one_thing_after_another(world: World) -> None:
    """In the order in which it was asked, and answers each on the loop; what fails is told."""
    worker = world.make_worker()
    loop = asyncio.get_running_loop()
    done: list[int] = []
    answers: list[object] = []
    last: asyncio.Future[None] = loop.create_future()

    def fail_at(number: int) -> int:
        done.append(number)
        return 1 // (number - 10)

    def answer(said: object) -> None:
        assert asyncio.get_running_loop() is loop, "who asks is answered elsewhere"
        answers.append(said if isinstance(said, int) else type(said))
        if len(answers) == _WORK_COUNT:
            last.set_result(None)

    for number in range(_WORK_COUNT):
        worker.submit(partial(fail_at, number), answer, answer)
    worker.shutdown()
    await last
    assert done == list(range(_WORK_COUNT))
    assert answers == [ZeroDivisionError if it == 10 else 1 // (it - 10) for it in done]


async def work_aside_answers_or_fails_whoever_asked(world: World) -> None:
    """And nothing else: what it raises is his."""
    assert await world.run_aside(lambda: 7) == 7
    failed = False
    try:
        await world.run_aside(lambda: int("seven"))
    except ValueError:
        failed = True
    assert failed, "an error has gone nowhere"


MACHINE: tuple[MachineCheck, ...] = (
    a_clock_never_goes_back,
    a_later_life_has_a_higher_number,
    chance_is_within_its_bounds,
    a_worker_does_one_thing_after_another,
    work_aside_answers_or_fails_whoever_asked,
)
