"""While memory is short nothing new is begun, and it is begun again when there is room."""

import logging
import platform
import subprocess
import sys

import pytest

from roost.errors import ShortOfMemory
from roost.memory import (
    HELD_BYTES_MIN,
    STRIDE_BYTES,
    Memory,
    give_back,
    kept_bytes,
    tune_allocator,
)
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
    tune_allocator(Memory())
    give_back()


# Blocks of a megabyte that come and go, and what is still resident after many at once.
_TUNED = """
import resource, sys
from roost.memory import Memory, give_back, tune_allocator
from roost.memory_limit import Limit, Statm, Taken

tune_allocator(Memory([Limit(int(sys.argv[1]), "a test", lambda _: 0)], Taken))
size = 1 << 20  # not a constant, which Python would make once

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

b"x" * size
before = faults()
for _ in range(50):
    b"x" * size
print(faults() - before)
statm = Statm()
held = [b""] * 200
for position in range(200):
    held[position] = b"x" * size
before = statm.read().anonymous_bytes
while position >= 0:
    held[position] = b""  # the last of them lies at the end
    position -= 1
print(before - statm.read().anonymous_bytes)
give_back()
print(before - statm.read().anonymous_bytes)
"""


def _blocks(limit_bytes: int) -> list[int]:
    """Page faults of 50 MiB by turns; and of 200 MiB at once, what goes, and goes when asked."""
    told = subprocess.run(
        [sys.executable, "-c", _TUNED, str(limit_bytes)], capture_output=True, check=True
    )
    return [int(it) for it in told.stdout.split()]


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the allocator of this machine is not glibc's"
)
def test_what_is_freed_is_kept_up_to_a_bound_and_given_back_when_asked() -> None:
    fault_count, given, asked = _blocks(1 << 50)
    assert fault_count < 2 * 256  # one block's pages, which the next ones find there
    assert 200 * MIB - 72 * MIB < given < 200 * MIB - MIB  # all but what is kept
    assert asked > 190 * MIB
    fault_count, given, _ = _blocks(20 * MIB)
    assert fault_count > 50 * 200  # without, each block comes anew
    assert given > 190 * MIB


@pytest.mark.parametrize(
    ("limit_bytes", "kept"), [(1 << 50, 64 * MIB), (768 * MIB, 20 * MIB), (20 * MIB, 128 << 10)]
)
def test_a_small_machine_has_less_kept(limit_bytes: int, kept: int) -> None:
    assert kept_bytes(Memory([Limit(limit_bytes, "a test", lambda _: 0)], Taken)) == kept
