"""Several members in one event loop, with a tiny key-value operation set.

They run in virtual time on a simulated network, so nothing waits for anything real; with
`on_loopback` they are what production runs: sockets, processes, threads and the real clock.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from roost.errors import ModelRefused, NotExecuted, OutcomeUnknown
from roost.journal import OsDisk
from roost.journal.disk import OsFile
from roost.member import Member, MemberConfig, World, address_of
from roost.raft import Role
from roost.sim.members.loop import VirtualLoop, pass_time, run_virtually
from roost.sim.members.network import SimNetwork
from roost.sim.members.world import SimWorld
from roost.store import Txn
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports

TREE = "things"
DELAY_S_MEAN = 0.0005
SEGMENT_BYTES = 256 << 10
# How often whoever waits for something looks whether it is there.
LOOK_S = 0.001


def bootstrap(txn: Txn) -> None:
    """The first content of every store."""
    txn.tree(TREE)


def raise_fatal(error: BaseException) -> None:
    """Make a broken member a failed test."""
    raise AssertionError("a member stopped itself") from error


async def look_again() -> None:
    """Give the members a turn; where time is virtual, some of it passes."""
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        await pass_time(LOOK_S)
    else:
        await asyncio.sleep(0)


class UnsyncedFile(OsFile):
    """A file that no power cut comes to."""

    def sync_data(self) -> None:
        """Nothing is lost without it."""

    def sync_all(self) -> None:
        """Nothing is lost without it."""


class UnsyncedDisk(OsDisk):
    """Files that a test can look into, without what makes them durable."""

    def open(self, path: Path, *, create: bool = False) -> OsFile:
        """Open a file."""
        file = super().open(path, create=create)
        file.__class__ = UnsyncedFile
        return file

    def sync_directory(self, path: Path) -> None:
        """Nothing is lost without it."""


class Machine(SimWorld):
    """A simulated machine with real files."""

    def __init__(self, network: SimNetwork, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        stream = random.Random(url)
        super().__init__(network, (host, int(port)), stream, segment_bytes=SEGMENT_BYTES)
        self.disk = UnsyncedDisk()  # type: ignore[assignment]  # real, so never cut off

    def has_directory(self, path: Path) -> bool:
        return path.exists()


class Network:
    """Where the machines are: the simulator's.  Those of another `number` have other chance."""

    def __init__(self, number: int = 0) -> None:
        self._number = number
        self.simulated = SimNetwork(random.Random(1), delay_s_mean=DELAY_S_MEAN)
        self._machines: dict[str, Machine] = {}
        self._count = 0

    def new_url(self) -> str:
        """An address that nobody has."""
        self._count += 1
        return f"http://10.0.{self._number}.{self._count}:2380"

    def machine(self, url: str) -> World:
        """The machine at that address; it outlives the members on it."""
        return self._machines.setdefault(url, Machine(self.simulated, url))


class Loopback(Network):
    """The real one."""

    def new_url(self) -> str:
        """A port that nobody has."""
        return f"http://127.0.0.1:{free_ports(1)[0]}"

    def machine(self, url: str) -> World:
        """This one."""
        return World()


class Cluster:
    """`size` members; members are stopped and started by their position."""

    def __init__(
        self,
        root: Path,
        size: int,
        heartbeat_ms: int = 20,
        *,
        lease_reads: bool = False,
        network: Network | None = None,
    ) -> None:
        self.root = root
        self.network = network or Network()
        self.names = [f"m{position}" for position in range(size)]
        self.urls = {name: (self.network.new_url(),) for name in self.names}
        self.heartbeat_ms = heartbeat_ms
        self.lease_reads = lease_reads
        self.members: dict[int, Member] = {}

    def config(self, position: int) -> MemberConfig:
        """What the member at `position` is told."""
        name = self.names[position]
        return MemberConfig(
            name=name,
            data_dir=self.root / name,
            initial_cluster=self.urls,
            advertise_peer_urls=self.urls[name],
            listen_peer_urls=self.urls[name],
            advertise_client_urls=(f"http://{name}:2379",),
            heartbeat_ms=self.heartbeat_ms,
            election_ms=10 * self.heartbeat_ms,
            lease_reads=self.lease_reads,
        )

    def address(self, position: int) -> tuple[str, int]:
        """Where the member at `position` is."""
        return address_of(self.urls[self.names[position]][0])

    def open(
        self, config: MemberConfig, on_fatal: Callable[[BaseException], None] = raise_fatal
    ) -> Member:
        """Open a member on a machine of its own."""
        world = self.network.machine(config.listen_peer_urls[0])
        return Member(config, bootstrap=bootstrap, on_fatal=on_fatal, world=world)

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
        config = self.config(position)
        if double is not None:
            urls = (self.network.new_url(),)
            config = replace(config, data_dir=double, listen_peer_urls=urls)
        member = self.open(config, on_fatal)
        tree_id = member.store.tree(TREE).id

        def put(txn: Txn, body: bytes) -> bytes:
            key, _, value = body.partition(b"=")
            if key == b"forbidden":
                txn.put(tree_id, b"trace", b"must not stay")
                raise ModelRefused(9, "that key is forbidden")
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
        """Wait until `condition` holds; 20 s at most."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await look_again()

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
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.members[position].transact("put", key + b"=" + value)
                except (NotExecuted, OutcomeUnknown):
                    await look_again()

    async def get(self, position: int, key: bytes) -> bytes | None:
        """Read linearizably at the member at `position`."""
        member = self.members[position]
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await member.read_barrier()
                    return member.view.get(member.store.tree(TREE).id, key)
                except NotExecuted:
                    await look_again()


def run_cluster(
    root: Path,
    size: int,
    story: Callable[[Cluster], Awaitable[None]],
    heartbeat_ms: int = 20,
    *,
    lease_reads: bool = False,
    on_loopback: bool = False,
) -> None:
    """Run `story` with a started cluster that is stopped afterwards."""

    async def main() -> None:
        network = Loopback() if on_loopback else Network()
        cluster = Cluster(root, size, heartbeat_ms, lease_reads=lease_reads, network=network)
        await cluster.start_all()
        try:
            await story(cluster)
        finally:
            await cluster.stop_all()

    if on_loopback:
        asyncio.run(main())
    else:
        run_virtually(main())
