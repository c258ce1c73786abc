"""Whoever was not named is found by what the cluster says."""

from dataclasses import dataclass

from roost.cli.doctor.bounded import unasked
from roost.client import Member, Status


@dataclass(frozen=True, slots=True)
class Answer:
    endpoint: str
    status: Status | None = None


def status(number: int) -> Status:
    return Status(
        endpoint=f"127.0.0.1:{number}",
        member_id=number,
        leader_id=1,
        term=2,
        index=5,
        applied_index=5,
        revision=7,
        version="3.5.1",
        db_bytes=0,
        db_bytes_in_use=0,
        is_learner=False,
        errors=(),
    )


def member(number: int, *urls: str) -> Member:
    return Member(id=number, name=f"m{number}", peer_urls=(), client_urls=urls, is_learner=False)


MEMBERS = [*(member(it, f"http://127.0.0.1:{it}", f"http://10.0.0.{it}:1") for it in (1, 2, 3)),
           member(4)]  # fmt: skip


def test_whoever_has_not_answered_is_asked_where_the_cluster_says() -> None:
    """By its first URL; one that has none has not started, and cannot be asked."""
    held = [Answer("127.0.0.1:1", status(1))]
    assert unasked(held, MEMBERS) == ["http://127.0.0.1:2", "http://127.0.0.1:3"]


def test_one_that_was_asked_by_another_name_is_known_by_what_it_said() -> None:
    held = [Answer("localhost:1", status(1)), Answer("localhost:2", status(2))]
    assert unasked(held, MEMBERS) == ["http://127.0.0.1:3"]


def test_one_that_was_asked_and_is_silent_is_not_asked_again() -> None:
    held = [Answer("127.0.0.1:1", status(1)), Answer("127.0.0.1:2")]
    assert unasked(held, MEMBERS) == ["http://127.0.0.1:3"]
    assert unasked([*held, Answer("https://127.0.0.1:3")], MEMBERS) == []
