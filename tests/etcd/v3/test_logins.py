"""Logging in, in virtual time: what a password costs, who may guess, who is delayed by whom."""

from collections.abc import Awaitable, Callable, Sequence

import bcrypt
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from roost import etcd
from roost.call import Unary
from roost.errors import RoostError
from roost.etcd.access import attempts, hashers
from roost.flow import OWN, Flow
from roost.outcome import ReadDone
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from tests.etcd.access.threads import Threads
from tests.etcd.guarded import World
from tests.etcd.replica import Answer

WRONG = (3, "etcdserver: authentication failed, invalid user ID or password")
OFTEN = (8, "etcdserver: too many failed authentications")
FULL = (8, "etcdserver: too many requests")
NOT_ON = (9, "etcdserver: authentication is not enabled")


class Door:
    """A member that is logged in at; passwords are checked when a test lets them be."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.world = World(etcd.AuthOptions(bcrypt_cost=4))
        self.threads = Threads()
        self.checked: list[bytes] = []
        self.hashed_count = 0
        patch.setattr(bcrypt, "checkpw", self.check)
        patch.setattr(bcrypt, "hashpw", self.hash)

    def check(self, given: bytes, held: bytes) -> bool:
        self.checked.append(given)
        return held == b"#" + given

    def hash(self, given: bytes, _salt: bytes) -> bytes:
        self.hashed_count += 1
        return b"#" + given

    def ask(self, name: str, password: str, address: str = "10.0.0.1") -> Answer:
        return self.call(
            "Authenticate", pb.AuthenticateRequest(name=name, password=password), address
        )

    def call(self, method: str, request: Message, address: str = "") -> Answer:
        route = self.world.routes[f"/etcdserverpb.Auth/{method}".encode()]
        assert isinstance(route, Unary)
        answer = Answer(address=address)
        route.handle(answer, request.SerializeToString())
        return answer

    async def said(self, *answers: Answer) -> list[tuple[int, str] | None]:
        """What all of them heard once every thread is ready; None is a token."""
        await self.threads.end_all()
        await pass_time(1.0)  # a name that is nobody's is told by a timer
        return heard(answers)


def heard(answers: Sequence[Answer]) -> list[tuple[int, str] | None]:
    assert all(it.error or it.message for it in answers), "all are answered"
    return [it.error for it in answers]


def story(tell: Callable[[Door], Awaitable[None]], **bounds: int) -> None:
    async def main() -> None:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in bounds.items():
                patch.setattr(hashers, name, value)
            door = Door(patch)
            try:
                await tell(door)
            finally:
                door.world.replica.close()

    run_virtually(main())


def test_a_name_that_is_nobodys_costs_no_hash_and_looks_like_a_wrong_password() -> None:
    async def tell(door: Door) -> None:
        assert await door.said(door.ask("reader", "guess")) == [WRONG]
        assert (len(door.checked), door.hashed_count) == (1, 0)
        door.world.now_s += 5
        for number in range(8):
            assert await door.said(door.ask(f"nobody{number}", "guess")) == [WRONG]
            assert await door.said(door.ask("nobody", "guess")) == [WRONG]
        assert (len(door.checked), door.hashed_count) == (1, 0)

    story(tell)


def test_the_answer_to_a_name_that_is_nobodys_takes_as_long_as_a_check() -> None:
    async def tell(door: Door) -> None:
        await door.said(door.ask("reader", "guess"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hashers.Hashers, "draw_s", lambda _self: 12.5)
            answer = door.ask("nobody", "guess")
        await pass_time(12.4)
        assert answer.error is None
        await pass_time(0.2)
        assert answer.error == WRONG

    story(tell)


def test_the_first_name_that_is_nobodys_measures_once() -> None:
    async def tell(door: Door) -> None:
        for number in range(5):
            assert await door.said(door.ask(f"nobody{number}", "guess")) == [WRONG]
        assert (len(door.checked), door.hashed_count) == (0, 1)

    story(tell)


def test_a_user_without_a_password_is_like_nobody() -> None:
    """A certificate is its only way in."""

    async def tell(door: Door) -> None:
        options = auth_pb2.UserAddOptions(no_password=True)
        request = pb.AuthUserAddRequest(name="bare", options=options)
        door.world.run_as_root("etcd.user_add", request)
        for password in ("", "guess"):
            assert await door.said(door.ask("bare", password)) == [WRONG]
        assert door.checked == []

    story(tell)


@pytest.mark.parametrize("name", ["reader", "nobody"])
def test_failures_are_limited_by_name_and_address_and_lock_nobody_else_out(name: str) -> None:
    async def tell(door: Door) -> None:
        guesses = [door.ask(name, f"guess{number}") for number in range(attempts.FAILURES_MAX + 5)]
        assert await door.said(*guesses) == [WRONG] * attempts.FAILURES_MAX + [OFTEN] * 5
        right = door.ask("reader", "reader", "10.0.0.2")
        assert await door.said(right, door.ask("root", "root")) == [None, None]
        door.world.now_s += attempts.WINDOW_S
        assert await door.said(door.ask("reader", "reader")) == [None]

    story(tell)


def test_a_right_password_is_not_held_against_anybody() -> None:
    async def tell(door: Door) -> None:
        for _ in range(5 * attempts.FAILURES_MAX):
            assert await door.said(door.ask("reader", "reader")) == [None]

    story(tell)


def test_a_fleet_that_comes_back_is_checked_once_and_each_has_a_token_of_its_own() -> None:
    async def tell(door: Door) -> None:
        fleet = [door.ask("reader", "reader") for _ in range(500)]
        assert await door.said(*fleet) == [None] * 500
        assert len(door.checked) == 1
        tokens = {pb.AuthenticateResponse.FromString(it.message or b"").token for it in fleet}
        assert len(tokens) == 500

    story(tell)


NAMES, PASSWORDS, PLACES = ("root", "reader"), ("root", "reader"), ("10.0.0.1", "10.0.0.2")
ASKED = st.tuples(*(st.sampled_from(it) for it in (NAMES, PASSWORDS, PLACES)))


@given(st.lists(st.one_of(ASKED, st.none()), max_size=12))
def test_what_is_asked_at_one_moment_shares_a_check_only_with_the_same(
    steps: list[tuple[str, str, str] | None],
) -> None:
    """Never another's name, place or password; None lets what was asked so far be checked."""

    async def tell(door: Door) -> None:
        moment: dict[tuple[str, str, str], list[Answer]] = {}
        for step in [*steps, None]:
            if step is not None:
                moment.setdefault(step, []).append(door.ask(*step))
                continue
            before = len(door.checked)
            for (name, password, _), answers in moment.items():
                expected = None if name == password else WRONG
                assert await door.said(*answers) == [expected] * len(answers)
            assert len(door.checked) - before == len(moment)
            moment.clear()
            door.world.now_s += attempts.WINDOW_S

    story(tell)


