"""Logging in: what a password costs, who may guess, and that guesses delay nobody else."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator

import bcrypt
import pytest

from roost import etcd
from roost.call import Unary
from roost.etcd.access import attempts, hashers
from roost.etcd.access.attempts import Attempts
from roost.flow import network_of
from roost.proto import rpc_pb2 as pb
from roost.testing.patience import PATIENCE_S
from tests.etcd.guarded import World
from tests.etcd.replica import Answer

WRONG = (3, "etcdserver: authentication failed, invalid user ID or password")
OFTEN = (8, "etcdserver: too many failed authentications")
FULL = (8, "etcdserver: too many requests")


class Bcrypt:
    """Stands for bcrypt: counts what it is asked, and works only when it is let.

    Which of two threads gets what one is let is chance; a password in `free` needs no leave.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free: set[bytes] = set()
        self.checked: list[bytes] = []
        self.hashed_count = 0
        self.gate = threading.Semaphore(0)
        monkeypatch.setattr(bcrypt, "checkpw", self.check)
        monkeypatch.setattr(bcrypt, "hashpw", self.hash)

    def let(self, count: int) -> None:
        self.gate.release(count)

    def check(self, given: bytes, held: bytes) -> bool:
        assert given in self.free or self.gate.acquire(timeout=PATIENCE_S)
        self.checked.append(given)
        return held == b"#" + given

    def hash(self, given: bytes, _salt: bytes) -> bytes:
        assert self.gate.acquire(timeout=PATIENCE_S)
        self.hashed_count += 1
        return b"#" + given


@pytest.fixture
def world() -> Iterator[World]:
    made = World(etcd.AuthOptions(bcrypt_cost=4))
    yield made
    made.replica.close()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Bcrypt:
    return Bcrypt(monkeypatch)


def ask(world: World, name: str, password: str, address: str = "10.0.0.1") -> Answer:
    route = world.routes[b"/etcdserverpb.Auth/Authenticate"]
    assert isinstance(route, Unary)
    answer = Answer(address=address)
    request = pb.AuthenticateRequest(name=name, password=password)
    route.handle(answer, request.SerializeToString())
    return answer


async def said(*answers: Answer) -> list[tuple[int, str] | None]:
    """Wait until all are answered; None is a token."""
    async with asyncio.timeout(30):
        while any(it.error is None and it.message is None for it in answers):
            await asyncio.sleep(0)
    return [it.error for it in answers]


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    asyncio.run(main())


def test_a_name_that_is_nobodys_costs_no_hash_and_looks_like_a_wrong_password(
    world: World, slow: Bcrypt
) -> None:
    async def story() -> None:
        slow.let(1000)
        assert await said(ask(world, "reader", "guess")) == [WRONG]
        assert (len(slow.checked), slow.hashed_count) == (1, 0)
        world.now_s += 5
        for number in range(8):
            assert await said(ask(world, f"nobody{number}", "guess")) == [WRONG]
            assert await said(ask(world, "nobody", "guess")) == [WRONG]
        assert (len(slow.checked), slow.hashed_count) == (1, 0)

    run(story)


