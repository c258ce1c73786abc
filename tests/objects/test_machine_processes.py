"""A machine in three programs, whichever of them is killed; and one that takes long to be saved."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import roost
from roost.objects import Context, Machine, command, query
from roost.testing.patience import wait_until
from roost.testing.ports import free_ports
from tests.database.test_processes import Program, three_programs
from tests.objects.machine_member import OFTEN, Tally

MODULE = "tests.objects.machine_member"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[dict[str, Program]]:
    with three_programs(tmp_path, MODULE) as found:
        yield found


@pytest.mark.slow
@pytest.mark.cluster
def test_what_was_acknowledged_stays_whoever_is_killed_and_nothing_is_counted_twice(
    programs: dict[str, Program], tmp_path: Path
) -> None:
    keys: list[str] = []

    def add(name: str, count: int) -> None:
        new = [f"k{len(keys) + it}" for it in range(count)]
        said = programs[name].ask(f"add {' '.join(new)}")
        keys.extend(new)
        assert said == [*range(len(keys) - count + 1, len(keys) + 1)]

    add("m0", 30)
    members = programs["m0"].members
    for _ in range(3):
        leader = programs["m1"].ask("leader")
        others = sorted({*programs} - {leader})
        # It is killed while it carries out what it was asked.
        mine = f"k{len(keys)}"
        programs[leader].tell(f"add {mine}")
        programs[leader].kill()
        for name in others:
            found = programs[name].ask("read")
            assert found[: len(keys)] == keys and found[len(keys) :] in ([], [mine])
        assert programs[others[0]].ask(f"add {mine}") == [len(keys) + 1]
        keys.append(mine)
        for name in others:
            add(name, 15)
        assert programs[others[1]].ask(f"add {keys[3]}") == [4], "it is answered as the first time"
        programs[leader].forget()
        programs[leader] = Program(tmp_path, leader, members, MODULE)
        assert programs[leader].ask("read") == keys
    for it in programs.values():
        assert it.ask("read") == keys
        snapshot_index, stopped = it.ask("status")
        assert (snapshot_index > 30, stopped) == (True, "")
    assert [it.end() for it in programs.values()] == [0, 0, 0]


class Slow(Machine):
    """Is saved when somebody lets it."""

    begun, may_end = threading.Event(), threading.Event()

    def __init__(self) -> None:
        self.count = 0

    @command
    def add(self, context: Context) -> int:
        self.count += 1
        return self.count

    @query
    def read(self) -> int:
        return self.count

    def save(self, out: BinaryIO) -> None:
        Slow.begun.set()
        assert Slow.may_end.wait(60)
        out.writelines(bytes(10_000) for _ in range(200))
        out.write(str(self.count).encode())

    def load(self, source: BinaryIO) -> None:
        self.count = int(source.read().strip(b"\0"))


@pytest.mark.slow
def test_a_machine_that_takes_long_to_be_saved_holds_up_its_commands_and_nothing_else(
    tmp_path: Path,
) -> None:
    with roost.open(tmp_path / "data") as db:
        slow = db.machine("slow", Slow)
        assert (slow.add(), slow.add()) == (1, 2)
        saving = threading.Thread(target=slow.snapshot)
        saving.start()
        assert Slow.begun.wait(60)
        added: list[int] = []
        adding = threading.Thread(target=lambda: added.append(slow.add()))
        adding.start()
        wait_until(lambda: slow.status().last_index == 3)
        db.tree("other")[b"a"] = b"1"
        assert db.tree("other")[b"a"] == b"1"
        assert (added, slow.local(Slow.read)) == ([], 2)
        Slow.may_end.set()
        saving.join()
        adding.join()
        assert (added, slow.read()) == ([3], 3)
        assert slow.status().snapshot_index == 2
    with roost.open(tmp_path / "data") as db:
        slow = db.machine("slow", Slow)
        assert slow.read() == 3
        with pytest.raises(AttributeError, match="levitate"):
            slow.levitate()
        with pytest.raises(AttributeError, match="_hidden"):
            _ = slow._hidden


def add_some(db: roost.Database, count: int) -> roost.objects.MachineHandle[Tally]:
    """A machine whose first commands are gone."""
    tally = db.machine("tally", Tally, policy=OFTEN)
    for number in range(count):
        tally.run(Tally.add, f"k{number}", once=f"k{number}")
    tally.snapshot()
    assert db.tree("machines/tally").count() == 2 + OFTEN.tail
    return tally


@pytest.mark.slow
def test_a_member_that_joins_has_the_machine_with_its_store(tmp_path: Path) -> None:
    ours, theirs = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with roost.open(tmp_path / "m0", name="m0", members={"m0": ours}) as one:
        tally = add_some(one, 40)
        one.add_member(theirs, learner=True)
        joined = roost.open(
            tmp_path / "m1", name="m1", join=[ours], listen_peer_urls=[f"http://{theirs}"]
        )
        with joined as two:
            copy = two.machine("tally", Tally)
            assert copy.ask(Tally.all_keys) == [f"k{it}" for it in range(40)]
            assert copy.run(Tally.add, "k7", once="k7") == 8, "what is kept came along"
            assert copy.run(Tally.add, "new") == 41
            assert tally.run(Tally.add, "newer") == 42
            assert copy.ask(Tally.all_keys) == tally.ask(Tally.all_keys)


@pytest.mark.slow
def test_a_backup_has_the_machine(tmp_path: Path) -> None:
    with roost.open(tmp_path / "data") as db:
        tally = add_some(db, 30)
        assert tally.run(Tally.add, "last") == 31
        db.snapshot(tmp_path / "backup")
    roost.restore(tmp_path / "backup", tmp_path / "restored")
    with roost.open(tmp_path / "restored") as db:
        tally = db.machine("tally", Tally)
        assert tally.ask(Tally.all_keys) == [*(f"k{it}" for it in range(30)), "last"]
        assert tally.run(Tally.add, "k3", once="k3") == 4
        assert tally.run(Tally.add, "after") == 32
