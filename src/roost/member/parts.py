"""What a member consists of, built in the order in which the parts need each other.

Parts know those below them; what they have to say upwards, to the loop that drives them, they say
through `Wiring`.  Three need somebody who is built later, and are told then: `Links`, `Vouching`
and `Neighbours` send through the transport, which hands them what comes in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from roost.member.announcer import Announcer
from roost.member.cluster.membership import Membership
from roost.member.cluster.neighbours import Neighbours
from roost.member.cluster.roster import Roster
from roost.member.cluster.roster_watch import RosterWatch
from roost.member.cluster.vouching import Vouching
from roost.member.config import MemberConfig, address_of
from roost.member.custody.custody import Custody
from roost.member.directory.home import Home
from roost.member.errors import StoreDamaged
from roost.member.events import News
from roost.member.hedge import Hedge
from roost.member.hurry import Hurry
from roost.member.links import Links
from roost.member.machine.world import World
from roost.member.periodic import Periodic
from roost.member.pipeline.applier import Applier
from roost.member.pipeline.executor import Executor
from roost.member.pipeline.forwarding import Forwarder
from roost.member.pipeline.pacing import Pacing
from roost.member.pipeline.persistence import Persistence
from roost.member.pipeline.reads import ReadRounds
from roost.member.pipeline.router import Router
from roost.member.pipeline.traces import Traces
from roost.member.protocol import (
    FRAME_ANSWERS,
    FRAME_DIGESTS,
    FRAME_REPAIR,
    FRAME_WHO,
    FRAME_WHO_IS,
    PROTOCOL_VERSION,
)
from roost.member.reporter import Reporter
from roost.member.snapshots.catchup import Catchup
from roost.member.snapshots.files import Files
from roost.member.snapshots.snapshots import Snapshots
from roost.member.transfers import Transfers
from roost.outcome import Done, ReadDone
from roost.peer import (
    Joins,
    LocalPeer,
    PeerConfig,
    Pull,
    RefusedThere,
    Stream,
    Transport,
    encode_frame,
)
from roost.raft import Core, CoreConfig, Ready
from roost.slices import Slices
from roost.store import STORAGE_VERSION

# Ids of requests and reads begin anywhere in this range, so that no two lives share any.
LIFE_IDS = 1 << 62
# Above every number that a session can have otherwise.
FIRST_LIFE = 1 << 62
# To tell a caller that nothing came of it takes about eight microseconds.
STEPS_A_TURN = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Whom the parts call when something happened: the loop, and who runs the member.

    `on_news` moves everything on, now; `schedule` at the end of this turn of the event loop, and
    `run_again(delay_s)` a little later; `drive` does only what the core asks.  `transact` and
    `barrier` are the member's own, for parts that ask for something themselves.
    """

    on_news: Callable[[], None]
    schedule: Callable[[], None]
    run_again: Callable[[float], None]
    drive: Callable[[], None]
    transact: Callable[[str, bytes, Done], None]
    barrier: Callable[[int, ReadDone], None]
    start_read_round: Callable[[int], None]
    on_durable: Callable[[Sequence[Ready]], None]
    on_unreachable: Callable[[int], None]
    on_refused: Callable[[int, RefusedThere], None]
    before_install: Callable[[], None]
    after_install: Callable[[int], None]
    on_removed: Callable[[], None]
    on_fatal: Callable[[BaseException], None]