def test_the_answer_to_a_name_that_is_nobodys_takes_as_long_as_a_check(
    world: World, slow: Bcrypt, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        slow.let(1)
        await said(ask(world, "reader", "guess"))
        waits: list[float] = []
        loop = asyncio.get_running_loop()
        real = loop.call_later

        def call_later(delay: float, *rest: object, **named: object) -> asyncio.TimerHandle:
            waits.append(delay)
            return real(0, *rest, **named)  # type: ignore[arg-type]  # handed on

        monkeypatch.setattr(loop, "call_later", call_later)
        monkeypatch.setattr(hashers.Hashers, "draw_s", lambda _self: 12.5)
        answer = ask(world, "nobody", "guess")
        assert waits == [12.5]
        assert await said(answer) == [WRONG]

    run(story)


def test_the_first_name_that_is_nobodys_measures_once(world: World, slow: Bcrypt) -> None:
    async def story() -> None:
        slow.let(1000)
        for number in range(5):
            assert await said(ask(world, f"nobody{number}", "guess")) == [WRONG]
        assert (len(slow.checked), slow.hashed_count) == (0, 1)

    run(story)


@pytest.mark.parametrize("name", ["reader", "nobody"])
def test_failures_are_limited_by_name_and_address_and_lock_nobody_else_out(
    world: World, slow: Bcrypt, name: str
) -> None:
    async def story() -> None:
        slow.let(1000)
        guesses = [
            ask(world, name, f"guess{number}") for number in range(attempts.FAILURES_MAX + 5)
        ]
        heard = await said(*guesses)
        assert heard == [WRONG] * attempts.FAILURES_MAX + [OFTEN] * 5
        right = ask(world, "reader", "reader", "10.0.0.2")
        assert await said(right, ask(world, "root", "root")) == [None, None]
        world.now_s += attempts.WINDOW_S
        assert await said(ask(world, "reader", "reader")) == [None]

    run(story)


def test_a_right_password_is_not_held_against_anybody(world: World, slow: Bcrypt) -> None:
    async def story() -> None:
        slow.let(1000)
        for _ in range(5 * attempts.FAILURES_MAX):
            assert await said(ask(world, "reader", "reader")) == [None]

    run(story)


def test_a_fleet_that_comes_back_is_checked_once(world: World, slow: Bcrypt) -> None:
    async def story() -> None:
        fleet = [ask(world, "reader", "reader") for _ in range(500)]
        slow.let(1)
        assert await said(*fleet) == [None] * 500
        assert len(slow.checked) == 1

    run(story)


def test_a_queue_of_guesses_delays_a_right_password_by_a_turn(world: World, slow: Bcrypt) -> None:
    """From elsewhere, and from the same place at another name."""

    async def story() -> None:
        guesses = [ask(world, "reader", f"guess{number}") for number in range(10)]
        guesses += [ask(world, "root", f"guess{number}", "10.0.0.9") for number in range(10)]
        elsewhere = ask(world, "reader", "reader", "10.0.0.2")
        same_place = ask(world, "root", "root")
        # Two are being checked; a few turns later, long before the other guesses, it is theirs.
        slow.free = {b"reader", b"root"}
        slow.let(hashers.HASHERS + 6)
        assert await said(elsewhere, same_place) == [None, None]
        slow.let(1000)
        assert set(await said(*guesses)) == {WRONG}

    run(story)


def test_guesses_that_go_on_leave_a_thread_to_who_has_not_failed(
    world: World, slow: Bcrypt
) -> None:
    async def story() -> None:
        slow.let(1)
        assert await said(ask(world, "reader", "guess")) == [WRONG]
        guesses = [ask(world, "reader", f"guess{number}") for number in range(5)]
        slow.free = {b"root"}
        right = ask(world, "root", "root")
        # One guess was begun, and goes on; the other thread was free.
        assert await said(right) == [None]
        assert slow.checked.count(b"root") == 1
        assert len(slow.checked) == 2
        slow.let(1000)
        assert await said(*guesses) == [WRONG] * 5

    run(story)


def test_whoever_comes_from_elsewhere_finds_room_in_a_full_queue(
    monkeypatch: pytest.MonkeyPatch, world: World, slow: Bcrypt
) -> None:
    monkeypatch.setattr(hashers, "WAITING_MAX", 8)

    async def story() -> None:
        guesses = [ask(world, "reader", f"guess{number}") for number in range(10)]
        right = ask(world, "reader", "reader", "10.0.0.2")
        [refused] = [it for it in guesses if it.error]
        assert refused.error == FULL
        assert refused is guesses[-1]
        slow.let(1000)
        assert await said(right) == [None]
        await said(*guesses)

    run(story)


def test_only_those_who_may_set_a_password_cost_a_hash(world: World, slow: Bcrypt) -> None:
    async def story() -> None:
        slow.let(1000)
        for method, request in (
            ("UserAdd", pb.AuthUserAddRequest(name="new", password="p")),
            ("UserChangePassword", pb.AuthUserChangePasswordRequest(name="root", password="p")),
        ):
            route = world.routes[f"/etcdserverpb.Auth/{method}".encode()]
            assert isinstance(route, Unary)
            answer = Answer()
            route.handle(answer, request.SerializeToString())
            assert await said(answer) == [(3, "etcdserver: user name is empty")]
        assert slow.hashed_count == 0

    run(story)


def test_a_place_is_an_address_or_a_customers_network() -> None:
    assert network_of("10.1.2.3") == "10.1.2.3"
    assert network_of("::ffff:10.1.2.3") == "10.1.2.3"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") == "2001:db8::/64"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""


def test_what_was_tried_takes_bounded_room() -> None:
    now_s = 0.0
    counts = Attempts(lambda: now_s)
    for number in range(3 * attempts.ROWS_MAX):
        name, network = "n" * 1000 + str(number), str(number)
        counts.fail(name, network)
        counts.begin(name, network)
    assert len(counts._windows) <= attempts.ROWS_MAX
    assert len(counts._failed_s) <= attempts.ROWS_MAX


def test_who_succeeds_is_no_suspect_and_who_fails_is_one_for_a_while() -> None:
    now_s = 0.0
    counts = Attempts(lambda: now_s)
    for name in ("mistyped", "guessed"):
        assert counts.begin(name, "here")
        counts.fail(name, "here")
        assert counts.is_suspect(name, "here")
        assert not counts.is_suspect(name, "there")
    counts.succeed("mistyped", "here")
    assert not counts.is_suspect("mistyped", "here")
    now_s = attempts.SUSPECT_S
    assert not counts.is_suspect("guessed", "here")
