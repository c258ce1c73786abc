"""Backups by the clock: whose files are removed, and what a failure costs."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.children import Ended, run_module
from roost.errors import Overloaded
from roost.member import BackupSchedule
from roost.member.errors import HistoryTrimmed
from roost.member.snapshots.folder import Folder
from roost.member.snapshots.schedule import BY_HAND, SHELF
from roost.member.snapshots.shelf import (
    Kept,
    chain,
    is_of,
    keep,
    name_of,
    name_of_increment,
    newest,
)
from roost.member.snapshots.shelf_work import Saved
from roost.member.snapshots.written import pages_in
from roost.sim.members.loop import pass_time, run_virtually

INTERVAL_S = 3600.0


def as_kept(path: Path) -> Kept:
    """A file that was made now."""
    return Kept(path.name, path.stat().st_size, path.stat().st_mtime)


def own_of(folder: Folder, member: str) -> list[str]:
    """A member's backups, the oldest first."""
    found = sorted(folder.found(), key=lambda it: (it.at_s, it.name))
    return [it.name for it in found if is_of(it.name, member)]


OTHERS = [
    "m-1-0000000000000001.db",
    "m-1-0000000000000002.db",
    "mm-0000000000000001.db",
    "m-coming.db",
    "m-notes.db",
    "m-0000000000000001.db.part",
]


def test_only_files_of_the_member_itself_are_removed(tmp_path: Path) -> None:
    """Members `m` and `m-1` may share a directory."""
    own = [f"m-{number:016x}.db" for number in range(5)]
    for age, name in enumerate([*OTHERS, *own]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (age, age))
    keep(Folder(tmp_path), "m", 2, as_kept(tmp_path / own[-1]))
    assert sorted(it.name for it in tmp_path.iterdir()) == sorted([*OTHERS, *own[-2:]])


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "mx-0000000000000001.db").touch()
    (tmp_path / "[m]-0000000000000001.db").touch()
    assert own_of(Folder(tmp_path), "m.") == []
    assert own_of(Folder(tmp_path), "[m]") == ["[m]-0000000000000001.db"]


def test_what_was_written_last_stays_although_its_number_is_smaller(tmp_path: Path) -> None:
    """A new cluster of the same names counts its entries from the beginning again."""
    for age, number in enumerate([900, 901, 3]):
        (tmp_path / f"m-{number:016x}.db").touch()
        os.utime(tmp_path / f"m-{number:016x}.db", (age, age))
    keep(Folder(tmp_path), "m", 1, as_kept(tmp_path / "m-0000000000000003.db"))
    assert [it.name for it in tmp_path.iterdir()] == ["m-0000000000000003.db"]


@pytest.mark.parametrize("ahead_s", [600, 70 * 365 * 86400])
def test_what_was_made_while_a_clock_was_ahead_is_not_the_newest_for_ever(
    tmp_path: Path, ahead_s: int
) -> None:
    """Each new backup was removed as soon as it was there, and said to have been saved."""
    now_s = int(time.time())

    def make(number: int, at_s: int) -> Path:
        path = tmp_path / f"m-{number:016x}.db"
        path.touch()
        os.utime(path, (at_s, at_s))
        return path

    folder = Folder(tmp_path)
    for number, at_s in enumerate((now_s - 900, now_s + ahead_s, now_s + ahead_s + 1)):
        make(number, at_s)
    for number in range(3, 8):
        made = make(number, now_s + number)
        keep(folder, "m", 3, folder.made_now("m", made))
        assert own_of(folder, "m")[-1] == made.name
    assert own_of(folder, "m") == [f"m-{number:016x}.db" for number in (5, 6, 7)]
    assert 0 <= (newest(folder, "m", now_s + 10).age_s or -1) <= 10


STEPS = st.tuples(
    st.sampled_from([0.0, 1e-7, 1.0, 60.0, -1e-7, -1.0, -3600.0, 7200.0, -4e7, 3e8]),
    st.integers(1, 3),
    st.sampled_from(["full", "increment", "increment", "increment", "another cluster"]),
)


@given(steps=st.lists(STEPS, max_size=30), count=st.integers(1, 3))
def test_whatever_clocks_do_what_was_saved_last_is_the_end_of_the_chain(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, int, str]], count: int
) -> None:
    """A clock went back, and a new cluster of the same name was taken for an older one.

    Times are seconds as a float, in which a nanosecond is lost; and of those that had to make way
    for one another the order was.
    """
    folder, now_s, index = Folder(tmp_path_factory.mktemp("kept")), 1.7e9, 100
    saved: list[str] = []
    for by_s, more, kind in steps:
        now_s = min(max(now_s + by_s, 1e6), 4e9)
        base, index = index, index + more
        if kind == "increment" and saved:
            name = name_of_increment("m", base, index)
        else:
            index = index if kind == "full" else max(1, base - 50)
            name, saved = name_of("m", index), []
        saved.append(name)
        path = folder.directory / name
        path.touch()
        os.utime(path, ns=(int(now_s * 1e9), int(now_s * 1e9)))
        made = folder.made_now("m", path)
        if len(saved) == 1:
            keep(folder, "m", count, made)
        found = chain(folder, "m")
        assert [it.name for it in found.files] == saved
        assert found.cut_off == []
        assert sum(it.name.endswith(".db") for it in folder.found()) <= count


