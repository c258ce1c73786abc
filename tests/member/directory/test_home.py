"""Directories that must not be used as they are, each refused by its own name (P12)."""

import hashlib
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
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
from roost.member import (
    CannotJoin,
    DirectoryLost,
    MemberConfig,
    RolledBack,
    StoreDamaged,
    join_cluster,
    mark_damaged,
)
from roost.member.cluster.membership import ADD
from roost.member.directory.fetching import StoreFetch
from roost.sim.members.loop import run_virtually
from roost.store import METADATA_ID, STORAGE_VERSION, StoreForeign, Txn
from tests.member.members import Cluster, Network


def in_a_loop(test: Callable[[Path], Awaitable[None]]) -> Callable[[Path], None]:
    """Run a test in an event loop of its own."""

    def run(tmp_path: Path) -> None:
        run_virtually(_awaited(test(tmp_path)))

    run.__name__ = test.__name__
    return run


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def stopped(root: Path, size: int = 1, *, network: Network | None = None) -> Cluster:
    """A cluster that has lived, and is stopped."""
    cluster = Cluster(root, size, network=network)
    await cluster.start_all()
    await cluster.put(await cluster.quiet(), b"a", b"1")
    await cluster.stop_all()
    return cluster


def reopen(cluster: Cluster) -> None:
    """Open the first member's directory, as a start does."""
    cluster.open(cluster.config(0)).abandon()


def home(cluster: Cluster) -> Path:
    return cluster.root / cluster.names[0]


@in_a_loop
async def test_a_directory_in_use(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, 1)
    await cluster.start_all()
    with pytest.raises(DirectoryLocked):
        reopen(cluster)
    await cluster.stop_all()


