"""A small record in two files."""

import json
import random
from itertools import count

import pytest

from roost.journal import JournalDamaged, UnknownFormat
from roost.journal.twin import Twin, peek_record
from roost.raft import HardState
from roost.sim.members.disk import InjectedError, PowerCut, SimDisk
from tests.journal.journals import HOME, WHOLE, acknowledged, content, open_journal


@pytest.mark.parametrize("name", ["hard", "identity", "catalog"])
def test_a_small_record_with_numbers_beyond_all_is_damage(name: str) -> None:
    disk = SimDisk()
    open_journal(disk).close()
    twin = Twin(disk, HOME, name)
    body = twin.load()
    assert body is not None or name == "hard"
    fields = json.loads(body or b"{}")
    for number in (-1, 2**64):
        for field in ("vote", "incarnation", "starts"):
            fields[field] = number
        twin.save(json.dumps(fields).encode())
        if name != "hard" or number < 0:
            with pytest.raises(JournalDamaged):
                open_journal(disk)
    twin.close()


def test_a_flipped_bit_in_any_small_file_is_repaired_from_its_twin() -> None:
    """J24: one is written after the other, so that one of them is always whole."""
    names = [f"{name}.{copy}" for name in ("hard", "catalog", "identity") for copy in "ab"]
    for name in names:
        for place in range(0, len(acknowledged().files[HOME / name].cache), 7):
            disk = acknowledged()
            disk.files[HOME / name].cache[place] ^= 4
            journal = open_journal(disk)
            assert content(journal) == WHOLE
            assert journal.hard_state == HardState(1, 0)
            journal.close()
            other = f"{name[:-1]}{'b' if name.endswith('a') else 'a'}"
            disk.files[HOME / other].cache[place] ^= 4
            assert content(open_journal(disk)) == WHOLE, f"{name} was not repaired"


def test_the_newest_body_comes_back() -> None:
    disk = SimDisk()
    twin = Twin(disk, HOME, "it")
    assert twin.load() is None
    for body in (b"one", b"longer than that", b"x"):
        twin.save(body)
        assert Twin(disk, HOME, "it").load() == body


def test_the_first_copy_is_durable_before_the_second_is_touched() -> None:
    """J24: a crash anywhere leaves the old body or the new one."""
    for call in count(1):
        disk = SimDisk()
        twin = Twin(disk, HOME, "it")
        twin.save(b"old")
        disk.cut_at(call)
        try:
            twin.save(b"new")
        except PowerCut:
            pass  # as it was told to
        else:
            return
        for seed in range(20):
            after = disk.crash(random.Random(seed), keep=0.5)
            assert Twin(after, HOME, "it").load() in (b"old", b"new")


def test_a_first_save_that_was_cut_short_left_nothing() -> None:
    """Nothing was promised upon it: it is as if it had never begun."""
    disk = SimDisk()
    twin = Twin(disk, HOME, "it")
    disk.fail_at = disk.calls + 1
    with pytest.raises(InjectedError):
        twin.save(b"first")
    assert any(disk.files[HOME / "it.a"].cache)
    assert Twin(disk, HOME, "it").load() is None


def test_two_copies_that_are_no_record_are_damage_and_nothing_is_guessed() -> None:
    disk = SimDisk()
    Twin(disk, HOME, "it").save(b"body")
    for copy in "ab":
        disk.files[HOME / f"it.{copy}"].cache[-1] ^= 1
    with pytest.raises(JournalDamaged, match="neither copy"):
        Twin(disk, HOME, "it").load()


def test_a_single_flipped_bit_anywhere_makes_a_copy_no_record() -> None:
    """J7: the digest covers head and body."""
    disk = SimDisk()
    Twin(disk, HOME, "it").save(b"body")
    for place in range(8 * len(disk.files[HOME / "it.a"].cache)):
        cache = disk.files[HOME / "it.a"].cache
        cache[place // 8] ^= 1 << place % 8
        twin = Twin(disk, HOME, "it")
        assert twin.load() == b"body"
        assert twin.is_damaged
        cache[place // 8] ^= 1 << place % 8


def test_a_record_of_a_newer_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimDisk()
    with monkeypatch.context() as patch:
        patch.setattr("roost.journal.twin.FORMAT", 2)
        Twin(disk, HOME, "it").save(b"body")
    with pytest.raises(UnknownFormat, match="record format 2"):
        Twin(disk, HOME, "it").load()


def test_to_peek_makes_no_file_and_says_what_loading_says() -> None:
    disk = SimDisk()
    disk.make_directory(HOME)
    assert peek_record(disk, HOME, "small") is None
    assert not disk.exists(HOME / "small.a")
    twin = Twin(disk, HOME, "small")
    twin.save(b"one")
    twin.save(b"two")
    twin.close()
    assert peek_record(disk, HOME, "small") == b"two"
    disk.unlink(HOME / "small.a")
    assert peek_record(disk, HOME, "small") == b"two"
    assert not disk.exists(HOME / "small.a")
