"""Several members in one event loop, on loopback, with a tiny key-value operation set."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from roost.errors import NotExecuted, OutcomeUnknown, Refused
from roost.member import Member, MemberConfig
from roost.raft import Role
from roost.store import Txn
from roost.testing.ports import free_ports

TREE = "things"


def bootstrap(txn: Txn) -> None:
    """The first content of every store."""
    txn.tree(TREE)


def raise_fatal(error: BaseException) -> None:
    """Make a broken member a failed test."""
    raise AssertionError("a member stopped itself") from error


class Cluster:
    """`size` members; members are stopped and started by their position."""

    def __init__(
        self, root: Path, size: int, heartbeat_ms: int = 20, *, lease_reads: bool = False
    ) -> None:
        self.root = root
        self.names = [f"m{position}" for position in range(size)]
        self.urls = {
            name: (f"http://127.0.0.1:{port}",)
            for name, port in zip(self.names, free_ports(size), strict=True)
        }
        self.heartbeat_ms = heartbeat_ms
        self.lease_reads = lease_reads
        self.members: dict[int, Member] = {}

    async def start(
        self,
        position: int,
        on_fatal: Callable[[BaseException], None] = raise_fatal,
        *,
        double: Path | None = None,
    ) -> Member:
        """Start the member at `position` on its own directory.

        With `double` that is another process of that name, on another directory and port.
        """
        name = self.names[position]
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        config = MemberConfig(
            name=name,
            data_dir=double or self.root / name,
            initial_cluster=self.urls,
            advertise_peer_urls=self.urls[name],
            listen_peer_urls=(url,) if double else self.urls[name],
            advertise_client_urls=(f"http://{name}:2379",),
            heartbeat_ms=self.heartbeat_ms,
            election_ms=10 * self.heartbeat_ms,
            lease_reads=self.lease_reads,
        )
        member = Member(config, bootstrap=bootstrap, on_fatal=on_fatal)
        tree_id = member.store.tree(TREE).id

        def put(txn: Txn, body: bytes) -> bytes:
            key, _, value = body.partition(b"=")
            if key == b"forbidden":
                txn.put(tree_id, b"trace", b"must not stay")
                raise Refused(9, "that key is forbidden")
            old = txn.get(tree_id, key) or b""
            txn.put(tree_id, key, value)
            return old

        def touch_nothing(txn: Txn, body: bytes) -> bytes:
            return txn.get(tree_id, body) or b"?"

        member.register("put", put)
        member.register("touch_nothing", touch_nothing)
        await member.start()
        if double is None:
            self.members[position] = member
        return member

    async def start_all(self) -> None:
        """Start every member that is not running."""
        for position in range(len(self.names)):
            if position not in self.members:
                await self.start(position)

    async def stop(self, position: int) -> None:
        """Stop a member in order."""
        await self.members.pop(position).stop()

    async def stop_all(self) -> None:
        """Stop every member."""
        for position in list(self.members):
            await self.stop(position)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, looking at every turn of the loop; 20 s at most."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    async def leader(self) -> int:
        """Wait until one member leads and every running member knows it; return its position."""

        def leads() -> list[int]:
            return [
                position
                for position, member in self.members.items()
                if member.core.role is Role.LEADER
                and all(it.leader_id == member.member_id for it in self.members.values())
            ]

        await self.until(lambda: bool(leads()))
        return leads()[0]

    async def quiet(self) -> int:
        """Wait until every member has published itself too; return the leader's position."""
        leader = await self.leader()
        await self.until(
            lambda: all(
                all(record.client_urls for record in member.members())
                for member in self.members.values()
            )
        )
        return leader

    async def put(self, position: int, key: bytes, value: bytes) -> bytes:
        """Put through the member at `position`, again when the outcome says it is harmless."""
        async with asyncio.timeout(20):
            while True:
                try:
                    return await self.members[position].transact("put", key + b"=" + value)
                except (NotExecuted, OutcomeUnknown):
                    await asyncio.sleep(0.01)

    async def get(self, position: int, key: bytes) -> bytes | None:
        """Read linearizably at the member at `position`."""
        member = self.members[position]
        async with asyncio.timeout(20):
            while True:
                try:
                    await member.read_barrier()
                    return member.view.get(member.store.tree(TREE).id, key)
                except NotExecuted:
                    await asyncio.sleep(0.01)
