"""A session says when its lease is lost, and when renewals begin to fail."""

import threading

import pytest

from roost.client import ClientError, LeaseLost, Scope, Session
from roost.testing.patience import wait_until


class Leases:
    """Renews as it is told."""

    def __init__(self, *, ttl_s: int = 60) -> None:
        self.ttl_s = ttl_s
        self.answers: list[int | ClientError] = []
        self.renewed: list[int] = []
        self.revoked: list[int] = []

    def grant(self, ttl_s: int) -> tuple[int, int]:
        return 7, ttl_s

    def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int:
        assert timeout_s is None or timeout_s > 0
        self.renewed.append(lease_id)
        answer = self.answers.pop(0) if self.answers else self.ttl_s
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def wait_renewed(self, count: int) -> None:
        wait_until(lambda: len(self.renewed) >= count)

    def revoke(self, lease_id: int) -> None:
        self.revoked.append(lease_id)


class Clock:
    """Time goes by when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("roost.client.session._now", lambda: self.now)
        monkeypatch.setattr("roost.client.session._LOOK_S", 0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


AWAY = ClientError("UNAVAILABLE", "away")


def test_a_lease_is_renewed_once_a_third_of_its_time_and_given_back(clock: Clock) -> None:
    leases = Leases()
    with Session(leases, 60) as session:
        for count in range(1, 4):
            clock.now += 20
            leases.wait_renewed(count)
    assert session.lost is None
    assert leases.revoked == [7]


def test_a_lease_that_is_gone_is_lost_and_not_given_back(clock: Clock) -> None:
    leases, told = Leases(), threading.Event()
    leases.answers = [0]
    scope: Scope
    with Session(leases, 60, on_lost=lambda _: told.set()) as session:
        scope = session.scope
        clock.now += 20
        assert told.wait(60)
        with pytest.raises(LeaseLost, match="lease 7 has expired or was revoked"):
            session.check()
        with pytest.raises(LeaseLost):
            scope.check()
    assert not leases.revoked


def test_a_lease_that_nobody_renews_is_lost_a_quarter_before_its_end(clock: Clock) -> None:
    leases, troubles = Leases(), list[ClientError]()
    leases.answers = [AWAY] * 1000
    with Session(leases, 60, on_trouble=troubles.append) as session:
        for at in (20, 30, 44):
            clock.now = 1000 + at
            leases.wait_renewed(len(leases.renewed) + 1)
        assert session.lost is None
        clock.now = 1045
        wait_until(lambda: session.lost is not None)
        with pytest.raises(LeaseLost, match="could not be renewed in time"):
            session.check()
    assert troubles == [AWAY], "it is said once"


def test_time_that_we_slept_has_gone_by(clock: Clock) -> None:
    leases = Leases()
    with Session(leases, 60) as session:
        clock.now += 3600
        wait_until(lambda: session.lost is not None)
    assert not leases.renewed


def test_somebody_elses_lease_is_only_renewed(clock: Clock) -> None:
    leases, renewed = Leases(ttl_s=30), list[int]()
    with Session(leases, 0, lease_id=9, on_renewed=renewed.append):
        clock.now += 10
        wait_until(lambda: len(renewed) == 2)
    assert leases.renewed == [9, 9]
    assert renewed == [30, 30]
    assert not leases.revoked
    leases.answers = [0]
    with pytest.raises(LeaseLost), Session(leases, 0, lease_id=9):
        pytest.fail("it was gone")
