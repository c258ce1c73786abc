"""Lines of those who wait: however many they are, a slice looks at few of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from roost.database import Moment, Transaction
from roost.database import parts as parts_module
from roost.objects.layouts import lines
from roost.objects.layouts.lines import NOWHERE, Asked, Held, OneLine, Standing
from tests.objects.layouts.test_rows import CountedRows
from tests.objects.test_many import slices_of

SLICE, MANY = 6, 60
TTL_S = 10.0


class Line:
    """One of many, and the time."""

    def __init__(self, permits: int) -> None:
        self.now = Moment(clock=1, at_s=0.0)
        self.rows = CountedRows()
        self.txn = Transaction(self.rows, lambda: self.now)
        self.permits = permits
        line = OneLine(self.txn, "lock/a", permits)
        for number in range(MANY):
            line.enter(self.asked(b"%d" % number))

    def asked(self, who: bytes) -> Asked:
        return Asked(line="lock/a", permits=self.permits, who=who, value=b"v", ttl_s=TTL_S)

    def tickets(self) -> list[int]:
        return [ticket for (_, ticket), _ in OneLine(self.txn, "lock/a", self.permits).places()]


Do = Callable[[Line], Any]
LAST = b"%d" % (MANY - 1)
STANDING = Standing(ticket=MANY, ahead_s=TTL_S)


def pass_time(line: Line) -> None:
    line.now = Moment(clock=1, at_s=TTL_S + 1)


def lead_elsewhere(line: Line) -> None:
    line.now = Moment(clock=2, at_s=0.0)


def nothing(_line: Line) -> None:
    """It is as it was."""


LONG: list[tuple[int, Do, Do, object, int]] = [
    (1, nothing, lambda it: lines.enter(it.txn, it.asked(LAST), True, True), STANDING, MANY),
    (1, nothing, lambda it: lines.leave(it.txn, it.asked(LAST), 0), True, MANY - 1),
    (1, nothing, lambda it: lines.leave(it.txn, it.asked(b"nobody"), 0), False, MANY),
    (1, pass_time, lambda it: lines.first(it.txn, "lock/a"), None, 0),
    (
        1,
        pass_time,
        lambda it: lines.enter(it.txn, it.asked(b"new"), False, False),
        Standing(ticket=MANY + 1, is_held=True),
        1,
    ),
    (
        MANY,
        lead_elsewhere,
        lambda it: lines.look(it.txn, it.asked(LAST), MANY),
        Standing(ticket=MANY, is_held=True, ahead_s=TTL_S),
        MANY,
    ),
    (
        MANY,
        nothing,
        lambda it: lines.enter(it.txn, it.asked(b"new"), False, False),
        NOWHERE,
        MANY,
    ),
    (MANY, nothing, lambda it: lines.first(it.txn, "lock/a"), Held(1, b"v"), MANY),
]


@pytest.fixture
def few_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_module, "SLICE_ROWS", SLICE)
    monkeypatch.setattr("roost.database.transaction.PAGE_ROWS", 2)


@pytest.mark.usefixtures("few_a_slice")
@pytest.mark.parametrize("number", range(len(LONG)))
def test_what_goes_through_a_line_goes_on_over_turns(number: int) -> None:
    """Issue 14: of ten thousand who wait each of these was one step of 23 to 76 ms."""
    permits, happens, do, wanted, left = LONG[number]
    line = Line(permits)
    happens(line)
    come_to: list[object] = []

    def steps() -> Iterator[None]:
        come_to.append((yield from do(line)))

    found = slices_of(steps(), line.rows)
    assert come_to == [wanted]
    assert len(line.tickets()) == left
    assert len(found) >= MANY // SLICE
    assert max(found) <= 2 * SLICE + 6
