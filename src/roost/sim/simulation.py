"""One simulated run: a cluster, clients, faults, and what must hold (DESIGN.md D10).

The seed draws everything: how many members, which kinds of fault and how often, delays, what
clients do.  A run has two phases.  In the first anything may fail.  Then every member runs, every
direction is open, and within HEAL_S the cluster must have one leader, serve, and hold the same
everywhere.

Checked after every delivery and tick: one leader a term; a log position has one content, for
ever, on everybody; commit and applied indices never go back while a member lives; every new
leader has all that was committed.  Checked at the end: every acknowledged put is there, the
history of each key is linearizable, all stores are equal, and every queue is empty.
"""

import asyncio
import hashlib
import random
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from roost import etcd
from roost.errors import RoostError
from roost.etcd.proto import rpc_pb2
from roost.member import Member, MemberConfig, join_cluster, membership
from roost.raft import Role
from roost.raft.quorum import has_quorum
from roost.sim.disk import PowerCut
from roost.sim.linearizability import Operation, Verdict, check_register
from roost.sim.loop import VirtualLoop
from roost.sim.network import SimNetwork
from roost.sim.world import SimWorld
from roost.store import View

HEAL_S = 30.0
HEARTBEAT_MS, ELECTION_MS = 50, 500
CLIENT_TIMEOUT_S = 3.0
KEYS = 6
_TERM_UNKNOWN_TEXTS = ("timed out", "leader changed", "leader failure")


class Stranded(Exception):
    """Nobody left alive has a configuration in which those alive are a majority.

    Removing one of two members can do that, when the survivor crashes before it knows that the
    removal is committed (checklist 135).
    """


class Violation(AssertionError):
    """A promise was broken; the text says which."""


@dataclass(frozen=True, slots=True)
class Swarm:
    """What one seed is about; times in virtual seconds, odds for each step of the nemesis."""

    size: int
    clients: int
    safety_s: float
    delay_s_mean: float
    kills: bool
    power_cuts: bool
    partitions: bool
    one_way_cuts: bool
    changes: bool
    transfers: bool
    trailing_entries: int
    segment_bytes: int
    layer_bytes: int
    nemesis_s_mean: float

    @classmethod
    def draw(cls, dice: random.Random) -> "Swarm":
        """Some faults, of some strength."""
        return cls(
            size=dice.choice((1, 2, 3, 3, 3, 4, 5, 5)),
            clients=dice.randint(2, 6),
            safety_s=dice.choice((8.0, 12.0, 20.0)),
            delay_s_mean=dice.choice((0.0005, 0.002, 0.01, 0.03)),
            kills=dice.random() < 0.7,
            power_cuts=dice.random() < 0.5,
            partitions=dice.random() < 0.6,
            one_way_cuts=dice.random() < 0.4,
            changes=dice.random() < 0.5,
            transfers=dice.random() < 0.4,
            trailing_entries=dice.choice((1, 10, 100)),
            segment_bytes=dice.choice((32 << 10, 64 << 10)),
            layer_bytes=dice.choice((4 << 10, 32 << 10, 1 << 20)),
            nemesis_s_mean=dice.choice((0.1, 0.3, 1.0, 3.0)),
        )


@dataclass(slots=True)
class Result:
    """What one run saw."""

    seed: int
    events: int = 0
    virtual_s: float = 0.0
    acknowledged: int = 0
    operations: int = 0
    elections: int = 0
    crashes: int = 0
    changes: int = 0
    snapshots: int = 0
    committed: int = 0
    digest: str = ""
    is_stranded: bool = False
    violation: str = ""


class Machine:
    """One machine: its world, and the member on it when one runs."""

    def __init__(self, world: SimWorld, config: MemberConfig) -> None:
        """Nothing runs."""
        self.world = world
        self.config = config
        self.member: Member | None = None
        self.routes: dict[bytes, etcd.Route] = {}
        self.lives = 0
        self.is_starting = False
        self.is_gone = False