class FailingFiles:
    """Lends nothing; fails in another way each time."""

    def __init__(self) -> None:
        self.failures = [KeyError("a bug"), OSError("the disk"), AssertionError("another bug")]
        self.asked = 0

    @asynccontextmanager
    async def lend_snapshot(self) -> AsyncIterator[Path]:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.Event().wait()
        yield Path()


def schedule_of(files: FailingFiles, directory: Path, said: bytes) -> BackupSchedule:
    """A schedule whose process says of the newest backup what `said` is."""

    async def run_process(_module: str, *_arguments: str, hear: object = None) -> Ended:
        assert hear is None, "how old the newest is is said at once"
        return Ended(0 if said else 1, said)

    return BackupSchedule(
        files,  # type: ignore[arg-type]  # the part of it that is used
        str(directory),
        name="m",
        interval_s=INTERVAL_S,
        keep_count=1,
        run_process=run_process,
    )


@pytest.mark.parametrize(
    ("said", "wait_share"),
    [
        (b'{"age_s": null}', 1.0),
        (b'{"age_s": 0}', 1.0),
        (b'{"age_s": 900.0}', 0.75),
        (b'{"age_s": 3600.0}', 0.0),
        (b'{"age_s": 1e9}', 0.0),
        (b'{"age_s": -5000.0}', 1.0),  # the clock was ahead when it was written
        (b"", 1.0),  # the process has failed
        (b'{"age_s": null, "fault": "no rights"}', 1.0),  # the directory cannot be read
    ],
)
def test_the_first_is_due_an_interval_after_the_newest_that_is_there(
    tmp_path: Path, said: bytes, wait_share: float
) -> None:
    """A member that restarts more often than the interval is long must save, too."""
    files = FailingFiles()
    schedule = schedule_of(files, tmp_path, said)

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(schedule.run())
        await pass_time(wait_share * INTERVAL_S - 1)
        assert files.asked == 0
        await pass_time(2)
        assert files.asked == 1
        task.cancel()
        await asyncio.wait([task])

    run_virtually(main())


def test_the_process_knows_the_age_of_the_newest(tmp_path: Path) -> None:
    names = [f"m-{number:016x}.db" for number in (3, 7)]
    # One is from the future: it counts as made now, and gets older from then on.
    for name, age_s in zip([*names, "m-1-0000000000000002.db"], (5000, -1e9, 10), strict=True):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)

    async def age_of(directory: Path) -> bytes:
        ended = await run_module(SHELF, "newest", str(directory), "m")
        assert ended.code == 0
        return ended.said

    assert asyncio.run(age_of(tmp_path / "none")) == b'{"age_s":null,"fault":""}\n'
    assert -1 < msgspec.json.decode(asyncio.run(age_of(tmp_path)))["age_s"] < 600
    assert (tmp_path / names[1]).stat().st_mtime <= time.time()


def test_no_failure_ends_the_backups_and_each_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = FailingFiles()
    schedule = schedule_of(files, tmp_path, b"{}")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(schedule.run())
        await pass_time(4.5 * INTERVAL_S)
        assert files.asked == 4
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with caplog.at_level(logging.ERROR):
        run_virtually(main())
    assert [it.getMessage().split(":")[0] for it in caplog.records] == ["no backup this time"] * 3


