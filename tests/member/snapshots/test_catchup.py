"""A snapshot between the core and the files: what is offered, fetched, put in place, or let go.

Core, files and disk are stubs that say what happened to them, in order.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roost.member.errors import SnapshotFailed
from roost.member.snapshots.catchup import RETRY_S, Catchup
from roost.raft import Configuration, Snapshot
from roost.sim.members.loop import pass_time, run_virtually, until_idle

OURS = Configuration(version=1, voters=(1, 2, 3))
THEIRS = Configuration(version=7, voters=(1, 2))
FILE, OLD = Path("/m/snapshots/fetched"), Path("/m/db.1")


def offered(index: int = 50, sender: int = 2) -> Snapshot:
    return Snapshot(index=index, term=3, sender=sender, configuration=THEIRS)


class World:
    """One member around its `Catchup`; it plays core, home, snapshots, transport and disk."""

    def __init__(self) -> None:
        self.id = 1
        self.configuration = OURS
        self.said: list[object] = []
        self.outstanding_count = 0
        self.restorable = True
        self.addresses = [("h", 1)]
        self.copying: list[asyncio.Future[Any]] = []
        self.on_end: Callable[[Snapshot, Path | None], None] | None = None
        self.crash: Exception | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.copies = SimpleNamespace(make=self.make)
        this: Any = self
        self.catchup = Catchup(
            this,
            this,
            this,
            this,
            this,
            drive=lambda: self.said.append("drive"),
            before_install=lambda: self.said.append("before"),
            after_install=lambda index: self.said.append(f"after {index}"),
            on_fatal=self.said.append,
        )

    # What the core is asked and told.
    def offer_snapshot(self, member_id: int, snapshot: Snapshot) -> None:
        self.said.append((member_id, snapshot))

    def snapshot_failed(self, snapshot: Snapshot) -> None:
        self.said.append(f"failed {snapshot.index}")

    def may_restore(self, snapshot: Snapshot) -> bool:
        assert snapshot.index
        return self.restorable

    def restore(self, snapshot: Snapshot) -> None:
        self.said.append(f"core {snapshot.index}")

    # The files.
    async def make(self, index_min: int) -> Any:
        assert index_min == 0
        self.copying.append(asyncio.get_running_loop().create_future())
        return await self.copying[-1]

    def install(self, path: Path, index: int, term: int) -> Path:
        assert (path, term) == (FILE, 3)
        if self.crash is not None:
            raise self.crash
        self.said.append(f"files {index}")
        return OLD

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.append(asyncio.ensure_future(work))

    def fetch(
        self,
        snapshot: Snapshot,
        addresses: list[tuple[str, int]],
        on_end: Callable[[Snapshot, Path | None], None],
    ) -> None:
        assert addresses == self.addresses
        self.said.append(f"fetch {snapshot.index}")
        self.on_end = on_end

    def discard(self, path: Path) -> None:
        assert path == FILE
        self.said.append("discard")

    async def remove(self, directory: Path) -> None:
        assert directory == OLD
        self.said.append("remove old")

    def addresses_of(self, member_id: int) -> list[tuple[str, int]]:
        assert member_id == 2
        return self.addresses

    def fetched(self, snapshot: Snapshot, path: Path | None = FILE) -> None:
        assert self.on_end is not None
        self.on_end(snapshot, path)

    def take(self) -> list[object]:
        said = list(self.said)
        self.said.clear()
        return said


def in_virtual_time(story: Callable[[World], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        world = World()
        await story(world)
        await asyncio.gather(*world.tasks)

    run_virtually(main())


def copy_at(index: int) -> Any:
    return SimpleNamespace(file=SimpleNamespace(index=index, term=3), configuration=THEIRS)


def test_a_peer_is_offered_the_copy_as_it_is_and_one_at_a_time() -> None:
    """The copy's own configuration: ours may be newer than what it holds (checklist 103)."""

    async def story(world: World) -> None:
        world.catchup.offer(2)
        world.catchup.offer(2)
        world.catchup.offer(3)
        await until_idle()
        assert len(world.copying) == 2, "the peer is being seen to"
        assert world.take() == []
        for copying in world.copying:
            copying.set_result(copy_at(50))
        await until_idle()
        snapshot = Snapshot(index=50, term=3, sender=1, configuration=THEIRS)
        assert world.take() == [(2, snapshot), "drive", (3, snapshot), "drive"]
        world.catchup.offer(2)
        await until_idle()
        assert len(world.copying) == 3, "it may need another one later"
        world.copying[-1].set_result(copy_at(60))

    in_virtual_time(story)


