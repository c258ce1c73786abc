"""Who dials members and is none: strangers that greet, and copies of a member's directory.

A stranger may have read what members say to each other, knows who they are and where, and may
have their ids; it has neither their addresses nor their secret.  A copy is a second process with a
member's identity, on a copied directory, at another address.  Both are judged here: a stranger that
is welcomed is a broken promise.  What else must hold holds in the whole run: nobody ends a member,
and nothing that was acknowledged is lost.
"""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from roost import etcd
from roost.errors import PeerFault, RoostError
from roost.member import Member
from roost.member.opening import open_member
from roost.peer import NONCE_BYTES, Join, LocalPeer, Secrets, Stream
from roost.peer.frame import HANDSHAKE_BYTES_MAX, WELCOME
from roost.peer.greeting import Dialler
from roost.peer.handshake import greet
from roost.peer.local import CHANNELS, Address
from roost.peer.waiting import send_all
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.disk import PowerCut
from roost.sim.members.judge import Violation
from roost.sim.members.loop import virtual_loop
from roost.sim.members.machines import Machine, Machines
from roost.sim.members.network import Host, SimNetwork
from roost.sim.members.world import SimWorld
from roost.tasks import Tasks

# How long after it was said a greeting may be replayed: by then nobody is greeting so any more.
STALE_S = 6.0
SILENT_COUNT_MAX, SILENT_S_MAX = 12, 8.0
COPIES_MAX = 2


class Intruders:
    """All of them in one run."""

    def __init__(self, machines: Machines, network: SimNetwork, chronicle: Chronicle) -> None:
        """Nobody yet."""
        self._machines = machines
        self._network = network
        self._chronicle = chronicle
        self._dice = chronicle.stream("intruders")
        self._tasks = Tasks()
        self._copies: list[Copy] = []
        self._count = 0

    def intrude(self) -> None:
        """A stranger comes, and does one of the things that strangers do."""
        running = self._machines.running()
        if not running:
            return
        machine = self._dice.choice(running)
        member = machine.member
        assert member is not None, "it runs"
        self._count += 1
        self._chronicle.result.intrusions += 1
        stranger = Stranger(
            Host(self._network, (f"10.9.0.{self._count % 250}", 2380)),
            machine.world.address,
            member.transport.local,
            random.Random(self._dice.random()),  # noqa: S311 - a simulation is no secret
        )
        others = [it for it in running if it is not machine]
        ways: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("says nothing", stranger.say_nothing),
            ("says what nobody understands", stranger.say_nonsense),
            ("is of another cluster", stranger.greet_from_another_cluster),
            ("has an id that nobody has", stranger.greet_as_nobody),
            ("joins as somebody who is there", lambda: stranger.join_as(self._dice, running)),
            ("repeats what it has heard", lambda: stranger.repeat(self._stale())),
        ]
        if others:
            ways.append(("says that it is a member", lambda: stranger.greet_as(others)))
        how, intrude = self._dice.choice(ways)
        self._chronicle.say(f"a stranger {how} to {machine.config.name}")
        self._tasks.start(_until_refused(intrude))

    def _stale(self) -> list[bytes]:
        """Greetings that were said long ago."""
        before_s = virtual_loop().time() - STALE_S
        return [said for at_s, said in self._network.overheard if at_s < before_s]

    def double(self) -> None:
        """A copy of somebody's directory is started, or one that runs is stopped."""
        dice = self._dice
        if len(self._copies) >= COPIES_MAX or (self._copies and dice.random() < 0.3):
            self._copies.pop(dice.randrange(len(self._copies))).stop()
            return
        lived = [it for it in self._machines if it.has_identity and not it.is_starting]
        if not lived:
            return
        machine = dice.choice(lived)
        self._count += 1
        self._chronicle.result.intrusions += 1
        copy = Copy(machine, self._network, self._count, self._chronicle)
        self._copies.append(copy)
        self._tasks.start(copy.run())

    async def leave(self) -> None:
        """All of them go."""
        while self._copies:
            self._copies.pop().stop()
        await self._tasks.close()


async def _until_refused(intrude: Callable[[], Awaitable[None]]) -> None:
    try:
        await intrude()
    except (OSError, PeerFault):
        pass  # refused, as it should be, or nobody was there


