"""A session says when its lease is lost, and when renewals begin to fail."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from roost.client import ClientError, Granted, LeaseLost
from roost.client.aio import Session
from roost.faces import Closed
from roost.sim.members.loop import pass_time, run_virtually

AWAY = ClientError("UNAVAILABLE", "away")


class Leases:
    """Renews as it is told."""

    def __init__(self, *, ttl_s: int = 60) -> None:
        self.ttl_s = ttl_s
        self.slept_s = 0.0
        self.answers: list[int | Exception] = []
        self.renewed_s: list[float] = []
        self.revoked: list[int] = []
        self.troubles: list[ClientError] = []
        self.lost: list[LeaseLost] = []
        self.told: list[int] = []

    def clock_s(self) -> float:
        return asyncio.get_running_loop().time() + self.slept_s

    async def grant(self, ttl_s: int) -> Granted:
        return Granted(7, ttl_s)

    async def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int:
        assert timeout_s is None or timeout_s > 0
        self.renewed_s.append(self.clock_s())
        answer = self.answers.pop(0) if self.answers else self.ttl_s
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def revoke(self, lease_id: int) -> None:
        self.revoked.append(lease_id)

    def session(self, ttl_s: int = 60, *, lease_id: int = 0) -> Session:
        return Session(
            self,
            ttl_s,
            lease_id=lease_id,
            clock_s=self.clock_s,
            on_renewed=self.told.append,
            on_lost=self.lost.append,
            on_trouble=self.troubles.append,
        )


def run(leases: Leases, story: Callable[[Session], Awaitable[None]], lease_id: int = 0) -> None:
    async def main() -> None:
        async with leases.session(lease_id=lease_id) as session:
            await story(session)

    run_virtually(main())


def test_a_lease_is_renewed_once_a_third_of_its_time_and_given_back() -> None:
    leases = Leases()

    async def story(session: Session) -> None:
        await pass_time(65)
        assert session.lost is None
        session.check()

    run(leases, story)
    assert [round(it) for it in leases.renewed_s] == [20, 40, 60]
    assert leases.told == [60, 60, 60]
    assert leases.revoked == [7]


def test_a_lease_that_is_gone_is_lost_and_not_given_back() -> None:
    leases = Leases()
    leases.answers = [0]

    async def story(session: Session) -> None:
        with pytest.raises(LeaseLost, match="lease 7 has expired or was revoked"):
            async with session.scope.holding():
                await pass_time(60)
        with pytest.raises(LeaseLost):
            session.check()
        assert leases.clock_s() < 21

    run(leases, story)
    assert leases.lost
    assert not leases.revoked


def test_a_lease_that_nobody_renews_is_lost_a_quarter_before_its_end() -> None:
    leases = Leases()
    leases.answers = [AWAY] * 1000

    async def story(session: Session) -> None:
        await pass_time(44)
        assert session.lost is None
        await pass_time(2)
        with pytest.raises(LeaseLost, match="could not be renewed in time"):
            session.check()

    run(leases, story)
    assert leases.troubles == [AWAY], "it is said once"


def test_time_that_we_slept_has_gone_by() -> None:
    leases = Leases()

    async def story(session: Session) -> None:
        leases.slept_s = 3600
        await pass_time(2)
        assert session.lost is not None

    run(leases, story)
    assert not leases.renewed_s


def test_who_asks_behind_a_standstill_is_told_at_once() -> None:
    leases = Leases()

    async def story(session: Session) -> None:
        leases.slept_s = 44
        session.check()
        leases.slept_s = 46
        with pytest.raises(LeaseLost, match="could not be renewed in time"):
            session.check()
        with pytest.raises(LeaseLost):
            async with session.scope.holding():
                await pass_time(60)
        leases.slept_s = 0

    run(leases, story)
    assert len(leases.lost) == 1, "it is said once, and lost for good"
    assert not leases.renewed_s
    assert not leases.revoked


def test_what_is_called_back_may_fail_and_the_lease_is_kept() -> None:
    leases = Leases()
    leases.answers = [60, AWAY, 60, 0]
    called: list[object] = []

    def fail(told: object) -> None:
        called.append(told)
        raise ZeroDivisionError

    async def main() -> None:
        session = Session(
            leases, 60, clock_s=leases.clock_s, on_renewed=fail, on_lost=fail, on_trouble=fail
        )
        async with session:
            await pass_time(50)
            session.check()
            await pass_time(20)
            with pytest.raises(LeaseLost):
                session.check()

    run_virtually(main())
    assert [type(it) for it in called] == [int, ClientError, int, LeaseLost]


@pytest.mark.parametrize("error", [Closed("it was closed"), ZeroDivisionError()])
def test_a_lease_that_cannot_be_renewed_any_more_is_lost(error: Exception) -> None:
    leases = Leases()
    leases.answers = [error]

    async def story(session: Session) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _said: None)
        await pass_time(21)
        with pytest.raises(LeaseLost, match="is renewed no more"):
            session.check()

    run(leases, story)
    assert len(leases.lost) == 1


def test_somebody_elses_lease_is_only_renewed() -> None:
    leases = Leases(ttl_s=30)

    async def story(session: Session) -> None:
        await pass_time(11)
        assert session.lease_id == 9

    run(leases, story, lease_id=9)
    assert leases.told == [30, 30]
    assert not leases.revoked
    leases.answers = [0]
    with pytest.raises(LeaseLost):
        run(leases, story, lease_id=9)
