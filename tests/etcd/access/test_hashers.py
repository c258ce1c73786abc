"""Whose turn it is at a thread: nobody waits for another's queue, and every wait ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.errors import Overloaded
from roost.etcd.access import hashers
from roost.etcd.access.hashers import HASHERS, HASHERS_OF_SUSPECTS, Hashers
from roost.sim.members.loop import run_virtually
from tests.etcd.access.threads import Threads

ADDRESS_MAX, WAITING_MAX = 4, 6
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()),
        st.integers(0, HASHERS - 1),
    ),
    max_size=60,
)


@dataclass(eq=False)
class Job:
    """A password that somebody wants checked; what came of it."""

    network: str
    name: str
    is_suspect: bool
    said: list[object] = field(default_factory=list)
    began: bool = False
    # Who has begun since this one's network, and since its name there, had its turn or began to
    # wait.
    networks_since: Counter[str] = field(default_factory=Counter)
    names_since: Counter[str] = field(default_factory=Counter)

    @property
    def waits(self) -> bool:
        return not self.began and not self.said


class Queue:
    """One member's hashers, and everything that was ever asked of them."""

    def __init__(self) -> None:
        self.threads = Threads()
        self.hashers = Hashers()
        self.jobs: list[Job] = []

    def ask(self, network: str, name: str = "x", *, is_suspect: bool = False) -> Job:
        job = Job(network, name, is_suspect)
        self.jobs.append(job)
        before = len(self.threads.working)

        def done(future: "asyncio.Future[Job]") -> None:
            job.said.append(future.exception() or future.result())

        self.hashers.run(network, name, lambda: job, done, is_suspect=is_suspect)
        self.note_begun(before)
        return job

    async def end(self, position: int) -> None:
        if position < len(self.threads.working):
            before = len(self.threads.working) - 1
            await self.threads.end(position)
            self.note_begun(before)

    def note_begun(self, before: int) -> None:
        for it in self.threads.working[before:]:
            job = it.work()
            assert isinstance(job, Job)
            job.began = True
            self.note_turn(job)

    def note_turn(self, job: Job) -> None:
        lane = [it for it in self.jobs if it.waits and it.is_suspect == job.is_suspect]
        for other in lane:
            if other.network != job.network:
                other.networks_since[job.network] += 1
                continue
            assert other.name != job.name or self.jobs.index(other) > self.jobs.index(job)
            other.networks_since.clear()
            if other.name == job.name:
                other.names_since.clear()
            else:
                other.names_since[job.name] += 1

    def check(self) -> None:
        waiting = [it for it in self.jobs if it.waits]
        working = [it for it in self.jobs if it.began and not it.said]
        suspects = [it for it in working if it.is_suspect]
        assert self.hashers.waiting_count == len(waiting) <= WAITING_MAX
        lanes = Counter((it.network, it.is_suspect) for it in waiting)
        assert max(lanes.values(), default=0) <= ADDRESS_MAX
        assert len(working) == len(self.threads.working) <= HASHERS
        assert len(suspects) <= HASHERS_OF_SUSPECTS
        if len(working) < HASHERS:
            # A thread is free only when nobody may have it.
            assert all(it.is_suspect for it in waiting)
            assert not waiting or len(suspects) == HASHERS_OF_SUSPECTS
        for it in waiting:
            assert not it.networks_since or max(it.networks_since.values()) == 1
            assert not it.names_since or max(it.names_since.values()) == 1


def story(tell: Callable[[Queue], Awaitable[None]], **bounds: int) -> None:
    async def main() -> None:
        queue = Queue()
        await tell(queue)
        while queue.threads.working:
            await queue.end(0)
        for job in queue.jobs:
            [said] = job.said
            assert said is job if job.began else isinstance(said, Overloaded)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in bounds.items():
            patch.setattr(hashers, name, value)
        run_virtually(main())


@given(STEPS)
@example([("b", "x", False), *4 * [("a", "x", False)], ("c", "x", False), 0, 0, 0, 0])
@example([("a", "y", False), *4 * [("a", "x", False)], ("a", "z", False), 0, 0, 0, 0])
def test_threads_go_round_by_network_and_name_and_every_wait_ends(
    steps: list[tuple[str, str, bool] | int],
) -> None:
    """Between two turns of one, whoever else waits has had one; of suspects, among themselves."""

    async def tell(queue: Queue) -> None:
        for step in steps:
            if isinstance(step, int):
                await queue.end(step)
            else:
                network, name, is_suspect = step
                queue.ask(network, name, is_suspect=is_suspect)
            queue.check()

    story(tell, ADDRESS_MAX=ADDRESS_MAX, WAITING_MAX=WAITING_MAX)


def test_of_one_network_so_many_wait_and_one_more_is_refused() -> None:
    async def tell(queue: Queue) -> None:
        mine = [queue.ask("a", str(number)) for number in range(HASHERS + ADDRESS_MAX)]
        refused = queue.ask("a", "another name")
        assert isinstance(refused.said[0], Overloaded)
        assert not any(it.said for it in mine)
        assert not queue.ask("b").said

    story(tell, ADDRESS_MAX=ADDRESS_MAX)


def test_when_all_is_full_the_youngest_of_the_longest_queue_goes() -> None:
    """Whoever comes from elsewhere finds room."""

    async def tell(queue: Queue) -> None:
        mine = [queue.ask("a", "y" if number % 3 else "x") for number in range(HASHERS + 5)]
        other = queue.ask("b")
        assert not any(it.said for it in (*mine, other))
        newest = queue.ask("c")
        assert [it for it in queue.jobs if it.said] == [mine[5]], "the youngest of name y"
        assert not newest.said

    story(tell, WAITING_MAX=WAITING_MAX)


def test_who_is_suspect_gives_up_its_place_to_who_is_not() -> None:
    async def tell(queue: Queue) -> None:
        for number in range(HASHERS):
            queue.ask("a", str(number))
        suspects = [queue.ask(network, is_suspect=True) for network in "bcc"]
        honest = [queue.ask("d", str(number)) for number in range(4)]
        assert [it for it in queue.jobs if it.said] == [suspects[2]]
        await queue.end(0)
        assert honest[0].began
        assert not suspects[0].began, "all others come first"

    story(tell, WAITING_MAX=WAITING_MAX)


def test_suspects_never_have_all_threads() -> None:
    async def tell(queue: Queue) -> None:
        guesses = [queue.ask("a", str(number), is_suspect=True) for number in range(5)]
        assert [it.began for it in guesses] == [True] + 4 * [False]
        right = queue.ask("a", "right")
        assert right.began
        await queue.end(1)
        assert not guesses[1].began
        await queue.end(0)
        assert guesses[1].began

    story(tell)


def test_work_that_fails_is_told_and_gives_its_thread_back() -> None:
    def fail() -> object:
        raise ValueError("no salt")

    async def tell(queue: Queue) -> None:
        said: list[BaseException | None] = []
        for _ in range(HASHERS + 1):
            queue.hashers.run("a", "x", fail, lambda it: said.append(it.exception()))
        await queue.threads.end_all()
        assert [type(it) for it in said] == [ValueError] * (HASHERS + 1)

    story(tell)


def test_how_long_it_takes_is_learnt_of_what_was_done_and_not_of_what_was_refused() -> None:
    async def tell(queue: Queue) -> None:
        assert queue.ask("a").said
        assert not queue.hashers.is_measured

    story(tell, ADDRESS_MAX=0)

    async def tell_more(queue: Queue) -> None:
        queue.ask("a")
        await queue.end(0)
        assert queue.hashers.is_measured
        assert queue.hashers.draw_s() >= 0

    story(tell_more)
