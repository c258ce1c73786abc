"""While memory is short nothing new is begun, and it is begun again when there is room."""

import logging

import pytest

from roost.errors import ShortOfMemory
from roost.memory import HELD_BYTES_MIN, STRIDE_BYTES, Memory, give_back, tune_allocator
from roost.memory_limit import Limit, Taken

MIB = 1 << 20
LIMIT = 600 * MIB
RESERVE = 100 * MIB


class Machine:
    """Takes what it is told to."""

    def __init__(self, *, reads_files: bool = False) -> None:
        self.taken_bytes = 100 * MIB
        self.looked = 0
        limit = Limit(LIMIT, "a test", self._used, reads_files=reads_files)
        self.memory = Memory([limit, Limit(1 << 50, "another", lambda _: 0)], self._read)
        self.memory.held = lambda: HELD_BYTES_MIN

    def _read(self) -> Taken:
        return Taken(anonymous_bytes=self.taken_bytes)

    def _used(self, taken: Taken) -> int:
        self.looked += 1
        return taken.anonymous_bytes

    def take(self, count: int) -> bool:
        """Take so much in all; say whether memory is short then."""
        self.taken_bytes = count
        self.memory.look()
        return self.memory.is_short


def test_the_reserve_is_kept_and_half_of_it_more_must_be_free_again() -> None:
    machine = Machine()
    assert not machine.take(LIMIT - RESERVE - MIB)
    machine.memory.check()
    assert machine.take(LIMIT - RESERVE + MIB)
    with pytest.raises(ShortOfMemory, match=r"^a test$"):
        machine.memory.check()
    assert machine.memory.refused_count == 1
    assert machine.take(LIMIT - RESERVE - MIB), "it does not flap"
    assert machine.take(LIMIT - RESERVE - RESERVE // 2 + MIB)
    assert not machine.take(LIMIT - RESERVE - RESERVE // 2 - MIB)
    assert machine.memory.short_count == 1


def test_it_is_looked_in_between_when_much_was_taken_in() -> None:
    machine = Machine()
    machine.taken_bytes = LIMIT
    machine.memory.note(STRIDE_BYTES - 1)
    assert not machine.memory.is_short
    machine.memory.note(1)
    assert machine.memory.is_short


def test_what_is_read_of_files_is_carried_on_by_what_was_taken_since() -> None:
    machine = Machine(reads_files=True)
    looked = machine.looked
    machine.taken_bytes = LIMIT
    machine.memory.note(STRIDE_BYTES)
    assert machine.memory.is_short
    assert machine.looked == looked, "files are read on the tick alone"


def test_an_allocation_that_failed_stops_new_work_until_a_look_finds_room() -> None:
    machine = Machine()
    assert isinstance(machine.memory.on_error(), ShortOfMemory)
    assert machine.memory.is_short
    assert machine.memory.error_count == 1
    assert not machine.take(100 * MIB)


def test_memory_that_nothing_holds_and_nobody_gives_back_does_not_keep_work_out() -> None:
    """What an allocator keeps is there for what comes next."""
    machine = Machine()
    empty = LIMIT - RESERVE + 10 * MIB
    assert machine.take(empty)
    machine.memory.held = lambda: 0
    assert not machine.take(empty)
    machine.memory.held = lambda: HELD_BYTES_MIN
    assert not machine.take(empty + RESERVE // 4)
    assert machine.take(empty + RESERVE // 4 + MIB)
    machine.memory.held = lambda: 0
    assert machine.take(LIMIT - RESERVE // 2), "of what is left now nothing may be lost"


def test_without_a_limit_there_is_room_and_a_failed_allocation_is_its_own() -> None:
    memory = Memory()
    memory.note(1 << 40)
    memory.look()
    memory.check()
    assert memory.describe() == "no limit is known"
    memory.on_error()
    assert not memory.is_short
    assert memory.room_bytes > 1 << 40


def test_the_log_says_how_much_of_what(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    assert machine.memory.describe().startswith(f"{LIMIT} bytes (a test), ")
    with caplog.at_level(logging.WARNING):
        machine.take(LIMIT)
        machine.take(0)
    short, again = caplog.messages
    assert f"{LIMIT} of {LIMIT} bytes (a test)" in short
    assert "there is memory again" in again


def test_the_allocator_is_asked_where_it_can_be() -> None:
    tune_allocator()
    give_back()
