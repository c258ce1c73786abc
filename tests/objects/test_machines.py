"""Machines on three members in virtual time: the same everywhere, whoever dies or is behind."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

import roost
from roost.errors import OutcomeUnknown, Overloaded
from roost.faces import Closed
from roost.objects import (
    CommandFailed,
    CommandUnknown,
    Context,
    Machine,
    MachineBehind,
    MachineDiffers,
    MachineNotOpen,
    MachineStopped,
    ResultLost,
    callers,
    command,
    following,
)
from tests.database.databases import again
from tests.member.members import look_again
from tests.objects.boards import Board, everything
from tests.objects.clusters import Members, with_members
from tests.objects.handles import (
    OFTEN,
    board_of,
    open_at,
    opened,
    score,
    until,
    until_level,
)


def test_all_members_come_to_the_same_and_each_answers_what_was_asked_of_it(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members)
        asked = [boards[it % 3].score("ada", it + 1) for it in range(10)]
        said = await asyncio.gather(*asked)
        assert max(said) == sum(range(11)), "each was carried out once"
        assert len({*said}) == 10, "and told its own"
        lots = [await boards[it].draw(among={"a", "b", "c", "d"}) for it in (0, 1, 2)]
        assert set(lots) <= set("abcd")
        index, term, member, _ = await boards[1].when()
        leader = members.members[await members.leader()]
        assert (index, term, member) == (14, leader.term, leader.config.name)
        for it in boards.values():
            assert await it.best(1) == [("ada", 55)], "it has all that was acknowledged before"
            assert await it.local(Board.best, 0) == []
        await until_level(boards)
        assert len({str(everything(board_of(it))) for it in boards.values()}) == 1

    with_members(tmp_path, story)


def test_what_a_validator_refuses_is_not_in_the_log_and_what_a_command_refuses_is(
    tmp_path: Path,
) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members)
        rows = members.at(0).tree("machines/board")
        for it in boards.values():
            before = await rows.count()
            with pytest.raises(roost.Refused, match="cannot lose") as refused:
                await it.score("ada", -1)
            assert refused.value.code == "negative"
            assert await rows.count() == before
            with pytest.raises(roost.Refused, match="nobody scores 13") as refused:
                await it.score("ada", 13)
            assert refused.value.code == "unlucky"
            assert await rows.count() == (before or 2) + 1, "the first comes with two more"

    with_members(tmp_path, story)


def test_a_key_is_answered_again_what_it_was_whoever_died_meanwhile(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members, policy=OFTEN)
        leader = await members.leader()
        other = (leader + 1) % 3
        assert await boards[other].run(Board.score, "ada", 3, once="first") == 3
        with pytest.raises(roost.Refused, match="nobody"):
            await boards[other].run(Board.score, "ada", 13, once="unlucky")
        for _ in range(30):
            await score(boards[leader], "ada", 1)
        await boards[leader].snapshot()
        await members.crash(leader)
        await members.leader()
        for it in (other, (leader + 2) % 3):
            asked = partial(boards[it].run, Board.score, "ada", 3, once="first")
            assert await again(asked) == 3
        await members.open_at(leader)
        board = await open_at(members, leader)
        assert await again(partial(board.run, Board.score, "ada", 3, once="first")) == 3
        with pytest.raises(roost.Refused, match="nobody"):
            await board.run(Board.score, "ada", 13, once="unlucky")
        assert await board.best(1) == [("ada", 33)]
        with pytest.raises(roost.Refused, match="other arguments"):
            await board.run(Board.score, "ada", 4, once="first")

    with_members(tmp_path, story)


def test_an_error_stops_the_machine_everywhere_at_one_command_and_nothing_else(
    tmp_path: Path,
) -> None:
    async def story(members: Members) -> None:
        boards = await opened(members)
        await score(boards[0], "ada", 1)
        with pytest.raises(CommandFailed, match="command 2, 'fail': ValueError: oh"):
            await boards[1].fail("oh")

        async def have_stopped() -> bool:
            return all([(await it.status()).stopped for it in boards.values()])

        await until(have_stopped)
        assert len({(await it.status()).stopped for it in boards.values()}) == 1
        for it in boards.values():
            with pytest.raises(MachineStopped, match="command 2"):
                await it.score("ada", 1)
            with pytest.raises(MachineStopped, match="command 2"):
                await it.best(1)
        await members.at(2).tree("other").put(b"a", b"1")
        assert await members.at(0).tree("other").get(b"a") == b"1"
        for at in list(members.databases):
            await members.crash(at)
        for at in range(3):
            await members.open_at(at)
        repaired = await opened(members, Repaired)
        assert await again(lambda: repaired[0].run(Repaired.score, "ada", 1)) == 2

    with_members(tmp_path, story)


class Repaired(Board):
    """Does not fail any more."""

    @command
    def fail(self, context: Context, text: str) -> None:
        self.events.append(text)


class Newer(Board):
    """Has a command that others lack."""

    @command
    def reset(self, context: Context) -> None:
        self.scores.clear()


def test_a_command_that_a_member_does_not_know_stops_its_copy_and_no_other(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        leader = await members.leader()
        boards = {
            at: await open_at(members, at, Newer if at == leader else Board) for at in range(3)
        }
        other = (leader + 1) % 3
        await score(boards[other], "ada", 1)
        await boards[leader].run(Newer.reset)

        async def has_stopped() -> bool:
            return bool((await boards[other].status()).stopped)

        await until(has_stopped)
        with pytest.raises(MachineStopped, match="'reset': Board has no command"):
            await boards[other].best(1)
        assert type(boards[other]._following.replica.stopped) is CommandUnknown
        assert await boards[leader].best(1) == []
        await members.crash(other)
        await members.open_at(other)
        upgraded = await open_at(members, other, Newer)
        assert await score(upgraded, "ada", 5) == 5
        with pytest.raises(roost.BadArgument, match="none that Board has"):
            await boards[(leader + 2) % 3].run(Newer.reset)

    with_members(tmp_path, story)


class Older(Machine):
    """Has other arguments than others have."""

    @command
    def score(self, context: Context, player: str) -> int:
        return 1


def test_arguments_that_the_member_that_leads_does_not_have_stop_nobody(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        leader = await members.leader()
        boards = {at: await open_at(members, at) for at in range(3) if at != (leader + 1) % 3}
        older = await open_at(members, (leader + 1) % 3, Older)
        with pytest.raises(roost.UnknownOperation, match="other arguments"):
            await older.run(Older.score, "ada")
        for it in boards.values():
            assert (await it.status()).last_index == 0
        assert await score(boards[leader], "ada", 1) == 1

    with_members(tmp_path, story)


class Moody(Machine):
    """Another one on each member."""

    def __init__(self) -> None:
        Moody.made += 1
        self.mood = Moody.made

    made = 0

    @command
    def show(self, context: Context) -> int:
        return self.mood


def test_a_machine_that_differs_is_found_with_the_next_command_and_said_by_name(
    tmp_path: Path,
) -> None:
    async def story(members: Members) -> None:
        leader = await members.leader()
        handles = await opened(members, Moody)
        await handles[leader].show()
        await handles[leader].show()

        async def is_found() -> bool:
            said = [(await it.status()).stopped for it in handles.values()]
            return sum(map(bool, said)) == 2

        await until(is_found)
        for at, it in handles.items():
            if at != leader:
                text = f"this member, m{at}, and m{leader} have come to other results"
                with pytest.raises(MachineStopped, match=text):
                    await it.show()
                assert type(it._following.replica.stopped) is MachineDiffers
        assert await handles[leader].show() > 0

    with_members(tmp_path, story)


def test_where_the_member_that_leads_has_not_opened_it_nothing_is_written(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        leader = await members.leader()
        other = (leader + 1) % 3
        board = await open_at(members, other)
        with pytest.raises(MachineNotOpen, match="'board'"):
            await board.score("ada", 1)
        await members.at(leader).machine("another", Board)
        with pytest.raises(MachineNotOpen, match="'board'"):
            await board.score("ada", 1)
        await open_at(members, leader)
        assert await board.score("ada", 1) == 1

    with_members(tmp_path, story)


def test_a_machine_is_opened_once_and_as_one_thing(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        db = members.at(0)
        one, two = [await db.machine("board", Board) for _ in range(2)]
        assert one._following is two._following and one.name == "board"
        with pytest.raises(roost.BadDeclaration, match="open here as a Board"):
            await db.machine("board", Newer)
        for name in ("", 7):
            with pytest.raises(roost.BadArgument, match="no name"):
                await db.machine(name, Board)  # type: ignore[arg-type]  # that is it
        with pytest.raises(AttributeError, match="levitate"):
            one.levitate()
        with pytest.raises(roost.BadArgument, match="points"):
            await one.score("ada", "many")
        await db.close()
        with pytest.raises(Closed):
            await one.score("ada", 1)

    with_members(tmp_path, story, size=1)


def test_more_commands_than_may_wait_where_it_leads_are_refused_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LAG_MAX", 5)

    async def story(members: Members) -> None:
        board = await open_at(members, 0)
        async with board._following._lock:  # it is being saved
            asked = [asyncio.ensure_future(board.score("ada", 1)) for _ in range(8)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < 3:
                await look_again()
                done = {it for it in asked if it.done()}
            assert {type(it.exception()) for it in done} == {MachineBehind}
        said = await asyncio.gather(*(it for it in asked if it not in done))
        assert sorted(said) == [1, 2, 3, 4, 5]

    with_members(tmp_path, story, size=1)


def test_more_callers_than_may_wait_here_are_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "PENDING_MAX", 2)

    async def story(members: Members) -> None:
        board = await open_at(members, 0)
        asked = [board.score("ada", 1) for _ in range(3)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(it) for it in said] == [int, int, Overloaded]
        assert await board.score("ada", 1) == 3

    with_members(tmp_path, story, size=1)


def test_who_has_waited_for_long_enough_is_told_that_it_does_happen(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        board = await open_at(members, 0, wait_s=0.5)
        async with board._following._lock:
            with pytest.raises(ResultLost, match="command 1 is in the log"):
                await board.run(Board.score, "ada", 1, once="k")
            with pytest.raises(roost.NotExecuted, match="has not come to command 1"):
                await board.best(1)
        assert await board.run(Board.score, "ada", 1, once="k") == 1
        assert await board.best(1) == [("ada", 1)]

    with_members(tmp_path, story, size=1)


def test_a_machine_that_is_opened_while_it_is_closed_leaves_nothing_open(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        database = members.at(0)
        for name in ("one", "two"):
            await database.machine(name, Board)
        closing = asyncio.ensure_future(database.close())
        opening = [asyncio.ensure_future(database.machine(f"{it}", Board)) for it in range(5)]
        await closing
        for it in await asyncio.gather(*opening, return_exceptions=True):
            assert not isinstance(it, BaseException) or isinstance(it, Closed)
        with pytest.raises(Closed):
            await database.tree("t").get(b"a")

    with_members(tmp_path, story, size=1)


def test_who_waits_when_the_database_is_closed_is_told(tmp_path: Path) -> None:
    async def story(members: Members) -> None:
        board = await open_at(members, 0)
        async with board._following._lock:
            asked = asyncio.ensure_future(board.score("ada", 1))
            while (await board.status()).last_index < 1:
                await look_again()
            await members.at(0).close()
        with pytest.raises(OutcomeUnknown):
            await asked

    with_members(tmp_path, story, size=1)
