"""Directories that must not be used as they are, each refused by its own name (P12)."""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from roost.journal import (
    DirectoryLocked,
    JournalDamaged,
    OsDisk,
    Twin,
    UnknownFormat,
    WrongIdentity,
    load_identity,
    replace_identity,
)
from roost.member import Member, MemberConfig, RolledBack, StoreDamaged, mark_damaged
from roost.store import StoreForeign
from tests.member.cluster import Cluster, bootstrap, raise_fatal


def in_a_loop(test: Callable[[Path], Awaitable[None]]) -> Callable[[Path], None]:
    """Run a test in an event loop of its own."""

    def run(tmp_path: Path) -> None:
        asyncio.run(_awaited(test(tmp_path)))

    run.__name__ = test.__name__
    return run


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def stopped(root: Path, size: int = 1) -> Cluster:
    """A cluster that has lived, and is stopped."""
    cluster = Cluster(root, size)
    await cluster.start_all()
    await cluster.put(await cluster.quiet(), b"a", b"1")
    await cluster.stop_all()
    return cluster


def reopen(cluster: Cluster) -> None:
    """Open the first member's directory, as a start does."""
    name = cluster.names[0]
    config = MemberConfig(
        name=name,
        data_dir=cluster.root / name,
        initial_cluster=cluster.urls,
        advertise_peer_urls=cluster.urls[name],
        listen_peer_urls=cluster.urls[name],
    )
    Member(config, bootstrap=bootstrap, on_fatal=raise_fatal).abandon()


def home(cluster: Cluster) -> Path:
    return cluster.root / cluster.names[0]


@in_a_loop
async def test_a_directory_in_use(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 1)
    await cluster.start_all()
    with pytest.raises(DirectoryLocked):
        reopen(cluster)
    await cluster.stop_all()


@in_a_loop
async def test_a_directory_whose_term_and_vote_are_gone(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path)
    for copy in ("hard.a", "hard.b"):
        (home(cluster) / copy).unlink()
    for _ in range(2):
        with pytest.raises(JournalDamaged, match="term and vote are gone"):
            reopen(cluster)


@in_a_loop
async def test_an_identity_that_cannot_be_read(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path)
    for copy in ("identity.a", "identity.b"):
        (home(cluster) / copy).write_bytes(b"rubbish" * 30)
    with pytest.raises(JournalDamaged):
        reopen(cluster)


@in_a_loop
async def test_a_journal_of_another_member(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path)
    disk = OsDisk()
    held = load_identity(disk, home(cluster))
    assert held is not None
    replace_identity(disk, home(cluster), msgspec.structs.replace(held, member_id=5))
    with pytest.raises(WrongIdentity):
        reopen(cluster)


@in_a_loop
async def test_a_store_of_another_cluster(tmp_path: Path) -> None:
    first = await stopped(tmp_path / "one")
    second = await stopped(tmp_path / "two")
    shutil.rmtree(home(first) / "db.1")
    shutil.copytree(home(second) / "db.1", home(first) / "db.1")
    with pytest.raises(StoreForeign):
        reopen(first)


@in_a_loop
async def test_a_journal_of_another_format(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path)
    for path in home(cluster).glob("catalog.*"):
        data = bytearray(path.read_bytes())
        data[4] = 9  # the format of the record
        bare = bytes(data[:20]) + bytes(16)
        body = bytes(data[36 : 36 + int.from_bytes(data[16:20], "little")])
        data[20:36] = hashlib.blake2b(bare + body, digest_size=16).digest()
        path.write_bytes(data)
    with pytest.raises(UnknownFormat):
        reopen(cluster)


@in_a_loop
async def test_a_store_that_is_marked_as_damaged(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path)
    name = cluster.names[0]
    config = MemberConfig(
        name=name,
        data_dir=home(cluster),
        initial_cluster=cluster.urls,
        advertise_peer_urls=cluster.urls[name],
        listen_peer_urls=cluster.urls[name],
    )
    mark_damaged(config, "a value has changed")
    with pytest.raises(StoreDamaged, match="a value has changed"):
        reopen(cluster)
    assert Twin(OsDisk(), home(cluster), "store").load() is not None


async def start_and_catch(cluster: Cluster, position: int) -> list[BaseException]:
    """Start a member, and collect what ends it."""
    ended: list[BaseException] = []
    await cluster.start(position, on_fatal=ended.append)
    return ended


@in_a_loop
async def test_yesterdays_directory_never_takes_part(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path, 3)
    old = tmp_path / "old"
    shutil.copytree(home(cluster), old)
    for value in (b"2", b"3"):
        await cluster.start_all()
        await cluster.put(await cluster.quiet(), b"a", value)
        await cluster.stop_all()
    shutil.rmtree(home(cluster))
    old.rename(home(cluster))
    for position in (1, 2):
        await cluster.start(position)
    await cluster.leader()
    ended = await start_and_catch(cluster, 0)
    await cluster.until(lambda: bool(ended))
    assert isinstance(ended[0], RolledBack)
    await cluster.stop_all()


@in_a_loop
async def test_a_copy_of_a_directory_that_lives_elsewhere(tmp_path: Path) -> None:
    cluster = await stopped(tmp_path, 3)
    copy = tmp_path / "copy"
    shutil.copytree(home(cluster), copy)
    await cluster.start_all()
    await cluster.quiet()
    await cluster.stop(0)
    shutil.rmtree(home(cluster))
    copy.rename(home(cluster))
    ended = await start_and_catch(cluster, 0)
    await cluster.until(lambda: bool(ended))
    assert isinstance(ended[0], RolledBack)
    await cluster.stop_all()