def test_a_password_that_is_changed_while_one_is_checked_is_another() -> None:
    """Who asks with the new one is not told what came of the old one, nor the other way round."""

    async def tell(door: Door) -> None:
        old = door.ask("reader", "reader")
        request = pb.AuthUserChangePasswordRequest(name="reader", hashedPassword="#changed")
        door.world.run_as_root("etcd.user_password", request)
        stale, new = door.ask("reader", "reader"), door.ask("reader", "changed")
        await door.said(old, stale, new)
        assert (stale.error, new.error) == (WRONG, None)
        assert old.error is not None, "the password that bought it is not the user's any more"

    story(tell)


def test_a_queue_of_guesses_delays_a_right_password_by_a_turn() -> None:
    """From elsewhere, and from the same place at another name."""

    async def tell(door: Door) -> None:
        guesses = [door.ask("reader", f"guess{number}") for number in range(10)]
        guesses += [door.ask("root", f"guess{number}", "10.0.0.9") for number in range(10)]
        elsewhere = door.ask("reader", "reader", "10.0.0.2")
        same_place = door.ask("root", "root")
        for _ in range(hashers.HASHERS + 6):
            await door.threads.end()
        assert heard([elsewhere, same_place]) == [None, None]
        assert set(await door.said(*guesses)) == {WRONG}

    story(tell)


