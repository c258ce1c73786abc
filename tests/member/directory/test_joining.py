"""How an empty directory becomes a member's: who is asked, what is believed, and in which order.

The cluster is a real one in virtual time; the machine of the newcomer is looked into.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from roost.journal import Journal, load_identity
from roost.member import CannotJoin, MemberConfig, join_cluster
from roost.member.cluster.membership import ADD
from roost.member.directory import fetching, joining
from roost.member.directory.store_record import read_record
from roost.sim.members.loop import run_virtually
from roost.store import read_applied
from tests.member.members import TREE, Cluster, Machine


@dataclass
class Newcomer:
    """A member that was added to a cluster that runs, and has nothing yet."""

    cluster: Cluster
    config: MemberConfig
    machine: Machine

    async def join(self) -> None:
        await join_cluster(self.config, self.machine)

    @property
    def has_identity(self) -> bool:
        return load_identity(self.machine.disk, self.config.data_dir) is not None


async def added(cluster: Cluster) -> Newcomer:
    """Add a member to the cluster, and describe where it will be."""
    url = cluster.network.new_url()
    body = msgspec.json.encode({"peer_urls": [url], "is_learner": True})
    await cluster.members[0].transact(ADD, body)
    cluster.names.append("new")
    cluster.urls = {**cluster.urls, "new": (url,)}
    machine = cluster.network.machine(url)
    assert isinstance(machine, Machine)
    return Newcomer(cluster, cluster.config(len(cluster.names) - 1), machine)


def with_a_newcomer(root: Path, story: Callable[[Newcomer], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = Cluster(root, 2)
        await cluster.start_all()
        await cluster.put(await cluster.quiet(), b"a", b"1")
        try:
            await story(await added(cluster))
        finally:
            await cluster.stop_all()

    run_virtually(main())


def test_a_newcomer_becomes_who_the_cluster_says_it_is_with_what_it_holds(tmp_path: Path) -> None:
    async def story(newcomer: Newcomer) -> None:
        cluster = newcomer.cluster
        await newcomer.join()
        identity = load_identity(newcomer.machine.disk, newcomer.config.data_dir)
        assert identity is not None
        known = [it for it in cluster.members[0].members() if not it.name]
        assert [it.id for it in known] == [identity.member_id]
        theirs = load_identity(newcomer.machine.disk, cluster.config(0).data_dir)
        assert theirs is not None
        assert identity.cluster_id == theirs.cluster_id
        # By when it was made a directory is told from another one of the same member.
        assert 0 < identity.created <= newcomer.machine.wall_s()
        record = read_record(newcomer.machine.disk, newcomer.config.data_dir)
        applied = read_applied(newcomer.config.data_dir / record.directory)
        assert record.index > 1
        assert applied == (record.index, record.term)
        await cluster.start(len(cluster.names) - 1)
        position = len(cluster.names) - 1
        await cluster.until(lambda: cluster.members[position].leader_id != 0)
        tree = cluster.members[position].store.tree(TREE).id
        await cluster.until(lambda: cluster.members[position].view.get(tree, b"a") == b"1")

    with_a_newcomer(tmp_path, story)


class CrashError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("crash_before", ["place", "identity", "end"])
def test_a_crash_on_the_way_is_followed_by_another_beginning(
    tmp_path: Path, crash_before: str
) -> None:
    """Who it is comes last: a directory with a name and no store would be a member with nothing."""

    def crash(*_what: object, **_more: object) -> None:
        raise CrashError

    close = Journal.close

    def close_and_crash(journal: Journal) -> None:
        close(journal)
        raise CrashError

    async def story(newcomer: Newcomer) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if crash_before == "place":
                patch.setattr(fetching, "place_store", crash)
            elif crash_before == "identity":
                patch.setattr(Journal, "open", crash)
            else:
                patch.setattr(Journal, "close", close_and_crash)
            with pytest.raises(CrashError):
                await newcomer.join()
        assert newcomer.has_identity is (crash_before == "end")
        if crash_before != "end":
            await newcomer.join()
            assert newcomer.has_identity
        cluster = newcomer.cluster
        await cluster.start(len(cluster.names) - 1)
        await cluster.until(lambda: cluster.members[len(cluster.names) - 1].leader_id != 0)
        held = list(newcomer.config.data_dir.glob("db.*/data.mdb"))
        assert len(held) == 1, "what an earlier attempt left is gone"

    with_a_newcomer(tmp_path, story)


def test_nobody_there_is_asked_again_for_a_while_and_then_no_more(tmp_path: Path) -> None:
    async def story(newcomer: Newcomer) -> None:
        asked: list[tuple[str, int]] = []

        async def refuse(address: tuple[str, int]) -> None:
            asked.append(address)
            raise ConnectionRefusedError(111, "refused")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(newcomer.machine, "dial", refuse)
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(CannotJoin, match="no member lets this one join; the last was"):
                await newcomer.join()
            took_s = asyncio.get_running_loop().time() - began_s
        others = [newcomer.cluster.address(it) for it in (0, 1)]
        assert asked == others * joining.ROUNDS_MAX, "the others in turn, never itself"
        assert took_s == pytest.approx(5.0, abs=0.1)
        assert not newcomer.has_identity
        # The doorbell is silent again: the member's own port can be listened at.
        await newcomer.join()

    with_a_newcomer(tmp_path, story)


def test_who_is_down_is_passed_over(tmp_path: Path) -> None:
    async def story(newcomer: Newcomer) -> None:
        dial, dialled = newcomer.machine.dial, []

        async def sometimes(address: tuple[str, int]) -> object:
            dialled.append(address)
            if address == newcomer.cluster.address(0):
                raise ConnectionResetError(104, "reset")
            return await dial(address)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(newcomer.machine, "dial", sometimes)
            await newcomer.join()
        both = [newcomer.cluster.address(it) for it in (0, 1)]
        assert dialled == both * (len(dialled) // 2), "each in turn, until the second has sent"
        assert newcomer.has_identity

    with_a_newcomer(tmp_path, story)


def test_who_was_not_added_gets_nothing(tmp_path: Path) -> None:
    async def story(newcomer: Newcomer) -> None:
        elsewhere = newcomer.cluster.network.new_url()
        stranger = MemberConfig(
            name="stranger",
            data_dir=tmp_path / "stranger",
            initial_cluster=newcomer.cluster.urls,
            advertise_peer_urls=(elsewhere,),
            listen_peer_urls=(elsewhere,),
        )
        with pytest.raises(CannotJoin):
            await join_cluster(stranger, newcomer.cluster.network.machine(elsewhere))
        assert not list(stranger.data_dir.glob("db.*"))
        assert load_identity(newcomer.machine.disk, stranger.data_dir) is None

    with_a_newcomer(tmp_path, story)
