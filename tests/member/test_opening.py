"""What is done to a member's directory before it is opened."""

import asyncio
from pathlib import Path

import pytest

from roost.journal import OsDisk
from roost.member import (
    CannotRebuild,
    Member,
    MemberConfig,
    World,
    mark_damaged,
    mark_suspect,
    open_member,
)
from roost.member.directory.store_record import StoreRecord, change_record, read_record
from roost.member.opening import TRIALS_ALONE_MAX
from roost.store import InlineKeeper, Keeper, ScrubReport, StoreSuspect
from roost.store.crash import NOTE
from tests.member.members import bootstrap, raise_fatal

URL = "http://127.0.0.1:1"


class InlineWorld(World):
    """Whose keeper needs no process, and whose scrub says what it is told to."""

    def __init__(self, fault: str = "") -> None:
        """Scrubs find `fault`."""
        super().__init__()
        self.fault = fault
        self.scrub_count = 0
        self.keepers_that_crash = 0

    def make_keeper(self, directory: Path) -> Keeper:
        """One in this process, unless a signal ends it."""
        if self.keepers_that_crash:
            self.keepers_that_crash -= 1
            raise StoreSuspect("the keeper was ended by signal 11")
        return InlineKeeper(directory)

    async def scrub(self, directory: Path, *, is_awaited: bool = False) -> ScrubReport | None:
        """Say what the test wants."""
        assert is_awaited, "nobody can do anything before"
        self.scrub_count += 1
        return ScrubReport(record_count=3, value_bytes=3, index=1, took_s=0.0, fault=self.fault)


def config_at(root: Path) -> MemberConfig:
    return MemberConfig(
        name="m0",
        data_dir=root / "m0",
        initial_cluster={"m0": (URL,)},
        advertise_peer_urls=(URL,),
        listen_peer_urls=(URL,),
    )


async def _open(config: MemberConfig, world: World) -> Member:
    return await open_member(config, bootstrap=bootstrap, on_fatal=raise_fatal, world=world)


def open_and_close(config: MemberConfig, world: World) -> StoreRecord:
    """Open a member, as a start does; return what is known of its store then."""
    member = asyncio.run(_open(config, world))
    member.abandon()
    member.journal.close()
    return read_record(OsDisk(), config.data_dir)


@pytest.fixture
def config(tmp_path: Path) -> MemberConfig:
    """Of a member without peers that has lived."""
    found = config_at(tmp_path)
    assert open_and_close(found, InlineWorld()) == StoreRecord()
    return found


def test_a_store_is_read_first_after_an_end_by_signal_and_only_then(config: MemberConfig) -> None:
    world = InlineWorld()
    open_and_close(config, world)
    assert world.scrub_count == 0
    (config.data_dir / NOTE).write_text("Fatal Python error: Bus error\n")
    open_and_close(config, world)
    open_and_close(config, world)
    assert world.scrub_count == 1


def test_what_that_finds_is_damage_and_a_member_alone_refuses_by_name(config: MemberConfig) -> None:
    (config.data_dir / NOTE).write_text("Fatal Python error: Bus error\n")
    world = InlineWorld("a page is gone")
    for _ in range(2):
        with pytest.raises(CannotRebuild, match=r"a page is gone.*roost snapshot restore"):
            open_and_close(config, world)
    assert (config.data_dir / "db.1" / "data.mdb").exists()


def test_damage_that_reading_does_not_confirm_is_forgotten_by_a_member_alone(
    config: MemberConfig,
) -> None:
    """It cannot ask anybody, and a bit may have flipped in memory."""
    mark_damaged(config, "a value has changed")
    assert open_and_close(config, InlineWorld()).damage == ""


def test_a_keeper_that_is_ended_while_the_member_opens_has_the_store_read(
    config: MemberConfig,
) -> None:
    world = InlineWorld()
    world.keepers_that_crash = 1
    assert open_and_close(config, world).trials == 1
    assert world.scrub_count == 1


def test_a_keeper_that_is_always_ended_is_not_tried_for_ever(config: MemberConfig) -> None:
    world = InlineWorld()
    world.keepers_that_crash = 1000
    with pytest.raises(CannotRebuild, match="signal 11"):
        open_and_close(config, world)
    assert world.scrub_count == TRIALS_ALONE_MAX + 1


def test_a_suspicion_that_cannot_be_looked_into_ends_the_start(config: MemberConfig) -> None:
    class Blind(InlineWorld):
        async def scrub(self, directory: Path, *, is_awaited: bool = False) -> ScrubReport | None:
            del directory, is_awaited
            return None

    world = Blind()
    mark_suspect(config, "the keeper was ended by signal 11")
    assert open_and_close(config, world).suspicion, "kept until somebody could look"
    world.keepers_that_crash = 1
    with pytest.raises(StoreSuspect):
        open_and_close(config, world)


def test_a_record_that_names_peers_has_them_asked(config: MemberConfig) -> None:
    change_record(OsDisk(), config.data_dir, peers=("http://127.0.0.1:9",), damage="gone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("roost.member.directory.rebuild.ROUNDS_MAX", 1)
        patch.setattr("roost.member.directory.rebuild._RETRY_S", 0)
        with pytest.raises(CannotRebuild, match="no member sends its store"):
            open_and_close(config, InlineWorld())