class Written:
    """Files of a member that has written so much; `trimmed` while it has no log of it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.index, self.trimmed = directory, 5, False

    @asynccontextmanager
    async def lend_snapshot(self) -> AsyncIterator[Path]:
        yield self.directory / str(self.index)

    def cluster_id(self) -> int:
        return 0xC1

    def is_behind(self, index: int) -> bool:
        return self.index <= index

    def path_for(self, name: str) -> Path:
        return self.directory / name

    def discard(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    async def entries_since(self, index: int, term: int) -> AsyncIterator[bytes]:
        assert term == 2
        if self.trimmed:
            raise HistoryTrimmed("the journal begins later")
        for number in range(index, self.index):
            yield b"%d" % (number + 1)


class Chained:
    """A schedule whose place is a list of what was saved there, `base>end` or `end`."""

    def __init__(self, directory: Path, full_interval_s: float) -> None:
        self.files = Written(directory)
        self.saved: list[str] = []
        self.fault = ""
        self.schedule = BackupSchedule(
            self.files,  # type: ignore[arg-type]  # the part of it that is used
            str(directory),
            name="m",
            interval_s=INTERVAL_S,
            keep_count=1,
            full_interval_s=full_interval_s,
            run_process=self.run_process,
        )

    async def run_process(self, _module: str, *arguments: str, hear: object = None) -> Ended:
        assert hear is not None
        match arguments:
            case "save", _, "m", copy, "1":
                name = Path(copy).name
            case "follow", _, "m", pages, base, "its digest", index, "2", "193":
                if self.fault:
                    return Ended(0, msgspec.json.encode(Saved(fault=self.fault)))
                assert base == self.saved[-1]
                assert sum(1 for _ in pages_in(Path(pages))) == self.files.index - int(index)
                name = f"{index}>{self.files.index}"
            case _:
                raise AssertionError(arguments)
        self.saved.append(name)
        return Ended(0, msgspec.json.encode(Saved(name, 9, self.files.index, 2, "its digest")))

    def save(self, *indexes: int) -> list[str]:
        """What is saved when so much is written each time."""
        begun = len(self.saved)
        for self.files.index in indexes:
            asyncio.run(self.schedule.save())
        return self.saved[begun:]


def test_increments_are_saved_between_full_ones(tmp_path: Path) -> None:
    chained = Chained(tmp_path, 3 * INTERVAL_S)
    assert chained.save(5, 8, 9, 10, 12, 13, 14) == [
        "5",
        "5>8",
        "8>9",
        "10",
        "10>12",
        "12>13",
        "14",
    ]
    assert list(tmp_path.iterdir()) == [], "what they were made of is gone"


@pytest.mark.parametrize("full_interval_s", [0.0, INTERVAL_S, 1.9 * INTERVAL_S])
def test_each_is_full_where_no_increment_has_room(tmp_path: Path, full_interval_s: float) -> None:
    assert Chained(tmp_path, full_interval_s).save(5, 8, 9) == ["5", "8", "9"]


def test_where_nothing_was_written_no_increment_is_saved(tmp_path: Path) -> None:
    chained = Chained(tmp_path, 3 * INTERVAL_S)
    assert chained.save(5, 5, 5, 5) == ["5", "5"], "the second is full, when one is due"
    assert chained.save(5, 6) == ["5>6"]


def test_where_no_increment_can_be_made_a_full_one_is_and_why_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log was trimmed, or what it would follow is gone: the chain begins anew."""
    chained = Chained(tmp_path, 9 * INTERVAL_S)
    assert chained.save(5, 8) == ["5", "5>8"]
    chained.files.trimmed = True
    with caplog.at_level(logging.WARNING):
        assert chained.save(9) == ["9"]
        chained.files.trimmed, chained.fault = False, "9 is not there any more"
        assert chained.save(10) == ["10"]
    assert [it.getMessage() for it in caplog.records] == [
        f"no increment, so this backup is a full one: {why}"
        for why in ("the journal begins later", "9 is not there any more")
    ]
    chained.fault = ""
    assert chained.save(12) == ["10>12"]


def test_one_that_somebody_asks_for_is_full_and_no_part_of_the_chain(tmp_path: Path) -> None:
    chained = Chained(tmp_path, 9 * INTERVAL_S)
    assert chained.save(5) == ["5"]

    async def run_process(_module: str, *arguments: str, hear: object = None) -> Ended:
        assert hear is not None
        assert arguments[:3] == ("save", str(tmp_path), f"m{BY_HAND}")
        return Ended(0, msgspec.json.encode(Saved("by hand", 9, 7, 2)))

    chained.schedule._run_process = run_process
    asyncio.run(chained.schedule.save_by_hand(lambda _progress: None))
    chained.schedule._run_process = chained.run_process
    assert chained.save(8) == ["5>8"]


def test_one_is_saved_at_a_time(tmp_path: Path) -> None:
    """Whoever asks for one while the clock has one saved must not write the same file."""
    files = FailingFiles()
    files.failures = []
    schedule = schedule_of(files, tmp_path, b"{}")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(schedule.save())
        await pass_time(1)
        with pytest.raises(Overloaded, match="wait until that is done"):
            await schedule.save()
        task.cancel()
        await asyncio.wait([task])
        files.failures = [OSError("the disk")]
        with pytest.raises(OSError, match="the disk"):
            await schedule.save()

    run_virtually(main())


def test_those_that_somebody_asks_for_cost_none_of_those_by_the_clock(tmp_path: Path) -> None:
    """Whoever may ask would else have all good ones removed, one after the other."""
    clock = [tmp_path / f"m-{number:016x}.db" for number in range(3)]
    by_hand = [tmp_path / f"m{BY_HAND}-{number:016x}.db" for number in range(3, 9)]
    for age, path in enumerate([*clock, *by_hand]):
        path.touch()
        os.utime(path, (age, age))
    keep(Folder(tmp_path), f"m{BY_HAND}", 2, as_kept(by_hand[-1]))
    assert sorted(tmp_path.iterdir()) == sorted([*clock, *by_hand[-2:]])