def test_guesses_that_go_on_leave_a_thread_to_who_has_not_failed() -> None:
    async def tell(door: Door) -> None:
        assert await door.said(door.ask("reader", "guess")) == [WRONG]
        guesses = [door.ask("reader", f"guess{number}") for number in range(5)]
        right = door.ask("root", "root")
        await until_idle()
        await door.threads.end(1)
        assert heard([right]) == [None]
        assert door.checked == [b"guess", b"root"], "one guess is at work, and goes on"
        assert await door.said(*guesses) == [WRONG] * 5

    story(tell)


def test_whoever_comes_from_elsewhere_finds_room_in_a_full_queue() -> None:
    async def tell(door: Door) -> None:
        guesses = [door.ask("reader", f"guess{number}") for number in range(10)]
        right = door.ask("reader", "reader", "10.0.0.2")
        [refused] = [it for it in guesses if it.error]
        assert refused.error == FULL
        assert refused is guesses[-1]
        assert await door.said(right) == [None]

    story(tell, WAITING_MAX=8)


def test_while_authentication_is_off_there_is_nothing_to_log_in_to() -> None:
    async def tell(door: Door) -> None:
        door.world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
        assert await door.said(door.ask("root", "root")) == [NOT_ON]
        assert not door.checked

    story(tell)


def test_a_member_that_cannot_read_says_so_and_checks_nothing() -> None:
    """By its own state alone it would not know a password that was just changed."""

    async def tell(door: Door) -> None:
        def read(done: ReadDone, flow: Flow = OWN) -> None:
            del flow
            done(RoostError("no leader"))

        door.world.replica.read_nowait = read  # type: ignore[method-assign]  # it has no leader
        answer = door.ask("root", "root")
        await door.said(answer)
        assert answer.error is not None
        assert not door.checked

    story(tell)


def test_a_check_that_fails_ends_each_call_that_waits_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def tell(door: Door) -> None:
        def fail(_given: bytes, _held: bytes) -> bool:
            raise ValueError("no salt")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bcrypt, "checkpw", fail)
            answers = [door.ask("root", "root") for _ in range(3)]
            said = await door.said(*answers)
        assert None not in said
        assert await door.said(door.ask("root", "root")) == [None], "and the next begins anew"

    story(tell)
    assert "a call failed" in caplog.text


def test_only_those_who_may_set_a_password_cost_a_hash() -> None:
    async def tell(door: Door) -> None:
        for method, request in (
            ("UserAdd", pb.AuthUserAddRequest(name="new", password="p")),
            ("UserChangePassword", pb.AuthUserChangePasswordRequest(name="root", password="p")),
        ):
            answer = door.call(method, request)
            assert await door.said(answer) == [(3, "etcdserver: user name is empty")]
        assert door.hashed_count == 0

    story(tell)


def test_a_password_that_nobody_waits_for_any_more_costs_no_thread_and_counts_for_nobody() -> None:
    async def tell(door: Door) -> None:
        busy = [door.ask(name, name) for name in ("root", "reader")]
        await until_idle()
        assert len(door.threads.working) == hashers.HASHERS
        gone = [door.ask("reader", "wrong") for _ in range(2)]
        half = [door.ask("reader", "reader", "10.0.0.2") for _ in range(2)]
        many = [door.ask("reader", f"{it}", "10.0.0.3") for it in range(attempts.FAILURES_MAX)]
        await until_idle()
        for answer in (*gone, half[0], *many):
            answer.is_gone = True
        await door.threads.end_all()
        assert heard([*busy, half[1]]) == [None] * 3
        assert door.checked == [b"root", b"reader", b"reader"]
        later = [door.ask("reader", f"{it}", "10.0.0.3") for it in range(attempts.FAILURES_MAX)]
        assert await door.said(*later) == [WRONG] * attempts.FAILURES_MAX

    story(tell)
