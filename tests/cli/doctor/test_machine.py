"""Versions, descriptors, memory and clock, by facts and as they are here."""

import os

import pytest

from roost.cli.doctor.machine import (
    ClockFacts,
    MemoryFacts,
    judge_clock,
    judge_descriptors,
    judge_memory,
    look_at_clock,
    look_at_memory,
    version_row,
)
from roost.cli.doctor.row import State, size_of
from roost.settings import DEFAULTS, Settings

GIB = 1 << 30


def memory(**changes: int | bool | None) -> MemoryFacts:
    held = {"limit_bytes": 4 * GIB, "used_bytes": GIB, "is_short": False, "address_bytes": None}
    return MemoryFacts(name="cgroup memory.max", **{**held, **changes})  # type: ignore[arg-type]  # by name


def test_versions_are_all_named() -> None:
    row = version_row()
    assert row.state is State.OK
    assert row.measured.keys() == {"roost", "tree", "python", "lmdb", "openssl", "kernel"}
    assert all(row.measured.values())


def test_a_process_that_may_not_run_a_member_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.compiled.fault", lambda *_: "made of other sources")
    row = version_row()
    assert row.state is State.FAILED
    assert "made of other sources" in row.to_do


def test_descriptors_are_enough_for_the_connections_that_are_let_in() -> None:
    assert judge_descriptors(20_000, 10_000).state is State.OK
    few = judge_descriptors(1024, 10_000)
    assert few.state is State.WARNED
    assert few.measured["limit"] == 1024
    wanted = int(few.to_do.split(": ")[1].split()[0])
    assert judge_descriptors(wanted, 10_000).state is State.OK


@pytest.mark.parametrize(
    ("facts", "quota", "words"),
    [
        (memory(is_short=True), GIB, "refused"),
        (memory(limit_bytes=128 << 20), GIB, "256.0 MiB"),
        (memory(address_bytes=2 * GIB), GIB, "ulimit -v"),
    ],
)
def test_too_little_memory_is_told(facts: MemoryFacts, quota: int, words: str) -> None:
    row = judge_memory(facts, quota)
    assert row.state is State.WARNED
    assert words in row.to_do


def test_memory_that_is_there_is_named_with_its_limit() -> None:
    row = judge_memory(memory(address_bytes=3 * GIB), GIB)
    assert (row.state, row.found) == (State.OK, "4.0 GiB by cgroup memory.max, 1.0 GiB in use")
    here = look_at_memory(Settings(max_memory_bytes=300 << 20))
    assert (here.limit_bytes, here.name) == (300 << 20, "--max-memory-bytes")
    assert look_at_memory(DEFAULTS).limit_bytes > 0


def test_a_clock_that_nobody_sets_is_told() -> None:
    assert judge_clock(ClockFacts(is_synchronised=True, error_ms=3.2)).state is State.OK
    assert judge_clock(ClockFacts(is_synchronised=False, error_ms=0.0)).state is State.WARNED
    assert judge_clock(None).state is State.SKIPPED


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="the kernel is asked as Linux's is")
def test_the_kernel_says_whether_its_clock_is_right() -> None:
    said = look_at_clock()
    assert said is not None
    assert said.error_ms >= 0


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (GIB, "1.0 GiB")]
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert size_of(count) == text
