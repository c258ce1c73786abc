"""File descriptors: all that may be had are, and a part is kept for members and for files."""

import os
import resource
from dataclasses import dataclass
from errno import EACCES, EMFILE
from pathlib import Path

import pytest

from roost.descriptors import (
    FILES_MAX,
    FILES_MIN,
    LIMIT_MAX,
    MEMBERS_MAX,
    MEMBERS_MIN,
    Held,
    attainable,
    free_for_all,
    free_for_members,
    limit,
    raise_limit,
)

INFINITY = resource.RLIM_INFINITY


@dataclass
class Limits:
    """What a process may have, as the kernel says it."""

    soft: int
    hard: int


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    held = Limits(1024, 4096)

    def change(_which: int, told: tuple[int, int]) -> None:
        held.soft, held.hard = told

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (held.soft, held.hard))
    monkeypatch.setattr(resource, "setrlimit", change)
    return held


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1024, 4096, 4096),
        (4096, 4096, 4096),
        (1024, INFINITY, LIMIT_MAX),
        (1024, 2 * LIMIT_MAX, LIMIT_MAX),
        (INFINITY, INFINITY, LIMIT_MAX),
        (2 * LIMIT_MAX, INFINITY, 2 * LIMIT_MAX),
    ],
)
def test_the_soft_limit_is_raised_to_what_may_be_and_is_of_use(
    limits: Limits, soft: int, hard: int, expected: int
) -> None:
    limits.soft, limits.hard = soft, hard
    assert attainable() == expected
    assert limits.soft == soft, "who asks changes nothing"
    assert raise_limit() == limit() == expected
    assert limits.hard == hard, "what is lowered there comes never back"
    kept = soft if soft in (INFINITY, expected) else expected
    assert limits.soft == kept, "and nothing that we had was taken away"


@pytest.mark.parametrize("most", [64, 128, 1024, 4096, 1 << 20])
def test_a_part_is_for_members_and_another_for_files_whatever_the_limit(
    limits: Limits, most: int
) -> None:
    limits.soft = most
    files, members = most - free_for_members(), free_for_members() - free_for_all()
    assert FILES_MIN <= files <= FILES_MAX
    assert MEMBERS_MIN <= members <= MEMBERS_MAX
    assert 0 < free_for_all() < free_for_members() < most


def open_count() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_what_is_held_is_there_to_be_given_up_and_had_again() -> None:
    before = open_count()
    held = Held(3)
    assert open_count() == before + 3
    held.hold()
    assert open_count() == before + 3, "no more than that"
    held.release()
    held.release()
    assert open_count() == before


def test_who_can_have_none_holds_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def open_some(*_: object) -> int:
        if len(opened) == 2:
            raise OSError(EMFILE, "too many open files")
        opened.append(os.dup(2))
        return opened[-1]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_some)
        held = Held(4)
    held.release()
    for number in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)


def test_another_error_is_not_taken_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(EACCES, "not for you")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="not for you"):
        Held(1)