@pytest.mark.parametrize("error", [SnapshotFailed("no"), OSError(28, "no space")])
def test_a_copy_that_cannot_be_made_is_made_another_time(error: Exception) -> None:
    async def story(world: World) -> None:
        world.catchup.offer(2)
        await until_idle()
        world.copying[0].set_exception(error)
        await until_idle()
        assert world.take() == []
        world.catchup.offer(2)
        await until_idle()
        assert len(world.copying) == 2
        world.copying[1].set_result(copy_at(50))

    in_virtual_time(story)


def test_who_offers_and_has_no_address_is_told_so_at_once() -> None:
    async def story(world: World) -> None:
        world.addresses = []
        world.catchup.fetch(offered())
        assert world.take() == ["failed 50"]

    in_virtual_time(story)


def test_files_then_core_and_nobody_in_between() -> None:
    """What the core says from then on rests on the files; the old ones go when all is done."""

    async def story(world: World) -> None:
        world.catchup.fetch(offered())
        world.fetched(offered())
        installed = ["fetch 50", "drive", "before", "files 50", "core 50", "after 50", "drive"]
        assert world.take() == installed
        await until_idle()
        assert world.take() == ["remove old"]

    in_virtual_time(story)


def test_nothing_is_put_in_place_while_the_disk_writes() -> None:
    async def story(world: World) -> None:
        world.catchup.fetch(offered())
        world.outstanding_count = 1
        world.fetched(offered())
        await pass_time(10.5 * RETRY_S)
        assert set(world.take()) == {"fetch 50", "drive"}
        world.outstanding_count = 0
        await pass_time(RETRY_S)
        assert "files 50" in world.take()

    in_virtual_time(story)


def test_a_newer_offer_makes_an_older_file_worthless() -> None:
    """Also when the older one only waits for the disk."""

    async def story(world: World) -> None:
        world.catchup.fetch(offered(50))
        world.outstanding_count = 1
        world.fetched(offered(50))
        world.catchup.fetch(offered(60))
        world.outstanding_count = 0
        world.take()
        await pass_time(2 * RETRY_S)
        assert world.take() == ["discard"], "and the core is not told: it waits for the newer one"
        world.fetched(offered(60))
        assert "files 60" in world.take()

    in_virtual_time(story)


def test_one_file_is_put_in_place_once() -> None:
    async def story(world: World) -> None:
        world.catchup.fetch(offered())
        world.fetched(offered())
        world.take()
        world.fetched(offered())
        assert "files 50" not in world.take()

    in_virtual_time(story)


@pytest.mark.parametrize("is_fetched", [False, True])
def test_what_cannot_be_used_is_told_and_removed(*, is_fetched: bool) -> None:
    """The fetch failed, or the log has grown past the snapshot meanwhile (checklist 106)."""

    async def story(world: World) -> None:
        world.restorable = False
        world.catchup.fetch(offered())
        world.take()
        world.fetched(offered(), FILE if is_fetched else None)
        discarded = ["discard"] if is_fetched else []
        assert world.take() == ["drive", *discarded, "failed 50", "drive"]

    in_virtual_time(story)


def test_a_fetch_that_failed_is_told_though_the_disk_writes() -> None:
    async def story(world: World) -> None:
        world.catchup.fetch(offered())
        world.outstanding_count = 1
        world.fetched(offered(), None)
        assert "failed 50" in world.take()

    in_virtual_time(story)


def test_half_an_installation_ends_the_member() -> None:
    async def story(world: World) -> None:
        world.crash = OSError(5, "the disk is gone")
        world.catchup.fetch(offered())
        world.fetched(offered())
        assert world.take() == ["fetch 50", "drive", "before", world.crash]

    in_virtual_time(story)


def test_a_member_that_stops_puts_nothing_in_place_any_more() -> None:
    async def story(world: World) -> None:
        world.catchup.fetch(offered())
        world.catchup.stop()
        world.take()
        world.fetched(offered())
        assert world.take() == ["discard"]

    in_virtual_time(story)