class Parts:
    """All parts of one member; nothing runs yet."""

    def __init__(self, config: MemberConfig, home: Home, world: World, wiring: Wiring) -> None:
        """Build them on an open directory."""
        self._config = config
        self._world = world
        self._wiring = wiring
        self.home = home
        self.roster = Roster(home.store, home.store.view)
        self.operations = Membership(
            self.roster,
            token=config.initial_cluster_token,
            is_alive=self._is_alive,
            is_reachable=bool(config.listen_peer_urls),
            wall_s=world.wall_s,
        ).operations()
        self.traces = Traces(config.name)
        self.core = self._make_core()
        self.persistence = self._make_persistence()
        # Those who have to be told of one and the same thing, or to be sent elsewhere.
        self.slices = Slices(STEPS_A_TURN, wiring.schedule)
        self.executor = self._make_executor()
        self.reads = self._make_reads()
        self.links = self._make_links()
        self.router = self._make_router()
        self.vouching = self._make_vouching()
        self.neighbours = self._make_neighbours()
        self.roster_watch = self._make_roster_watch()
        self.applier = self._make_applier()
        self.transport = self._make_transport()
        self.links.transport = self.transport
        self.vouching.transport = self.neighbours.transport = self.transport
        self.announcer = Announcer(self.core, on_announced=wiring.on_news)
        self.hedge = Hedge(self.core, on_asked=wiring.on_news)
        self.hurry = Hurry(self.core, world.dice, on_campaign=wiring.on_news)
        self.transfers = self._make_transfers()
        self.snapshots = self._make_snapshots()
        self.custody = self._make_custody()
        self._register_frames()
        home.store.on_digest = self.custody.digests.on_own
        self.files = Files(self.core, home, self.snapshots)
        self.catchup = self._make_catchup()
        self.periodic = Periodic()
        self.news = News()
        self.reporter = Reporter(self.core, self.roster, config, self.news, self.traces)
        self.snapshots.tell = self.persistence.tell = self.news.tell
        self.persistence.slow_s = config.heartbeat_ms / 1000

    @property
    def _election_ticks(self) -> int:
        return self._config.election_ms // self._config.heartbeat_ms

    @property
    def _timeout_ticks(self) -> int:
        """How many heartbeats a request may take."""
        return max(1, self._config.request_timeout_ms // self._config.heartbeat_ms)

    def _applied_index(self) -> int:
        return self.home.store.applied_index

    def _is_alive(self, member_id: int) -> bool:
        """Whether a member is there now, for all that its leader can see."""
        if member_id == self.core.id:
            return True
        return self.transport.is_open_to(member_id) and self.core.was_heard(member_id)

    def _make_core(self) -> Core:
        """The consensus core, from what the journal and the store hold."""
        home, share = self.home, self._world.memory.share
        cache_bytes = share(32 << 20, 16)
        return Core(
            CoreConfig(
                id=home.identity.member_id,
                election_ticks=self._election_ticks,
                heartbeat_ticks=1,
                eager_commit=False,
                lease_s=self._config.lease_s,
                uncommitted_bytes_max=share(256 << 20, 4),
                cache_bytes_max=cache_bytes,
                tail_bytes_max=cache_bytes + share(288 << 20, 4),
                life=FIRST_LIFE + self._world.dice.below(LIFE_IDS),
            ),
            dice=self._world.dice,
            storage=home.journal,
            hard_state=home.journal.hard_state,
            configuration=home.configuration,
            applied_index=home.store.applied_index,
            is_fenced=home.journal.is_fenced,
        )

    def _make_persistence(self) -> Persistence:
        return Persistence(
            self.home.journal,
            inline_ms_max=self._config.inline_sync_ms_max,
            inline_bytes_max=self._config.inline_sync_bytes_max,
            on_durable=self._wiring.on_durable,
            on_failure=self._wiring.on_fatal,
            clock_s=self._world.clock_s,
            make_worker=self._world.make_worker,
        )

    def _make_executor(self) -> Executor:
        return Executor(
            self._config,
            self.core,
            self.home.store,
            propose_done=self._wiring.drive,
            barrier=self._wiring.barrier,
            run_again=self._wiring.run_again,
            pacing=Pacing(lambda: self.persistence.mean_ms / 1000, self._world.clock_s),
            slices=self.slices,
            memory=self._world.memory,
            traces=self.traces,
        )

    def _make_reads(self) -> ReadRounds:
        return ReadRounds(
            self._wiring.start_read_round,
            schedule=self._wiring.schedule,
            retry_ticks=max(2, self._election_ticks // 2),
            timeout_ticks=self._timeout_ticks,
            first_token=1 + self._world.dice.below(LIFE_IDS),
        )

    def _make_links(self) -> Links:
        return Links(
            self.core,
            self.executor,
            self.operations,
            applied_index=self._applied_index,
            schedule=self._wiring.schedule,
            on_fatal=self._wiring.on_fatal,
            clock_s=self._world.clock_s,
            on_starved=self._world.memory.on_error,
        )

    def _make_router(self) -> Router:
        forwarder = Forwarder(
            self.links.send_requests,
            applied_index=self._applied_index,
            timeout_ticks=self._timeout_ticks,
            grace_ticks=self._election_ticks,
            first_id=1 + self._world.dice.below(LIFE_IDS),
            send_gone=self.links.send_gone,
            slices=self.slices,
            traces=self.traces,
        )
        return Router(
            self.core,
            self.executor,
            forwarder,
            self.operations,
            slices=self.slices,
            timeout_ticks=self._timeout_ticks,
        )

    def _make_vouching(self) -> Vouching:
        return Vouching(
            self.roster,
            own_id=self.core.id,
            applied_index=self._applied_index,
            clock_s=self._world.clock_s,
        )

    def _make_neighbours(self) -> Neighbours:
        return Neighbours(
            self.roster,
            self.vouching,
            own_id=self.core.id,
            cluster_id=self.home.identity.cluster_id,
            config=self._config,
            transact=self._wiring.transact,
            remember=self.home.remember_peers,
        )

    def _make_roster_watch(self) -> RosterWatch:
        return RosterWatch(
            self.roster,
            self.neighbours,
            own_id=self.core.id,
            config=self._config,
            on_removed=self._wiring.on_removed,
        )

    def _make_applier(self) -> Applier:
        return Applier(
            self.core,
            self.home.store,
            self.executor,
            self.reads,
            self.router.forwarder,
            on_change=self.roster_watch.follow_soon,
            schedule=self._wiring.schedule,
            on_starved=self._world.memory.on_error,
        )

    def _on_connected(self, member_id: int) -> None:
        # A cluster that has just started need not wait for its timeouts.
        self.hurry.start()
        self.links.on_connected(member_id)

    def _make_transport(self) -> Transport:
        """The links to all peers; nothing is open yet."""
        config, home, wiring = self._config, self.home, self._wiring
        return self._world.make_transport(
            local=LocalPeer(
                cluster_id=home.identity.cluster_id,
                member_id=self.core.id,
                life=home.life(self.core.config.life),
                protocol_version=PROTOCOL_VERSION,
                storage_version=STORAGE_VERSION,
                addresses=tuple(address_of(url) for url in config.advertise_peer_urls),
            ),
            listen=[address_of(url) for url in config.listen_peer_urls],
            config=PeerConfig(queue_bytes_max=self._world.memory.share(128 << 20, 8)),
            dice=self._world.dice,
            on_frame=self.links.on_frame,
            on_batch_end=wiring.on_news,
            on_connected=self._on_connected,
            on_unreachable=wiring.on_unreachable,
            on_refused=wiring.on_refused,
            on_pull=self._on_pull,
            on_join=self._on_join,
            is_removed=self.roster.is_removed,
            published=self.roster.published_life,
            names_of=self.roster.names_of,
            invite=self.neighbours.invite,
            ask_about=self.vouching.ask_about,
        )

    def _on_pull(self, stream: Stream, asked: Pull) -> None:
        self.snapshots.serve_pull(stream, asked)

    def _on_join(self, stream: Stream, joins: Joins) -> None:
        self.snapshots.serve_join(stream, joins, self.core.configuration.version)

    def _make_transfers(self) -> Transfers:
        return Transfers(
            self.core,
            timeout_ticks=2 * self._election_ticks,
            is_stuck=lambda: self.home.store.is_stuck,
        )

    def _make_snapshots(self) -> Snapshots:
        return Snapshots(
            self.home,
            world=self._world,
            bytes_per_s=self._config.snapshot_bytes_per_s,
            dial=self.transport.dial_for_snapshot,
        )

    def _make_custody(self) -> Custody:
        def send(kind: int) -> Callable[[int, list[bytes]], object]:
            return lambda to, it: self.transport.send(to, encode_frame(kind, it), bulk=True)

        config = self._config
        return Custody(
            self.core,
            self.home,
            self.persistence,
            send=send(FRAME_REPAIR),
            drive=self._wiring.on_news,
            scrub_ticks=round(config.scrub_interval_s * 1000) // config.heartbeat_ms,
            spawn=self.snapshots.spawn,
            tell_digest=send(FRAME_DIGESTS),
            on_store_damaged=lambda text: self._wiring.on_fatal(StoreDamaged(text)),
        )

    def _register_frames(self) -> None:
        """Say who takes which frames; `Links` itself takes requests and what the core says."""
        links = self.links
        links.register(FRAME_ANSWERS, self.router.forwarder.on_answers)
        links.register(FRAME_REPAIR, self.custody.repair.on_frame)
        links.register(FRAME_DIGESTS, self.custody.digests.on_frame)
        links.register(FRAME_WHO, self.vouching.on_who)
        links.register(FRAME_WHO_IS, self.vouching.on_who_is)

    def _make_catchup(self) -> Catchup:
        return Catchup(
            self.core,
            self.home,
            self.snapshots,
            self.transport,
            self.persistence,
            drive=self._wiring.on_news,
            before_install=self._wiring.before_install,
            after_install=self._wiring.after_install,
            on_fatal=self._wiring.on_fatal,
        )
