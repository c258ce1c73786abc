"""The machines of one run, and the life of the members on them: started, killed, started again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from roost.call import Route
from roost.errors import RoostError
from roost.exchange import Reply, Request
from roost.member import Member, MemberConfig, StoreDamaged, mark_damaged
from roost.member.errors import CannotRebuild, MemberRemoved
from roost.peer import PeerConfig, Secrets
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.disk import PowerCut
from roost.sim.members.judge import Violation
from roost.sim.members.network import SimNetwork
from roost.sim.members.swarm import Swarm
from roost.sim.members.turns import are_counted, aside
from roost.sim.members.world import SimWorld

HEARTBEAT_MS, ELECTION_TICKS = 50, 10
SECRET = b"what the simulated members share"
# Bounds that a run can reach.
QUEUE_COUNT_MAX, INCOMING_COUNT_MAX = 256, 64
HALF_OPEN_COUNT_MAX, HALF_OPEN_HOST_MAX = 16, 6
# How far the rate of a machine's clock may be off, where clocks drift.
DRIFT_MAX = 0.06
# About two entries of what clients put.
SMALL_BATCH_BYTES = 300


class Machine:
    """One machine: its world, and the member on it when one runs."""

    def __init__(
        self, number: int, world: SimWorld, config: MemberConfig, *, is_first: bool
    ) -> None:
        """Nothing runs; `is_first` says that it is of the initial cluster."""
        self.number = number
        self.world = world
        self.config = config
        self.is_first = is_first
        self.member: Member | None = None
        self.routes: dict[bytes, Route] = {}
        # What answers requests to etcd's v2, where somebody has said so.
        self.ask: Callable[[Request, Reply], None] = lambda _request, _reply: None
        self.on_end: Callable[[], None] = lambda: None
        self.lives = 0
        self.is_starting = False
        self.is_gone = False
        self.is_damaged = False
        # Its member gave its store up: the others send theirs when it starts.
        self.wants_store = False

    @property
    def has_identity(self) -> bool:
        """Whether a member has lived here."""
        return self.config.data_dir / "identity.a" in self.world.disk.files

    @property
    def may_start(self) -> bool:
        """Whether no member runs here, and one may."""
        return self.member is None and not self.is_starting and not self.is_gone

    @property
    def life(self) -> int:
        """Grows when the member dies and when it comes back."""
        return 2 * self.lives + (self.member is not None)


@dataclass(frozen=True, slots=True)
class Life:
    """What a member that is opened is told of its machine: whom it tells of a fault that ends it.

    `prepare(member)` is called before it starts.
    """

    on_fatal: Callable[[BaseException], None]
    prepare: Callable[[Member], None]


class Resident(Protocol):
    """What lives on the machines of a run."""

    async def open(self, machine: Machine, life: Life) -> Member:
        """Open the member of a machine and start it; `machine.on_end` ends what stands on it.

        Raises:
            RoostError: it cannot be opened.

        """


class Machines(Sequence[Machine]):
    """All machines of a run."""

    def __init__(
        self,
        chronicle: Chronicle,
        network: SimNetwork,
        swarm: Swarm,
        root: Path,
        *,
        resident: Resident,
        look: Callable[[Machine], None],
    ) -> None:
        """None yet; `root` is a directory for what LMDB writes.

        `look(machine)` is called whenever its member was told something by another.
        """
        self._resident = resident
        self._look = look
        self._chronicle = chronicle
        self._network = network
        self._swarm = swarm
        self._root = root
        self._held: list[Machine] = []

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, position: int) -> Machine:  # type: ignore[override] # nobody slices
        return self._held[position]

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._held)

    def running(self) -> list[Machine]:
        """Those on which a member runs."""
        return [it for it in self._held if it.member is not None]

    def leader(self) -> Member | None:
        """The member that leads, in the highest term if several think so."""
        leading = [it.member for it in self._held if it.member and it.member.core.is_leader_ready]
        return max(leading, key=lambda it: it.core.term, default=None)

    def _config(self, number: int, *, size: int, heartbeat_ms: int) -> MemberConfig:
        urls = {f"m{it}": (f"http://10.0.0.{it + 1}:2380",) for it in range(size)}
        swarm = self._swarm
        return MemberConfig(
            name=f"m{number}",
            data_dir=self._root / f"m{number}",
            initial_cluster=urls,
            advertise_peer_urls=urls[f"m{number}"],
            listen_peer_urls=urls[f"m{number}"],
            advertise_client_urls=(f"http://10.0.0.{number + 1}:2379",),
            heartbeat_ms=heartbeat_ms,
            election_ms=ELECTION_TICKS * heartbeat_ms,
            trailing_entries=swarm.trailing_entries,
            request_timeout_ms=2000,
            store_layer_bytes_max=swarm.layer_bytes,
            lease_reads=swarm.lease_reads,
            inline_sync_ms_max=0.0 if swarm.slow_disks else 5.0,
            inline_sync_bytes_max=SMALL_BATCH_BYTES if swarm.slow_batches else 256 << 10,
        )

    def add(self) -> Machine:
        """One more machine, on which nothing runs."""
        number, swarm = len(self._held), self._swarm
        stream = self._chronicle.stream(f"machine {number}")
        rate = 1.0 + (stream.uniform(-DRIFT_MAX, DRIFT_MAX) if swarm.drift else 0.0)
        size = max(number + 1, swarm.size)
        config = self._config(number, size=size, heartbeat_ms=round(HEARTBEAT_MS / rate))
        world = SimWorld(
            self._network,
            (f"10.0.0.{number + 1}", 2380),
            stream,
            segment_bytes=swarm.segment_bytes,
            clock_rate=rate,
            peer_secrets=Secrets([SECRET] if swarm.has_secret else []),
            peer_config=PeerConfig(
                queue_bytes_max=swarm.queue_bytes,
                queue_count_max=QUEUE_COUNT_MAX,
                incoming_count_max=INCOMING_COUNT_MAX,
                half_open_count_max=HALF_OPEN_COUNT_MAX,
                half_open_host_max=HALF_OPEN_HOST_MAX,
            ),
        )
        machine = Machine(number, world, config, is_first=number < swarm.size)
        world.on_frames = lambda: self._look(machine)
        self._held.append(machine)
        return machine

    async def start(self, machine: Machine, *, is_healed: bool = False) -> None:
        """Start the member of a machine; one that was added is filled by the cluster first.

        So is one that gave its store up, which may try in vain before all is healed.
        """
        machine.is_starting = True
        name = machine.config.name
        try:
            await self._start(machine)
        except PowerCut:
            self._chronicle.say(f"{name} is cut off while it starts")
            machine.world.crash(loses_power=self._swarm.power_cuts)
        except RoostError as error:
            self._chronicle.say(f"{name} does not start: {error}")
            machine.is_gone = isinstance(error, MemberRemoved)
            is_excused = isinstance(error, CannotRebuild) and not is_healed
            if machine.is_first and not machine.is_gone and not is_excused:
                raise Violation(f"{name} does not start again: {error}") from error
        finally:
            machine.is_starting = False

    async def _start(self, machine: Machine) -> None:
        config = machine.config
        config.data_dir.mkdir(exist_ok=True)
        machine.member = await self._resident.open(
            machine,
            Life(
                on_fatal=lambda error: self._on_fatal(machine, error),
                prepare=lambda member: self._prepare(machine, member),
            ),
        )
        machine.wants_store = False
        machine.lives += 1
        self._chronicle.say(f"{config.name} starts at {machine.member.store.applied_index}")

    def _prepare(self, machine: Machine, member: Member) -> None:
        member.on_removed = lambda: self._on_removed(machine)
        member.observe_switch(self._count_snapshot)
        member.observe(lambda _index, _changes: _check(member))
        member.core.is_checked = not are_counted()

    async def start_all(self) -> None:
        """Start whoever is down and expected to run: those of old, and those that were added.

        Whoever wants the others' store comes behind them, or it would wait for those in vain.
        """
        for machine in sorted(self._held, key=lambda it: it.wants_store):
            is_expected = machine.is_first or machine.has_identity or self._was_added(machine)
            if machine.may_start and is_expected:
                await self.start(machine, is_healed=True)

    def _was_added(self, machine: Machine) -> bool:
        urls = machine.config.advertise_peer_urls
        return any(
            urls == record.peer_urls
            for other in self._held
            if other.member is not None
            for record in other.member.members()
        )

    def _count_snapshot(self) -> Callable[[], None]:
        self._chronicle.result.snapshots += 1
        return lambda: None

    def _on_fatal(self, machine: Machine, error: BaseException) -> None:
        if isinstance(error, StoreDamaged):
            self._chronicle.say(f"{machine.config.name} stops: {error}")
            mark_damaged(machine.config, str(error), machine.world)
            machine.wants_store = True
            self.crash(machine, loses_power=False)
            return
        raise Violation(f"a member ended itself: {error!r}") from error

    def _on_removed(self, machine: Machine) -> None:
        if not machine.is_gone:
            self._chronicle.say(f"{machine.config.name} is told that it was removed")
            machine.is_gone = True
            self.crash(machine, loses_power=False)

    def crash(self, machine: Machine, *, loses_power: bool) -> None:
        """The member dies; with the power goes what was not synced."""
        member, machine.member = machine.member, None
        if member is None:
            return
        self._chronicle.result.crashes += 1
        self._chronicle.result.dropped += member.transport.statistics.dropped_count
        how = "loses power" if loses_power else "is killed"
        self._chronicle.say(f"{machine.config.name} {how}")
        machine.on_end()
        if loses_power:
            # First: such a machine says no farewell to those it is linked to.
            machine.world.network.end(loses_power=True)
        member.abandon()
        machine.world.crash(loses_power=loses_power)

    def on_power_cut(self, cut: PowerCut) -> None:
        """A machine went away in the middle of a device call."""
        for machine in self._held:
            if machine.world.disk is cut.disk:
                self._chronicle.say(f"{machine.config.name} is cut off in the middle of a write")
                self.crash(machine, loses_power=self._swarm.power_cuts)

    def end(self) -> None:
        """Stop what members do by themselves, so that the run can end."""
        for machine in self._held:
            machine.on_end()
            if machine.member is not None:
                statistics = machine.member.transport.statistics
                self._chronicle.result.dropped += statistics.dropped_count


def _check(member: Member) -> None:
    """What must hold between any two steps holds after each entry that is applied."""
    with aside():
        member.store.invariants()
        member.journal.invariants()
