"""A cluster of three members in this process, in virtual time, and clients that reach it.

Members are the production's, on the simulator's machines; a client's channel calls their services.
What can go wrong between a client and a member is done by the channel: see `Trouble`.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roost import etcd
from roost.call import Code, Gathered, Route, Sending, Stream, Unary
from roost.client import Manners
from roost.client.aio import Client
from roost.client.channel import CallFailed, Metadata
from roost.client.credentials import Credentials
from roost.client.endpoints import Endpoint
from roost.flow import OWN, Flow
from roost.member import Member, MemberConfig
from roost.member.opening import open_member
from roost.raft import Role
from roost.sim.members.loop import pass_time, run_virtually
from roost.sim.members.network import SimNetwork
from roost.sim.members.world import SimWorld

HEARTBEAT_MS, SIZE = 20, 3
DELAY_S_MEAN = 0.0005
LOOK_S = 0.001


@dataclass(slots=True)
class Trouble:
    """What happens on the way: odds for each call, and for each answer of a stream."""

    request_lost: float = 0.0
    answer_lost: float = 0.0
    stream_broken: float = 0.0


class Machine:
    """A member, or where one was."""

    def __init__(self, network: SimNetwork, number: int) -> None:
        address = (f"10.0.0.{number + 1}", 2380)
        self.world = SimWorld(network, address, random.Random(number), segment_bytes=256 << 10)
        self.member: Member | None = None
        self.services: etcd.Services | None = None
        self.routes: dict[bytes, Route] = {}
        # What comes in is not looked at, and nothing is said, as by a process that was stopped.
        self.is_frozen = False
        self.calls: list[Call] = []

    def end_calls(self) -> None:
        calls, self.calls = self.calls, []
        for it in calls:
            it.finish(Code.UNAVAILABLE, "Socket closed")


@dataclass
class Call:
    """One call or stream, as the services see it."""

    machine: Machine
    token: str
    said: "asyncio.Queue[bytes | CallFailed | None]" = field(default_factory=asyncio.Queue)
    on_drain: Callable[[], None] | None = None
    certificate_name: str = ""
    address: str = ""
    pending_bytes: int = 0
    flow: Flow = OWN

    # Whether it is over only its client knows, who says so to a stream's handler.
    is_over: bool = False

    def reply(self, message: bytes) -> None:
        self.said.put_nowait(message)

    send = reply

    def reply_in_parts(self, size: int) -> Sending:
        return Gathered(size, self.reply)

    def send_all(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.said.put_nowait(message)

    def fail(self, code: int, text: str) -> None:
        self.said.put_nowait(CallFailed(Code(code).name, text) if code else None)

    finish = fail


class MemberChannel:
    """The way from one client to one member."""

    def __init__(self, machine: Machine, trouble: Trouble, dice: random.Random) -> None:
        self._machine = machine
        self._trouble = trouble
        self._dice = dice

    def _happens(self, odds: float) -> bool:
        return odds > 0 and self._dice.random() < odds

    async def _travel(self) -> None:
        await pass_time(self._dice.expovariate(1 / DELAY_S_MEAN))
        while self._machine.is_frozen:
            await pass_time(LOOK_S)

    def _call(self, metadata: Metadata) -> Call:
        if self._machine.member is None:
            raise CallFailed("UNAVAILABLE", "failed to connect to all addresses")
        call = Call(self._machine, dict(metadata).get("token", ""))
        self._machine.calls.append(call)
        return call

    async def unary(
        self, path: str, request: bytes, *, metadata: Metadata, timeout_s: float
    ) -> bytes:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._unary(path, request, metadata)
        except TimeoutError as error:
            raise CallFailed("DEADLINE_EXCEEDED", "Deadline Exceeded") from error

    async def _unary(self, path: str, request: bytes, metadata: Metadata) -> bytes:
        await self._travel()
        call = self._call(metadata)
        if self._happens(self._trouble.request_lost):
            raise CallFailed("UNAVAILABLE", "Socket closed")
        route = self._machine.routes[path.encode()]
        try:
            if isinstance(route, Stream):
                route.open(call).on_message(request)
            else:
                route.handle(call, request)
            said = await call.said.get()
            await self._travel()
        finally:
            if call in self._machine.calls:
                self._machine.calls.remove(call)
        if self._happens(self._trouble.answer_lost):
            raise CallFailed("UNAVAILABLE", "Socket closed")
        if isinstance(said, CallFailed):
            raise said
        assert said is not None, "a unary call is answered"
        return said

    async def stream(
        self, path: str, request: bytes, *, metadata: Metadata, is_held: bool
    ) -> AsyncGenerator[bytes, None]:
        await self._travel()
        call = self._call(metadata)
        route = self._machine.routes[path.encode()]
        assert not isinstance(route, Unary), "a stream's method"
        handler = route.open(call)
        handler.on_message(request)
        if not is_held:
            handler.on_half_close()
        try:
            while (said := await call.said.get()) is not None:
                await self._travel()
                if isinstance(said, CallFailed):
                    raise said
                if self._happens(self._trouble.stream_broken):
                    raise CallFailed("UNAVAILABLE", "Socket closed")
                yield said
        finally:
            if call in self._machine.calls:
                self._machine.calls.remove(call)
                handler.on_cancel()

    async def is_reached(self, within_s: float) -> bool:
        return self._machine.member is not None

    async def close(self) -> None:
        return


class VirtualCluster:
    """Three members, which may be killed, started, frozen and thawed; and clients of them."""

    def __init__(self, root: Path, *, seed: int = 1, auth: etcd.AuthOptions | None = None) -> None:
        self.root = root
        self.dice = random.Random(seed)
        self._auth = auth
        network = SimNetwork(random.Random(seed), delay_s_mean=DELAY_S_MEAN)
        self.machines = [Machine(network, number) for number in range(SIZE)]
        self.endpoints = [f"m{number}:2379" for number in range(SIZE)]

    def config(self, number: int) -> MemberConfig:
        urls = {f"m{it}": (f"http://10.0.0.{it + 1}:2380",) for it in range(SIZE)}
        return MemberConfig(
            name=f"m{number}",
            data_dir=self.root / f"m{number}",
            initial_cluster=urls,
            advertise_peer_urls=urls[f"m{number}"],
            listen_peer_urls=urls[f"m{number}"],
            advertise_client_urls=(f"http://m{number}:2379",),
            heartbeat_ms=HEARTBEAT_MS,
            election_ms=10 * HEARTBEAT_MS,
            request_timeout_ms=1000,
        )

    async def start(self, number: int) -> None:
        machine, config = self.machines[number], self.config(number)
        config.data_dir.mkdir(exist_ok=True)
        member = await open_member(
            config, bootstrap=etcd.bootstrap, on_fatal=raise_fatal, world=machine.world
        )
        services = etcd.Services(
            member,
            member.store,
            limits=etcd.Limits(lease_ttl_min_s=1, lease_grace_s=0.2),
            auth_options=self._auth,
            clock_s=machine.world.clock_s,
        )
        machine.routes = services.routes()
        await member.start()
        services.start()
        machine.member, machine.services = member, services

    def kill(self, number: int) -> None:
        machine = self.machines[number]
        assert machine.member is not None and machine.services is not None, "it runs"
        machine.services.stop()
        member, machine.member = machine.member, None
        member.abandon()
        machine.world.crash(loses_power=False)
        machine.end_calls()

    async def leader(self) -> int:
        """Wait until a member leads and all that run know it; return its number."""
        async with asyncio.timeout(60):
            while True:
                running = [it.member for it in self.machines if it.member is not None]
                for number, machine in enumerate(self.machines):
                    it = machine.member
                    if it is None or it.core.role is not Role.LEADER:
                        continue
                    if all(other.leader_id == it.member_id for other in running):
                        return number
                await pass_time(LOOK_S)

    def client(
        self,
        *,
        trouble: Trouble | None = None,
        endpoints: Sequence[str] = (),
        timeout_s: float = 5.0,
        patience_s: float = 60.0,
        retries: bool = True,
        spreads: bool = True,
        credentials: Credentials | None = None,
    ) -> Client:
        """A client whose clock is the cluster's, and whose way there is as good as `trouble`."""

        def open_channel(endpoint: Endpoint, _credentials: Credentials) -> MemberChannel:
            machine = self.machines[self.endpoints.index(endpoint.name)]
            return MemberChannel(machine, trouble or Trouble(), self.dice)

        manners = Manners(
            timeout_s=timeout_s,
            patience_s=patience_s,
            retries=retries,
            spreads=spreads,
            credentials=credentials or Credentials(),
            open_channel=open_channel,
            clock_s=lambda: asyncio.get_running_loop().time(),
        )
        return Client(list(endpoints) or self.endpoints, manners=manners)

    async def stop_all(self) -> None:
        for machine in self.machines:
            machine.is_frozen = False
            if machine.member is not None and machine.services is not None:
                machine.services.stop()
                await machine.member.stop()
                await machine.services.close()


def raise_fatal(error: BaseException) -> None:
    """Make a broken member a failed test."""
    raise AssertionError("a member stopped itself") from error


Story = Callable[[VirtualCluster], Awaitable[None]]


def run_cluster(root: Path, story: Story, *, seed: int = 1) -> None:
    """Run `story` with a cluster that serves, and is stopped afterwards; one seed is one run."""
    random.seed(seed)  # the client's own pauses

    async def main() -> None:
        cluster = VirtualCluster(root, seed=seed)
        for number in range(SIZE):
            await cluster.start(number)
        await cluster.leader()
        try:
            await story(cluster)
        finally:
            await cluster.stop_all()

    run_virtually(main())


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Let virtual time pass until something holds."""
    async with asyncio.timeout(within_s):
        while not condition():
            await pass_time(LOOK_S)