class Answer:
    """A call that resolves a future."""

    def __init__(self, future: "asyncio.Future[bytes]") -> None:
        """Answer `future`."""
        self._future = future

    def reply(self, message: bytes) -> None:
        """It worked."""
        if not self._future.done():
            self._future.set_result(message)

    def fail(self, code: int, text: str) -> None:
        """It did not."""
        if not self._future.done():
            self._future.set_exception(CallFailed(code, text))


class CallFailed(Exception):
    """A client was told that its call failed."""

    def __init__(self, code: int, text: str) -> None:
        """Keep both."""
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Judge:
    """The invariants that are checked all the time; knows everything, unlike any member."""

    leaders: dict[int, int] = field(default_factory=dict)
    committed: dict[int, tuple[int, int]] = field(default_factory=dict)
    highest: int = 0
    progress: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    checked: dict[int, int] = field(default_factory=dict)

    def look(self, machine_number: int, life: int, member: Member) -> None:
        """Check one living member, in the `life`-th life of its machine."""
        core = member.core
        log = core.log
        if core.role is Role.LEADER and self.leaders.setdefault(core.term, core.id) != core.id:
            raise Violation(f"two leaders in term {core.term}")
        key = (machine_number, life)
        before = self.progress.get(key)
        now = (core.term, log.commit_index, log.applied_index)
        if before is not None and any(a < b for a, b in zip(now, before, strict=True)):
            raise Violation(f"member {core.id:x} went back from {before} to {now}")
        self.progress[key] = now
        if log.commit_index > log.last_index:
            raise Violation(f"member {core.id:x} committed past its log")
        first = max(self.checked.get(machine_number, 0), log.first_index - 1) + 1
        stop = min(log.commit_index, log.last_index)
        for index in range(first, stop + 1):
            entry = log.slice(index, 1)[0]
            content = (entry.term, hash_of(entry.payload))
            if self.committed.setdefault(index, content) != content:
                raise Violation(f"position {index} has two contents")
            self.highest = max(self.highest, index)
        self.checked[machine_number] = max(stop, self.checked.get(machine_number, 0))

    def on_leader(self, member: Member) -> None:
        """A member has just won: it must hold all that was committed."""
        log = member.core.log
        if log.last_index < self.highest:
            raise Violation(
                f"leader {member.core.id:x} of term {member.core.term} ends at {log.last_index}, "
                f"{self.highest} is committed"
            )