class Stranger:
    """Somebody who dials one member."""

    def __init__(self, host: Host, target: Address, local: LocalPeer, dice: random.Random) -> None:
        """It dials `target`, and knows that the member there calls itself `local`."""
        self._host = host
        self._target = target
        self._local = local
        self._dice = dice

    async def _dial(self) -> Stream:
        connection, _ = await self._host.connect(self._target)
        return Stream(connection, HANDSHAKE_BYTES_MAX)

    async def _greet(self, claimed: LocalPeer) -> None:
        nonce = self._dice.randbytes(NONCE_BYTES)
        hello = claimed.hello(self._local.member_id, self._dice.choice(CHANNELS), nonce)
        stream = await self._dial()
        await greet(stream, Dialler(hello, Secrets()))
        raise Violation(f"a stranger was welcomed that said {hello}")

    async def greet_from_another_cluster(self) -> None:
        """A member of another cluster has our addresses."""
        cluster_id, member_id = self._local.cluster_id ^ 1, self._local.member_id ^ 1
        await self._greet(replace(self._local, cluster_id=cluster_id, member_id=member_id))

    async def greet_as_nobody(self) -> None:
        """Nobody has that id."""
        await self._greet(replace(self._local, member_id=self._dice.getrandbits(63) + 1))

    async def greet_as(self, others: list[Machine]) -> None:
        """Somebody has that id, and is elsewhere."""
        member = self._dice.choice(others).member
        if member is not None:
            life = msgspec.structs.replace(
                member.transport.local.life, number=self._dice.getrandbits(62)
            )
            await self._greet(replace(member.transport.local, life=life))

    async def join_as(self, dice: random.Random, running: list[Machine]) -> None:
        """Ask for all that the cluster holds."""
        join = Join(
            peer_urls=dice.choice(running).config.advertise_peer_urls,
            protocol_version=self._local.protocol_version,
            storage_version=self._local.storage_version,
            nonce=self._dice.randbytes(NONCE_BYTES),
        )
        await greet(await self._dial(), Dialler(join, Secrets()))
        raise Violation(f"a stranger was invited that asked {join}")

    async def repeat(self, stale: list[bytes]) -> None:
        """Say what members once said when they greeted."""
        stream = await self._dial()
        for said in self._dice.sample(stale, min(2, len(stale))):
            await send_all(virtual_loop(), stream.connection, said)
        while True:
            kind, _ = await stream.next_frame()
            if kind == WELCOME:
                raise Violation("a stranger was welcomed that repeated what members had said")

    async def say_nothing(self) -> None:
        """Hold connections, as many as it likes."""
        streams = [await self._dial() for _ in range(self._dice.randint(1, SILENT_COUNT_MAX))]
        await asyncio.sleep(self._dice.uniform(0, SILENT_S_MAX))
        for stream in streams:
            stream.close()

    async def say_nonsense(self) -> None:
        """Send bytes, and wait for what comes of it."""
        stream = await self._dial()
        data = self._dice.randbytes(self._dice.randint(1, 2 * HANDSHAKE_BYTES_MAX))
        await send_all(virtual_loop(), stream.connection, data)
        await stream.next_frame()


class Copy:
    """A second process with a member's identity, somewhere else."""

    def __init__(
        self, machine: Machine, network: SimNetwork, number: int, chronicle: Chronicle
    ) -> None:
        """Copy the directory as it is now, whether its member runs or not."""
        old = machine.config.data_dir
        data_dir = Path(f"{old}-copy-{number}")
        shutil.copytree(old, data_dir, ignore=shutil.ignore_patterns("lock.mdb", "*-lock"))
        address = (f"10.8.0.{number % 250}", 2380)
        self._world = SimWorld(
            network,
            address,
            chronicle.stream(f"copy {number}"),
            segment_bytes=machine.world.journal_config.segment_bytes,
            peer_secrets=machine.world.peer_secrets,
        )
        self._world.disk = machine.world.disk.moved(old, data_dir)
        self._config = replace(
            machine.config,
            data_dir=data_dir,
            listen_peer_urls=(f"http://{address[0]}:{address[1]}",),
        )
        self._name = f"a copy of {machine.config.name}"
        self._chronicle = chronicle
        self._member: Member | None = None
        self._is_stopped = False

    async def run(self) -> None:
        """Start it, if its directory is one that can be opened."""
        self._chronicle.say(f"{self._name} starts")
        try:
            member = await open_member(
                self._config,
                bootstrap=etcd.bootstrap,
                on_fatal=self._on_end,
                world=self._world,
            )
            etcd.Services(
                member, member.store, clock_s=self._world.clock_s, wall_s=self._world.wall_s
            )
            member.on_removed = self.stop
            if not self._is_stopped:
                await member.start()
                self._member = member
        except (RoostError, PowerCut) as error:
            self._chronicle.say(f"{self._name} does not start: {error}")

    def _on_end(self, error: BaseException) -> None:
        self._chronicle.say(f"{self._name} ends itself: {error}")
        self.stop()

    def stop(self) -> None:
        """End it, as by a kill."""
        self._is_stopped = True
        member, self._member = self._member, None
        if member is not None:
            self._chronicle.say(f"{self._name} is stopped")
            member.abandon()
            self._world.crash(loses_power=False)
