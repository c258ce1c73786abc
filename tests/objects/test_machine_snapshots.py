"""Snapshots of machines on members in virtual time: who was behind goes on from one."""

import tempfile
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from typing import BinaryIO

import pytest

from roost.member import MemberConfig
from roost.objects import (
    Context,
    Machine,
    MachineStopped,
    SnapshotFailed,
    SnapshotUnreadable,
    command,
)
from tests.database.databases import again
from tests.objects.boards import Board, everything
from tests.objects.clusters import Members, with_members
from tests.objects.handles import OFTEN, board_of, open_at, opened, score, until


def test_a_member_goes_on_from_a_snapshot_where_commands_are_gone(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members, policy=OFTEN)
        leader = await members.leader()
        behind = (leader + 1) % 3
        await score(boards[leader], "ada", 1)
        await members.crash(behind)
        for _ in range(60):
            await score(boards[leader], "ada", 1)
        first = await boards[leader].snapshot()
        rows = members.at(leader).tree("machines/board")
        assert (first, await rows.count()) == (61, 2 + OFTEN.tail), "and the head, and the end"
        assert await members.at(leader).tree("machines.parts", key=tuple[str, bytes]).count() == 1
        await members.open_at(behind)
        boards[behind] = await open_at(members, behind)
        assert await again(lambda: boards[behind].best(1)) == [("ada", 61)]
        assert await score(boards[behind], "ada", 1) == 62
        assert everything(board_of(boards[behind])) == everything(board_of(boards[leader]))

    with_members(tmp_path, story)


class FewEntries(Members):
    """Members that send a store instead of entries when somebody is a little behind."""

    def config(self, position: int) -> MemberConfig:
        return replace(super().config(position), trailing_entries=5)


def test_a_copy_that_was_overtaken_by_a_snapshot_of_the_store_is_made_anew(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members, policy=OFTEN, wait_s=1000.0)
        leader = await members.leader()
        behind = (leader + 1) % 3
        await score(boards[leader], "ada", 1)
        members.cut_off(behind)
        for _ in range(60):
            await score(boards[leader], "ada", 1)
        await boards[leader].snapshot()
        members.heal()

        async def is_level() -> bool:
            return (await boards[behind].status()).applied_index == 61

        await until(is_level)
        assert everything(board_of(boards[behind])) == everything(board_of(boards[leader]))

    with_members(tmp_path, story, kind=FewEntries)


def test_snapshots_are_made_by_the_member_that_leads_as_the_policy_says(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members, policy=OFTEN)
        leader = await members.leader()
        for _ in range(90):
            await score(boards[(leader + 1) % 3], "ada", 1)

        async def is_made() -> bool:
            said = [await it.status() for it in boards.values()]
            return all(it.snapshot_index >= 80 for it in said)

        await until(is_made)
        assert await members.at(leader).tree("machines/board").count() < 40

    with_members(tmp_path, story)


class Unsavable(Board):
    """Cannot be saved, or loaded."""

    is_saved = is_loaded = False

    def save(self, out: BinaryIO) -> None:
        if not Unsavable.is_saved:
            raise OSError("no pen")
        super().save(out)

    def load(self, source: BinaryIO) -> None:
        if not Unsavable.is_loaded:
            raise KeyError("no glasses")
        super().load(source)


def test_a_machine_that_cannot_be_saved_goes_on_and_says_so(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        board = await open_at(members, 0, Unsavable, policy=OFTEN)
        Unsavable.is_saved = Unsavable.is_loaded = False
        for _ in range(30):
            await board.score("ada", 1)

        async def is_said() -> bool:
            return "cannot be saved: OSError: no pen" in (await board.status()).snapshot_failure

        await until(is_said)
        with pytest.raises(SnapshotFailed, match="no pen"):
            await board.snapshot()
        assert await members.at(0).tree("machines/board").count() == 32, "nothing was removed"
        Unsavable.is_saved = True
        assert await board.snapshot() == 30
        await members.crash(0)
        await members.open_at(0)
        board = await open_at(members, 0, Unsavable)

        async def has_stopped() -> bool:
            return bool((await board.status()).stopped)

        await until(has_stopped)
        with pytest.raises(MachineStopped, match="cannot load the snapshot of command 30: Key"):
            await board.score("ada", 1)
        assert type(board._following.replica.stopped) is SnapshotUnreadable

    with_members(tmp_path, story, size=1)


def test_a_device_that_has_no_file_for_a_snapshot_stops_that_machine_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_file(**_given: object) -> object:
        raise OSError(ENOSPC, "No space left on device")

    async def story(members: Members) -> None:
        board = await open_at(members, 0)
        await board.score("ada", 1)
        with monkeypatch.context() as patched:
            patched.setattr(tempfile, "TemporaryFile", no_file)
            with pytest.raises(SnapshotFailed, match=r"no file for a snapshot .* No space"):
                await board.snapshot()
        assert await board.score("ada", 1) == 2
        assert await board.snapshot() == 2
        await members.crash(0)
        await members.open_at(0)
        with monkeypatch.context() as patched:
            patched.setattr(tempfile, "TemporaryFile", no_file)
            board = await open_at(members, 0)
        assert "No space left" in (await board.status()).stopped
        with pytest.raises(MachineStopped, match="start this member again"):
            await board.score("ada", 1)
        await members.at(0).tree("another").put(b"a", b"1")

    with_members(tmp_path, story, size=1)


def test_a_snapshot_that_is_not_what_was_written_is_not_loaded(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        board = await open_at(members, 0)
        await board.score("ada", 1)
        await board.snapshot()
        parts = members.at(0).tree("machines.parts", key=tuple[str, bytes])
        ((key, part),) = [it async for it in parts.items()]
        await parts.put(key, part[:-1] + b"?")
        await members.crash(0)
        await members.open_at(0)
        board = await open_at(members, 0)

        async def has_stopped() -> bool:
            return "no snapshot has them whole" in (await board.status()).stopped

        await until(has_stopped)

    with_members(tmp_path, story, size=1)


class Plain(Machine):
    """Has no snapshots."""

    def __init__(self) -> None:
        self.count = 0

    @command
    def add(self, context: Context) -> int:
        self.count += 1
        return self.count


def test_a_machine_without_snapshots_keeps_its_commands(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        board = await open_at(members, 0, Plain, policy=OFTEN)
        for _ in range(40):
            await board.add()
        with pytest.raises(SnapshotFailed, match="Plain has no `save`"):
            await board.snapshot()
        await members.crash(0)
        await members.open_at(0)
        board = await open_at(members, 0, Plain)
        assert await again(board.add) == 41

    with_members(tmp_path, story, size=1)