def hash_of(data: bytes) -> int:
    """A number for some bytes, the same in every process."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


class Simulation:
    """One seed's world."""

    def __init__(self, seed: int, root: Path, swarm: Swarm | None = None) -> None:
        """Draw what the run is about, unless told; `root` is an empty directory for LMDB."""
        self.seed = seed
        self.root = root
        self.swarm = swarm or Swarm.draw(self.stream("swarm"))
        self.network = SimNetwork(self.stream("network"), delay_s_mean=self.swarm.delay_s_mean)
        self.judge = Judge()
        self.result = Result(seed)
        self.history: list[Operation] = []
        self.acknowledged: dict[bytes, bytes] = {}
        self.machines: list[Machine] = []
        self.trace: list[str] = []
        self._terms_won: set[tuple[int, int]] = set()
        self._nemesis = self.stream("nemesis")
        self._is_safety_phase = True
        self._failure: BaseException | None = None
        self._digest = hashlib.blake2b(digest_size=16)

    def stream(self, name: str) -> random.Random:
        """A source of chance of its own, so that one more draw here shifts nothing there."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311 - a simulation is no secret

    def run(self) -> Result:
        """Run to the end; a broken promise stands in the result."""
        loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._on_loop_error)
        try:
            loop.run_until_complete(self._run())
        except BaseExceptionGroup as group:
            first = _first_of(group)
            if isinstance(first, Stranded):
                self.result.is_stranded = True
            elif isinstance(first, Violation):
                self.result.violation = str(first)
            else:
                raise first from group
        except Violation as violation:
            self.result.violation = str(violation)
        finally:
            self.result.virtual_s = loop.time()
            self.result.events = self.network.delivered
            self._digest.update(self.network.digest.digest())
            self.result.digest = self._digest.hexdigest()
            loop.run_until_complete(_end_tasks())
            loop.close()
            asyncio.set_event_loop(None)
        return self.result

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, PowerCut):
            self._on_power_cut(error)
            return
        if self._failure is None and isinstance(error, BaseException):
            self._failure = error

    def _on_power_cut(self, cut: PowerCut) -> None:
        for machine in self.machines:
            if machine.world.disk is cut.disk:
                self.say(f"{machine.config.name} is cut off in the middle of a write")
                self._crash(machine, loses_power=self.swarm.power_cuts)

    def say(self, text: str) -> None:
        """Add a line to the trace; the digest of all lines tells runs apart."""
        line = f"{asyncio.get_running_loop().time():10.4f}  {text}"
        self.trace.append(line)
        self._digest.update(line.encode())

    # --- members --------------------------------------------------------------------------------

    def _config(self, number: int, *, size: int) -> MemberConfig:
        urls = {f"m{it}": (f"http://10.0.0.{it + 1}:2380",) for it in range(size)}
        return MemberConfig(
            name=f"m{number}",
            data_dir=self.root / f"m{number}",
            initial_cluster=urls,
            advertise_peer_urls=urls[f"m{number}"],
            listen_peer_urls=urls[f"m{number}"],
            advertise_client_urls=(f"http://10.0.0.{number + 1}:2379",),
            heartbeat_ms=HEARTBEAT_MS,
            election_ms=ELECTION_MS,
            trailing_entries=self.swarm.trailing_entries,
            request_timeout_ms=2000,
            store_layer_bytes_max=self.swarm.layer_bytes,
        )

    def _add_machine(self, *, size: int) -> Machine:
        number = len(self.machines)
        config = self._config(number, size=size)
        world = SimWorld(
            self.network,
            (f"10.0.0.{number + 1}", 2380),
            self.stream(f"machine {number}"),
            segment_bytes=self.swarm.segment_bytes,
        )
        machine = Machine(world, config)
        self.machines.append(machine)
        return machine

    async def _start(self, machine: Machine, *, joins: bool = False) -> None:
        machine.is_starting = True
        name = machine.config.name
        try:
            config = machine.config
            config.data_dir.mkdir(exist_ok=True)
            exists = config.data_dir / "identity.a" in machine.world.disk.files
            if joins and not exists:
                await join_cluster(config, machine.world)
            member = Member(
                config, bootstrap=etcd.bootstrap, on_fatal=self._on_fatal, world=machine.world
            )
            machine.routes = etcd.Services(member, member.store).routes()
            member.on_removed = lambda: self._on_removed(machine)
            await member.start()
            machine.member = member
            machine.lives += 1
            self.say(f"{name} starts at {member.store.applied_index}")
        except PowerCut:
            self.say(f"{name} is cut off while it starts")
            machine.world.crash(loses_power=self.swarm.power_cuts)
        except RoostError as error:
            self.say(f"{name} does not start: {error}")
            if joins or "removed" in str(error):
                machine.is_gone = "removed" in str(error)
            else:
                raise Violation(f"{name} does not start again: {error}") from error
        finally:
            machine.is_starting = False

    def _on_fatal(self, error: BaseException) -> None:
        raise Violation(f"a member ended itself: {error!r}") from error

    def _on_removed(self, machine: Machine) -> None:
        if not machine.is_gone:
            self.say(f"{machine.config.name} is told that it was removed")
            machine.is_gone = True
            self._crash(machine, loses_power=False)

    def _crash(self, machine: Machine, *, loses_power: bool) -> None:
        member, machine.member = machine.member, None
        if member is None:
            return
        self.result.crashes += 1
        self.say(f"{machine.config.name} {'loses power' if loses_power else 'is killed'}")
        member.abandon()
        machine.world.crash(loses_power=loses_power)

    # --- the run --------------------------------------------------------------------------------

    async def _run(self) -> None:
        swarm = self.swarm
        self.say(f"seed {self.seed}: {swarm}")
        for _ in range(swarm.size):
            self._add_machine(size=swarm.size)
        for machine in self.machines:
            await self._start(machine)
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._watch())
            clients = [group.create_task(self._client(it)) for it in range(swarm.clients)]
            await self._break_things()
            self._is_safety_phase = False
            await self._heal()
            for client in clients:
                await client
            await self._settle()
            watcher.cancel()
        self._judge_end()

    async def _watch(self) -> None:
        """Look at every member very often."""
        while True:
            self._check()
            await asyncio.sleep(0.002)

    def _check(self) -> None:
        if self._failure is not None:
            raise Violation(f"an error nobody took: {self._failure!r}") from self._failure
        for number, machine in enumerate(self.machines):
            member = machine.member
            if member is None:
                continue
            core = member.core
            if core.role is Role.LEADER and (core.term, core.id) not in self._terms_won:
                self._terms_won.add((core.term, core.id))
                self.result.elections += 1
                self.say(f"{machine.config.name} leads term {core.term} from {core.last_index}")
                self.judge.on_leader(member)
            self.judge.look(number, machine.lives, member)

    async def _break_things(self) -> None:
        loop = asyncio.get_running_loop()
        dice, swarm = self._nemesis, self.swarm
        until = loop.time() + swarm.safety_s
        while loop.time() < until:
            await asyncio.sleep(dice.expovariate(1 / swarm.nemesis_s_mean))
            what = dice.choice(
                ("crash", "crash", "start", "start", "start", "cut", "heal", "change", "move")
            )
            if what == "crash" and (swarm.kills or swarm.power_cuts):
                self._crash_some()
            elif what == "start":
                await self._start_some()
            elif what == "cut":
                self._cut_some()
            elif what == "heal" and self.network.cut:
                self.say("all directions are open")
                self.network.cut.clear()
            elif what == "change" and swarm.changes:
                self._change_some()
            elif what == "move" and swarm.transfers:
                self._move_leader()

    def _crash_some(self) -> None:
        dice, swarm = self._nemesis, self.swarm
        running = [it for it in self.machines if it.member is not None]
        if not running:
            return
        victims = running if dice.random() < 0.15 else [dice.choice(running)]
        loses_power = swarm.power_cuts and (not swarm.kills or dice.random() < 0.5)
        for machine in victims:
            if dice.random() < 0.5:
                machine.world.disk.cut_at(dice.randint(1, 12))
            else:
                self._crash(machine, loses_power=loses_power)

    async def _start_some(self) -> None:
        stopped = [
            it
            for it in self.machines
            if it.member is None and not it.is_starting and not it.is_gone
        ]
        if stopped:
            machine = self._nemesis.choice(stopped)
            await self._start(machine, joins=self.machines.index(machine) >= self.swarm.size)

    def _cut_some(self) -> None:
        dice, swarm = self._nemesis, self.swarm
        addresses = [it.world.address for it in self.machines]
        pairs = [(a, b) for a in addresses for b in addresses if a != b]
        if not pairs:
            return
        if swarm.partitions and dice.random() < 0.6:
            side = set(dice.sample(addresses, dice.randint(1, len(addresses) - 1)))
            self.network.cut |= {(a, b) for a, b in pairs if (a in side) != (b in side)}
            self.say(f"cut off {sorted(it[0] for it in side)}")
        elif swarm.one_way_cuts:
            chosen = dice.choice(pairs)
            self.network.cut.add(chosen)
            self.say(f"nothing gets from {chosen[0][0]} to {chosen[1][0]}")

    def _change_some(self) -> None:
        """Somebody asks any member to change who is in the cluster."""
        dice = self._nemesis
        running = [it for it in self.machines if it.member is not None]
        if not running:
            return
        asked = dice.choice(running)
        member = asked.member
        assert member is not None, "it runs"
        records = member.members()
        learners = [it for it in records if it.is_learner]
        name: str
        body: bytes
        roll = dice.random()
        if learners and roll < 0.5:
            name, body = membership.PROMOTE, b'{"id":%d}' % learners[0].id
        elif roll < 0.75 and len(self.machines) < 9:
            size = len(self.machines) + 1
            machine = self._add_machine(size=size)
            url = machine.config.advertise_peer_urls[0]
            is_learner = b"true" if dice.random() < 0.5 else b"false"
            body = b'{"peer_urls":["%s"],"is_learner":%s}' % (url.encode(), is_learner)
            name = membership.ADD
        else:
            name, body = membership.REMOVE, b'{"id":%d}' % dice.choice(records).id
        self.say(f"{asked.config.name} is asked: {name} {body.decode()}")

        def done(_result: bytes | None, error: RoostError | None) -> None:
            self.say(f"{name}: {error or 'done'}")
            self.result.changes += error is None

        member.transact_nowait(name, body, done)

    def _move_leader(self) -> None:
        leading = [
            it.member for it in self.machines if it.member and it.member.core.role is Role.LEADER
        ]
        if not leading:
            return
        target = self._nemesis.choice(leading[0].members()).id
        try:
            leading[0].transfer_leadership(target, lambda _error: None)
        except RoostError:
            return
        self.say(f"leadership is to go to {target:x}")

    # --- clients --------------------------------------------------------------------------------

    async def _client(self, number: int) -> None:
        dice = self.stream(f"client {number}")
        count = 0
        while self._is_safety_phase:
            await asyncio.sleep(dice.expovariate(1 / 0.05))
            running = [it for it in self.machines if it.member is not None]
            if not running:
                continue
            machine = dice.choice(running)
            count += 1
            key = b"shared-%d" % dice.randrange(KEYS)
            value = b"%d-%d" % (number, count) + bytes(dice.choice((0, 10, 2000)))
            what = dice.random()
            if what < 0.4:
                await self._read(machine, key)
            elif what < 0.7:
                await self._put(machine, key, value)
            else:
                own = b"own-%d-%d" % (number, count)
                if await self._put(machine, own, value):
                    self.acknowledged[own] = value

    async def _call(self, machine: Machine, method: bytes, body: bytes) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        route = machine.routes[method]
        assert isinstance(route, etcd.Unary), "clients make unary calls"
        route.handle(Answer(future), body)
        async with asyncio.timeout(CLIENT_TIMEOUT_S):
            return await future

    async def _read(self, machine: Machine, key: bytes) -> None:
        loop = asyncio.get_running_loop()
        called = loop.time()
        body = rpc_pb2.RangeRequest(key=key).SerializeToString()
        try:
            message = await self._call(machine, b"/etcdserverpb.KV/Range", body)
        except (CallFailed, TimeoutError):
            return
        answer = rpc_pb2.RangeResponse.FromString(message)
        value = answer.kvs[0].value if answer.kvs else None
        self.history.append(Operation(key, "read", None, value, called, loop.time()))

    async def _put(self, machine: Machine, key: bytes, value: bytes) -> bool:
        loop = asyncio.get_running_loop()
        called, returned = loop.time(), inf
        body = rpc_pb2.PutRequest(key=key, value=value).SerializeToString()
        try:
            await self._call(machine, b"/etcdserverpb.KV/Put", body)
            returned = loop.time()
            self.result.acknowledged += 1
        except TimeoutError:
            pass
        except CallFailed as failure:
            if not any(words in failure.text for words in _TERM_UNKNOWN_TEXTS):
                return False  # it certainly did not happen
        if key.startswith(b"shared"):
            self.history.append(Operation(key, "write", value, None, called, returned))
        return returned != inf

    # --- the end --------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Everything runs and talks; within HEAL_S somebody must lead and serve."""
        self.say("everything heals")
        self.network.cut.clear()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while not self._is_serving():
            if loop.time() > deadline:
                if self._is_stranded():
                    raise Stranded
                raise Violation(f"nobody leads {HEAL_S} s after everything healed")
            await self._start_all()
            await asyncio.sleep(0.1)

    async def _start_all(self) -> None:
        for number, machine in enumerate(self.machines):
            is_stopped = machine.member is None and not machine.is_gone
            is_first = number < self.swarm.size
            if is_stopped and not machine.is_starting and (is_first or self._was_added(machine)):
                await self._start(machine, joins=not is_first)

    def _was_added(self, machine: Machine) -> bool:
        urls = machine.config.advertise_peer_urls
        return any(
            urls == record.peer_urls
            for other in self.machines
            if other.member is not None
            for record in other.member.members()
        )

    def _is_stranded(self) -> bool:
        running = [it.member for it in self.machines if it.member is not None]
        alive = {it.member_id for it in running}
        return not any(
            has_quorum(it.core.configuration, lambda node: node in alive) for it in running
        )

    def _leader(self) -> Member | None:
        leading = [
            it.member for it in self.machines if it.member and it.member.core.is_leader_ready
        ]
        return max(leading, key=lambda it: it.core.term, default=None)

    def _is_serving(self) -> bool:
        leader = self._leader()
        if leader is None or leader.core.transfer_target:
            return False
        members = set(leader.core.configuration.all_nodes())
        known = {
            it.member.leader_id
            for it in self.machines
            if it.member and it.member.member_id in members
        }
        return known == {leader.member_id}

    async def _settle(self) -> None:
        """Wait until every member of the configuration holds the same."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while True:
            await self._start_all()
            leader = self._leader()
            if leader is not None and self._is_even(leader):
                return
            if loop.time() > deadline:
                raise Violation(f"members are not even and idle {HEAL_S} s after the last write")
            await asyncio.sleep(0.1)

    def _members_of(self, leader: Member) -> list[Member]:
        nodes = leader.core.configuration.all_nodes()
        return [it.member for it in self.machines if it.member and it.member.member_id in nodes]

    def _is_even(self, leader: Member) -> bool:
        expected = leader.core.last_index
        # Somebody added and never started has no machine that holds anything.
        return not leader.core.configuration.is_joint and all(
            it.core.applied_index == expected and not _busy(it) for it in self._members_of(leader)
        )

    def _judge_end(self) -> None:
        self._check()
        leader = self._leader()
        assert leader is not None, "it was there a moment ago"
        members = self._members_of(leader)
        dumps = [dump(it.view) for it in members]
        if any(it != dumps[0] for it in dumps):
            raise Violation("two members hold different stores")
        self._check_acknowledged(leader)
        verdict = check_register(self.history)
        if verdict is not Verdict.LINEARIZABLE:
            raise Violation(f"the history is {verdict.value}")
        self.result.operations = len(self.history)
        self.result.committed = self.judge.highest
        self.result.snapshots = sum(1 for line in self.trace if "joining" in line)
        self._digest.update(dumps[0])

    def _check_acknowledged(self, leader: Member) -> None:
        tree = leader.store.tree("kv").id
        for key, value in self.acknowledged.items():
            held = leader.view.get(tree, key)
            if held is None or value not in held:
                raise Violation(f"the acknowledged put of {key!r} is lost")


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _busy(member: Member) -> bool:
    """Whether anything waits in one of a member's queues."""
    status = member.status()
    counts = (status.queue_count, status.inflight_count, status.read_count, status.forward_count)
    return any(counts)


def dump(view: View) -> bytes:
    """A digest of everything in a store but what each member keeps for itself."""
    digest = hashlib.blake2b(digest_size=16)
    for tree_id in range(16):
        for key, value in view.iterate(tree_id):
            if (tree_id, key) != (1, b"applied"):
                digest.update(b"%d %d %d " % (tree_id, len(key), len(value)) + key + value)
    return digest.digest()


async def _end_tasks() -> None:
    """Cancel whatever still runs, in an order of its own, and wait for the end."""
    tasks = sorted(asyncio.all_tasks() - {asyncio.current_task()}, key=lambda it: it.get_name())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