def test_a_member_that_is_called_something_else_is_told_whose_directory_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The command of one member with the directory of another is a mistake that is made."""

    async def story() -> None:
        cluster = await stopped(tmp_path)
        name = cluster.names[0]
        member = cluster.open(replace(cluster.config(0), name="other"))
        await member.start()
        await cluster.until(lambda: f"is the directory of member '{name}'" in caplog.text)
        assert "is called 'other' from now on" in caplog.text
        await member.stop()

    run_virtually(story())


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


@pytest.mark.parametrize("copy", ["identity.a", "identity.b"])
def test_either_copy_of_the_identity_is_enough(tmp_path: Path, copy: str) -> None:
    """A member whose first copy was gone took itself for a new one, and wrote over the other."""
    cluster = run_virtually(stopped(tmp_path))
    disk = OsDisk()
    held = load_identity(disk, home(cluster))
    (home(cluster) / copy).unlink()
    reopen(cluster)
    assert load_identity(disk, home(cluster)) == held
    assert (home(cluster) / copy).stat().st_size


@pytest.mark.parametrize("left", [None, b"", bytes(100)])
def test_an_identity_that_is_gone_is_not_drawn_anew(tmp_path: Path, left: bytes | None) -> None:
    cluster = run_virtually(stopped(tmp_path))
    for copy in ("identity.a", "identity.b"):
        (home(cluster) / copy).unlink()
        if left is not None:
            (home(cluster) / copy).write_bytes(left)
    for _ in range(2):
        with pytest.raises(JournalDamaged, match="whose directory this is"):
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
    second = await stopped(tmp_path / "two", network=first.network)
    shutil.rmtree(home(first) / "db.1")
    shutil.copytree(home(second) / "db.1", home(first) / "db.1")
    with pytest.raises(StoreForeign):
        reopen(first)


@in_a_loop
async def test_a_store_of_another_version(tmp_path: Path) -> None:
    """It served, and every write was an internal error: a row was longer than it had been."""
    cluster = Cluster(tmp_path, 1)
    member = await cluster.start(0)
    await cluster.quiet()

    def make_old(txn: Txn, body: bytes) -> bytes:
        txn.put(METADATA_ID, b"storage_version", body)
        return b""

    member.register("make old", make_old)
    await member.transact("make old", (STORAGE_VERSION - 1).to_bytes(4, "big"))
    await cluster.stop_all()
    with pytest.raises(StoreForeign, match="start that version, and copy with `roost mirror`"):
        reopen(cluster)


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
    mark_damaged(cluster.config(0), "a value has changed")
    with pytest.raises(StoreDamaged, match="a value has changed"):
        reopen(cluster)
    assert Twin(OsDisk(), home(cluster), "store").load() is not None


@in_a_loop
async def test_a_double_on_an_empty_directory_ends_and_the_healthy_member_goes_on(
    tmp_path: Path,
) -> None:
    """Issue 12, A4: the newer directory outranked the healthy member, which ended itself."""
    cluster = Cluster(tmp_path, 3)
    await cluster.start_all()
    leader = await cluster.quiet()
    at = (leader + 1) % 3
    ended: list[BaseException] = []
    double = await cluster.start(at, ended.append, double=tmp_path / "double")
    await cluster.until(lambda: bool(ended))
    assert isinstance(ended[0], DirectoryLost)
    member_id = cluster.members[at].member_id
    assert f"member {member_id:x} has already been bootstrapped" in str(ended[0])
    assert f"member remove {member_id:x}" in str(ended[0])
    await double.stop()
    await cluster.put(at, b"still", b"here")
    assert await cluster.get(at, b"still") == b"here"
    await cluster.stop_all()


@in_a_loop
async def test_a_double_on_a_copied_directory_never_takes_part_and_harms_nobody(
    tmp_path: Path,
) -> None:
    cluster = await stopped(tmp_path, 3)
    copy = tmp_path / "copy"
    shutil.copytree(home(cluster), copy)
    await cluster.start_all()
    await cluster.quiet()
    for _ in range(2):
        # Once it is as old as the one that runs, and once it has been started more often.
        ended: list[BaseException] = []
        double = await cluster.start(0, ended.append, double=copy)
        others = [cluster.members[it].transport.statistics for it in (1, 2)]
        before = [it.refused_count for it in others]
        await cluster.until(
            lambda before=before, others=others: all(  # type: ignore[misc]  # bound now
                it.refused_count > count for it, count in zip(others, before, strict=True)
            )
        )
        assert double.leader_id == 0
        await double.stop()
    await cluster.put(0, b"still", b"here")
    assert await cluster.get(0, b"still") == b"here"
    await cluster.stop_all()


@in_a_loop
async def test_a_member_whose_directory_is_lost_does_not_come_back_on_an_empty_one(
    tmp_path: Path,
) -> None:
    """It has forgotten what it promised: it could vote twice in one term."""
    cluster = await stopped(tmp_path, 3)
    shutil.rmtree(home(cluster))
    for position in (1, 2):
        await cluster.start(position)
    await cluster.leader()
    ended = await start_and_catch(cluster, 0)
    await cluster.until(lambda: bool(ended))
    assert isinstance(ended[0], DirectoryLost)
    await cluster.stop(0)
    joining = replace(cluster.config(0), data_dir=tmp_path / "joining")
    with pytest.raises(CannotJoin, match="has already been bootstrapped"):
        await join_cluster(joining, cluster.network.machine(*cluster.urls["m0"]))
    await cluster.stop_all()


@in_a_loop
async def test_who_names_no_other_member_is_told_at_once(tmp_path: Path) -> None:
    """It waited five seconds in silence, and said "the last said: None"."""
    config = MemberConfig(
        name="m0",
        data_dir=tmp_path / "alone",
        initial_cluster={"m0": ("http://127.0.0.1:1",)},
        advertise_peer_urls=("http://127.0.0.1:1",),
        listen_peer_urls=("http://127.0.0.1:1",),
    )
    with pytest.raises(CannotJoin, match="name those that run with --initial-cluster"):
        await join_cluster(config, Network().machine("http://127.0.0.1:1"))


@in_a_loop
async def test_a_stranger_is_sent_no_store(tmp_path: Path) -> None:
    """It says the URLs of a member that was added, but is not there."""
    cluster = await stopped(tmp_path, 3)
    for position in (1, 2):
        await cluster.start(position)
    await cluster.leader()
    elsewhere, added = cluster.network.new_url(), cluster.network.new_url()
    asked = b'{"peer_urls": ["%s"], "is_learner": true}' % added.encode()
    await cluster.members[1].transact(ADD, asked)
    stranger = MemberConfig(
        name="stranger",
        data_dir=tmp_path / "stranger",
        initial_cluster=cluster.urls,
        advertise_peer_urls=(added,),
        listen_peer_urls=(elsewhere,),
    )
    with pytest.raises(CannotJoin, match="nobody who joins is at these peer URLs"):
        await StoreFetch(stranger, cluster.network.machine(elsewhere)).run(rounds_max=2, retry_s=0)
    assert not list((tmp_path / "stranger").glob("db.*"))
    await cluster.stop_all()


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
