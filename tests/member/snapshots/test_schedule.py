"""Backups by the clock: whose files are removed, and what a failure costs."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from roost.member import BackupSchedule
from roost.member.snapshots.schedule import Shelf
from roost.sim.members.loop import pass_time, run_virtually

INTERVAL_S = 3600.0

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
    Shelf(tmp_path, "m").keep(2)
    assert sorted(it.name for it in tmp_path.iterdir()) == sorted([*OTHERS, *own[-2:]])


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "mx-0000000000000001.db").touch()
    (tmp_path / "[m]-0000000000000001.db").touch()
    assert Shelf(tmp_path, "m.").backups() == []
    assert [it.name for it in Shelf(tmp_path, "[m]").backups()] == ["[m]-0000000000000001.db"]


def test_what_was_written_last_stays_although_its_number_is_smaller(tmp_path: Path) -> None:
    """A new cluster of the same names counts its entries from the beginning again."""
    for age, number in enumerate([900, 901, 3]):
        (tmp_path / f"m-{number:016x}.db").touch()
        os.utime(tmp_path / f"m-{number:016x}.db", (age, age))
    Shelf(tmp_path, "m").keep(1)
    assert [it.name for it in tmp_path.iterdir()] == ["m-0000000000000003.db"]


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


def test_no_failure_ends_the_backups_and_each_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = FailingFiles()
    schedule = BackupSchedule(
        files,  # type: ignore[arg-type]  # the part of it that is used
        tmp_path,
        name="m",
        interval_s=INTERVAL_S,
        keep_count=1,
    )

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
