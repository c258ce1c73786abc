"""One running member: the core, the journal, the store and the links, driven by one event loop.

The loop has no task of its own.  Whatever brings news (a frame from a peer, a tick, a local
request) steps the core and calls `_drive`, which carries out what the core asks, in this order:

    1. messages that need no disk leave, so that peers write while we write
    2. hard state and entries become durable (inline, or on a thread when the disk is slow)
    3. messages that promise something leave
    4. committed entries are applied; callers, readers and observers learn of it

A request waits in the executor's queue for the end of the loop turn (`_schedule`), so one entry
carries everything that arrived together.  A follower hands requests to the leader (`router`).

Anything unexpected in `_drive` ends the process through `on_fatal`: a member that cannot trust
its own state must not answer anybody.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from roost.errors import Stopped
from roost.member.announcer import Announcer
from roost.member.cluster.neighbours import Neighbours
from roost.member.cluster.roster import (
    MemberRecord,
    Roster,
    change_payload,
)
from roost.member.config import MemberConfig, address_of
from roost.member.custody.custody import Custody
from roost.member.directory.home import Home, open_home
from roost.member.errors import MemberRemoved, StoreDamaged
from roost.member.hurry import Hurry
from roost.member.links import Links
from roost.member.machine.reserve import SpaceReport
from roost.member.machine.world import World
from roost.member.operations import own_operations
from roost.member.protocol import (
    FRAME_ANSWERS,
    FRAME_DIGESTS,
    FRAME_REPAIR,
    FRAME_WHO,
    FRAME_WHO_IS,
    PROTOCOL_VERSION,
)
from roost.member.snapshots.catchup import Catchup
from roost.member.snapshots.files import Files
from roost.member.snapshots.snapshots import Snapshots
from roost.member.status import MemberStatus, read_status
from roost.member.transfers import Transfers
from roost.member.work.executor import Executor, Operation
from roost.member.work.forwarding import Forwarder
from roost.member.work.pacing import Pacing
from roost.member.work.persistence import Persistence
from roost.member.work.reads import Reads
from roost.member.work.router import Router
from roost.outcome import Done, ReadDone, settle_future, told, told_read
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
from roost.raft import (
    Core,
    CoreConfig,
    Entry,
    EntryKind,
    Ready,
    Role,
)
from roost.store import STORAGE_VERSION, Changes, StoreCorrupt, Txn, View

logger = logging.getLogger(__name__)
TRIM_TICKS = 20
# Ids of requests and reads begin anywhere in this range, so that no two lives share any.
LIFE_IDS = 1 << 62
# Above every number that a session can have otherwise.
FIRST_LIFE = 1 << 62
# How long a removed member stays, so that those who go on can still be elected by it.
LINGER_ELECTIONS = 2


class Member:
    """A member of a cluster, or a cluster of one.

    `register` operations before `start`; `transact` runs one on the leader, wherever that is.
    `bootstrap` writes the first content of a new store and must do the same on every member.
    """

    def __init__(
        self,
        config: MemberConfig,
        *,
        bootstrap: Callable[[Txn], None],
        on_fatal: Callable[[BaseException], None],
        world: World | None = None,
    ) -> None:
        """Open the data directory and recover; nothing runs before `start`.

        Raises:
            BadMemberConfig: the settings do not fit each other.
            DeviceFault: the directory is damaged, in use or somebody else's (see `journal`).
            MemberRemoved: the member was removed from its cluster.

        """
        self.config = config
        self._on_fatal = on_fatal
        self._world = world or World()
        self._home: Home = open_home(
            config, bootstrap, world=self._world, on_store_failure=self._fatal
        )
        home = self._home
        self.member_id, self.cluster_id = home.identity.member_id, home.identity.cluster_id
        self.store, self.journal = home.store, home.journal
        self.view: View = home.store.view
        self.roster = Roster(home.store, home.store.view)
        self._operations = own_operations(
            self.roster,
            token=config.initial_cluster_token,
            is_alive=self._is_alive,
            now_s=self._world.wall_s,
        )
        self._election_ticks = config.election_ms // config.heartbeat_ms
        self.core = self._make_core()
        self._note_vote()
        timeout_ticks = max(1, config.request_timeout_ms // config.heartbeat_ms)
        self.executor = self._make_executor()
        self.reads = Reads(
            self._start_read_round,
            retry_ticks=max(2, self._election_ticks // 2),
            timeout_ticks=timeout_ticks,
            first_token=1 + self._world.dice.below(LIFE_IDS),
        )
        self.links = self._make_links()
        self.router = self._make_router(timeout_ticks)
        self.persistence = self._make_persistence()
        self._neighbours = self._make_neighbours()
        self.transport = self._make_transport()
        self._announcer = Announcer(self.core, on_announced=self._on_news)
        self._hurry = Hurry(self.core, self._world.dice, on_campaign=self._on_news)
        self._transfers = Transfers(
            self.core,
            timeout_ticks=2 * self._election_ticks,
            is_stuck=lambda: self.store.is_stuck,
        )
        self.snapshots = self._make_snapshots()
        self.custody = self._make_custody()
        self._register_frames()
        home.store.on_digest = self.custody.digests.on_own
        self.files = Files(self.core, home, self.snapshots)
        self._catchup = self._make_catchup()
        self.on_removed: Callable[[], None] = lambda: None
        self._unapplied: deque[Entry] = deque()
        self._ticks = 0
        self._seen = (self.core.role, 0, self.core.term)
        self.leader_change_count = 0
        self._is_driving = self._is_scheduled = self._is_closed = self._was_told_removed = False
        self._is_stopped = True
        self._timer: asyncio.TimerHandle | None = None

    def _make_links(self) -> Links:
        return Links(
            self.core,
            self.executor,
            self._operations,
            applied_index=lambda: self.store.applied_index,
            schedule=self._schedule,
            on_fatal=self._fatal,
            clock_s=self._world.clock_s,
        )

    def _register_frames(self) -> None:
        """Say who takes which frames; `Links` itself takes requests and what the core says."""
        self.links.register(FRAME_ANSWERS, self.router.forwarder.on_answers)
        self.links.register(FRAME_REPAIR, self.custody.repair.on_frame)
        self.links.register(FRAME_DIGESTS, self.custody.digests.on_frame)
        self.links.register(FRAME_WHO, self._neighbours.on_who)
        self.links.register(FRAME_WHO_IS, self._neighbours.on_who_is)

    def _make_persistence(self) -> Persistence:
        return Persistence(
            self.journal,
            inline_ms_max=self.config.inline_sync_ms_max,
            on_durable=self._on_durable,
            on_failure=self._fatal,
            clock=self._world.clock_s,
            make_worker=self._world.make_worker,
        )

    def _make_executor(self) -> Executor:
        return Executor(
            self.config,
            self.core,
            self.store,
            propose_done=self._drive,
            barrier=self._barrier,
            run_again=self._run_again,
            pacing=Pacing(lambda: self.persistence.mean_ms / 1000, self._world.clock_s),
        )

    def _make_neighbours(self) -> Neighbours:
        return Neighbours(
            self.roster,
            own_id=self.member_id,
            cluster_id=self.cluster_id,
            config=self.config,
            transact=self.transact_nowait,
            applied_index=lambda: self.store.applied_index,
            clock_s=self._world.clock_s,
            remember=self._home.remember_peers,
        )

    def _is_alive(self, member_id: int) -> bool:
        """Whether a member is there now, for all that its leader can see."""
        if member_id == self.member_id:
            return True
        return self.transport.is_open_to(member_id) and self.core.was_heard(member_id)

    def _make_snapshots(self) -> Snapshots:
        return Snapshots(
            self._home,
            world=self._world,
            bytes_per_s=self.config.snapshot_bytes_per_s,
            dial=self.transport.dial_for_snapshot,
        )

    def _make_catchup(self) -> Catchup:
        return Catchup(
            self.core,
            self._home,
            self.snapshots,
            self.transport,
            self.persistence,
            drive=self._on_news,
            call_later=self._call_later,
            before_install=self._before_install,
            after_install=self._after_install,
            on_fatal=self._fatal,
        )

    def _make_router(self, timeout_ticks: int) -> Router:
        grace_ticks = self._election_ticks
        return Router(
            Forwarder(
                self.links.send_requests,
                applied_index=lambda: self.store.applied_index,
                timeout_ticks=timeout_ticks,
                grace_ticks=grace_ticks,
                first_id=1 + self._world.dice.below(LIFE_IDS),
            ),
            own_id=self.member_id,
            leader_id=lambda: self.core.leader_id,
            run_here=self.transact_nowait,
            timeout_ticks=timeout_ticks,
        )

    def _make_core(self) -> Core:
        """The consensus core, from what the journal and the store hold."""
        home = self._home
        return Core(
            CoreConfig(
                id=self.member_id,
                election_ticks=self._election_ticks,
                heartbeat_ticks=1,
                eager_commit=False,
                lease_s=self.config.lease_s,
                life=FIRST_LIFE + self._world.dice.below(LIFE_IDS),
            ),
            dice=self._world.dice,
            storage=home.journal,
            hard_state=home.journal.hard_state,
            configuration=home.configuration,
            applied_index=home.store.applied_index,
            is_fenced=home.journal.is_fenced,
        )

    def _make_custody(self) -> Custody:
        def send(kind: int) -> Callable[[int, list[bytes]], object]:
            return lambda to, it: self.transport.send(to, encode_frame(kind, it), bulk=True)

        return Custody(
            self.core,
            self._home,
            self.persistence,
            send=send(FRAME_REPAIR),
            drive=self._on_news,
            scrub_ticks=round(self.config.scrub_interval_s * 1000) // self.config.heartbeat_ms,
            spawn=self.snapshots.spawn,
            tell_digest=send(FRAME_DIGESTS),
            on_store_damaged=lambda text: self._fatal(StoreDamaged(text)),
        )

    def _make_transport(self) -> Transport:
        """The links to all peers; nothing is open yet."""
        made = self._world.make_transport(
            local=LocalPeer(
                cluster_id=self.cluster_id,
                member_id=self.member_id,
                life=self._home.life(self.core.config.life),
                protocol_version=PROTOCOL_VERSION,
                storage_version=STORAGE_VERSION,
                addresses=tuple(address_of(url) for url in self.config.advertise_peer_urls),
            ),
            listen=[address_of(url) for url in self.config.listen_peer_urls],
            config=PeerConfig(),
            dice=self._world.dice,
            on_frame=self.links.on_frame,
            on_batch_end=self._on_news,
            on_connected=self._on_connected,
            on_unreachable=self._on_unreachable,
            on_refused=self._on_refused,
            on_pull=self._on_pull,
            on_join=self._on_join,
            is_removed=self.roster.is_removed,
            published=self.roster.published_life,
            names_of=self.roster.names_of,
            invite=self._neighbours.invite,
            ask_about=self._neighbours.ask_about,
        )
        self.links.transport = self._neighbours.transport = made
        return made

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen for peers, dial them, and take part.

        Raises:
            OSError: a peer address cannot be bound.

        """
        self._loop = asyncio.get_running_loop()
        self._is_stopped = False
        self.store.on_room = self._schedule
        await self.transport.start()
        self._neighbours.follow()
        self.store.observe(self._on_roster_applied, trees=(self.roster.tree_id,))
        self._home.watch_keeper(self._loop, self._on_keeper_news)
        if self.core.configuration.all_voters() == (self.member_id,):
            self.core.campaign()
            self._drive()
        self._timer = self._loop.call_later(self.config.heartbeat_ms / 1000, self._tick)

    async def hand_over(self) -> None:
        """Let another member lead, if this one does and one can; what comes in is forwarded."""
        over = None if self._is_stopped else self._transfers.start_best()
        if over is not None:
            self._schedule()
            await over

    async def stop(self) -> None:
        """Leave in order: hand leadership over, tell every caller, close links and files."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.hand_over()
        self._is_stopped = True
        self._hurry.stop()
        self._announcer.stop()
        if self._timer is not None:
            self._timer.cancel()
        error = Stopped("etcdserver: server stopped")
        for _, _, done in self.executor.close():
            done(error)
        self.reads.fail_all(error)
        self.router.close(error)
        self._transfers.close(error)
        self._catchup.stop()
        await self.snapshots.close()
        await self.transport.close()
        await self.persistence.close()
        self._home.close(self._loop)

    def abandon(self) -> None:
        """End as a crash would: nothing is flushed, nobody is told; for simulators and tests."""
        self._is_stopped = True
        self._hurry.stop()
        self._announcer.stop()
        self._catchup.stop()
        self.snapshots.cancel()
        self.transport.abandon()
        self.store.abandon()

    def _fatal(self, error: BaseException) -> None:
        """Stop at once: what this member says can no longer be trusted."""
        self._is_stopped = True
        self._on_fatal(StoreDamaged(str(error)) if isinstance(error, StoreCorrupt) else error)

    # --- what the layers above call -------------------------------------------------------------

    @property
    def term(self) -> int:
        """The current Raft term."""
        return self.core.term

    @property
    def leader_id(self) -> int:
        """The leader as far as this member knows; 0 = unknown."""
        return self.core.leader_id

    def register(self, name: str, operation: Operation) -> None:
        """Name an operation; every member must know the same names.

        `operation(txn, body)` runs on the leader, may use clocks and chance, returns the answer
        and raises `Refused` to say no.
        """
        assert name not in self._operations, f"operation {name} is registered twice"
        self._operations[name] = operation

    def observe(
        self, callback: Callable[[int, Changes], None], trees: Iterable[int] | None = None
    ) -> None:
        """Call `callback(index, changes)` for each applied write set of `trees`, None = of all."""
        self.store.observe(callback, trees)

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        """Call `prepare()` before a snapshot replaces everything, and what it returns after."""
        self.store.observe_switch(prepare)

    def transact_nowait(self, name: str, body: bytes, done: Done) -> None:
        """Run the operation `name` on the leader and call `done(outcome)` once.

        A result is durable on a majority when `done` gets it.  Errors are `Refused`,
        leaves of `NotExecuted` (safe to retry) or `OutcomeUnknown`.
        """
        core = self.core
        if core.role is Role.LEADER:
            self.executor.submit(name, self._operations[name], body, told(done))
            if not self._is_scheduled:
                self._is_scheduled = True
                self._loop.call_soon(self._run_turn)
        elif self._is_stopped:
            done(Stopped("etcdserver: server stopped"))
        else:
            self.router.submit(name, body, told(done))
            self._schedule()

    async def transact(self, name: str, body: bytes) -> bytes:
        """Run the operation `name` on the leader and return its result; see `transact_nowait`."""
        future: asyncio.Future[bytes] = self._loop.create_future()
        self.transact_nowait(name, body, lambda outcome: settle_future(future, outcome))
        return await future

    def read_nowait(self, done: ReadDone) -> None:
        """Call `done` when `view` holds everything acknowledged before this call."""
        if self._is_stopped:
            done(Stopped("etcdserver: server stopped"))
            return
        self.reads.add(told_read(done))
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._run_turn)

    async def read_barrier(self) -> None:
        """Wait until `view` holds everything acknowledged before this call.

        Raises:
            NoLeader: leadership could not be confirmed in time.

        """
        future: asyncio.Future[None] = self._loop.create_future()
        self.read_nowait(lambda error: settle_future(future, error))
        await future

    def members(self) -> list[MemberRecord]:
        """All members as of the applied state, in the order of their ids."""
        return self.roster.records()

    def space(self) -> SpaceReport:
        """What its files take, and what is left for them."""
        return self.custody.space(self.store.statistics())

    def status(self) -> MemberStatus:
        """A snapshot for status pages."""
        return read_status(self)

    # --- one loop turn --------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Run what waits at the end of this loop turn."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._run_turn)

    def _run_again(self, delay_s: float) -> None:
        """The executor waits for more to come, or for a batch to settle."""
        if delay_s:
            self._loop.call_later(delay_s, self._release)
        else:
            self._schedule()

    def _release(self) -> None:
        self.executor.release()
        self._on_news()

    def _run_turn(self) -> None:
        """Execute, forward and confirm everything that arrived in this loop turn."""
        self._is_scheduled = False
        self._on_news()

    def _on_news(self) -> None:
        """Something stepped the core or queued a request: move everything on."""
        if self._is_stopped:
            return
        try:
            self._drive()
            self.executor.run()
            if self.reads.is_due:
                self.reads.flush()
                self._drive()
            self.router.forwarder.flush()
            if self.links.has_answers:
                # Who asked through a follower is answered there when it has applied this, too:
                # what no append has carried it hears of now.
                self.core.announce_commit()
                self._drive()
                self.links.flush_answers()
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self._fatal(error)

    def _drive(self) -> None:
        """Carry out what the core asks, until it asks nothing."""
        if self._is_driving:
            return  # an outer call goes on
        self._is_driving = True
        try:
            core = self.core
            while (ready := core.take_ready()) is not None:
                for to, message in ready.messages:
                    self.links.send(to, message)
                if (
                    ready.hard_state is None
                    and not ready.entries
                    and not ready.messages_after_persist
                    and not self.persistence.outstanding_count
                ):
                    core.persisted(ready)
                else:
                    self.persistence.persist(ready)
                if ready.committed:
                    self._apply(ready.committed)
                    self._announcer.note_commit()
                for read in ready.reads:
                    self.reads.on_confirmed(read.token, read.index, self.store.applied_index)
                for token in ready.reads_failed:
                    self.reads.on_failed(token)
                if ready.snapshot is not None:
                    self._catchup.fetch(ready.snapshot)
                for node in ready.snapshots_wanted:
                    self._catchup.offer(node)
                self._note_leadership()
        finally:
            self._is_driving = False

    def _on_durable(self, ready: Ready) -> None:
        """A Ready is on disk: promises that rest on it may leave."""
        self.core.persisted(ready)
        for to, message in ready.messages_after_persist:
            self.links.send(to, message)
        if not self._is_driving:
            self._on_news()

    def _apply(self, entries: Sequence[Entry]) -> None:
        """Apply committed entries in order, or keep them until the store's memory has room."""
        if self._unapplied or self.store.is_backed_up:
            self._unapplied.extend(entries)  # bounded by the core's apply quota
        else:
            self._apply_now(entries)

    def _apply_rest(self) -> None:
        """The store may have room again: apply what had to wait."""
        while self._unapplied and not self.store.is_backed_up:
            self._apply_now((self._unapplied.popleft(),))

    def _apply_now(self, entries: Sequence[Entry]) -> None:
        store, core, executor = self.store, self.core, self.executor
        index = 0
        for entry in entries:
            index = entry.index
            kind = entry.kind
            if kind is EntryKind.NORMAL:
                payload = entry.payload
            elif kind is EntryKind.CONFIGURATION:
                configuration, context = core.apply_change(entry)
                payload = change_payload(context, configuration)
                self._note_vote()
                self._follow_soon()
            else:
                payload = b""
            store.apply(index, payload, entry.term)
            executor.on_applied(index, entry.term)
            if kind is EntryKind.EMPTY and entry.term == core.term and core.role is Role.LEADER:
                executor.open()
        core.applied(index)
        self._tell_applied(index)

    def _tell_applied(self, index: int) -> None:
        """Everything up to `index` can be seen here: answer those who waited for that."""
        self.reads.on_applied(index)
        self.router.forwarder.on_applied(index)

    def _note_leadership(self) -> None:
        """React when the role, the leader or the term changed since last time."""
        core = self.core
        role, leader, term = now = core.role, core.leader_id, core.term
        if now == self._seen:
            return
        (old_role, old_leader, old_term), self._seen = self._seen, now
        self.leader_change_count += leader not in (0, old_leader)
        logger.info("leadership: role %s, leader %x, term %d", role.name.lower(), leader, term)
        if old_role is Role.LEADER and (role is not Role.LEADER or term != old_term):
            for name, body, done in self.executor.close():
                self.transact_nowait(name, body, done)
        if old_leader and leader != old_leader:
            self.router.on_deposed(old_leader)
        self._transfers.settle()
        if leader:
            self.router.retry()
            self._neighbours.publish()
        self._schedule()

    # --- time -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        """One heartbeat interval has passed."""
        if self._is_stopped:
            return
        self._timer = self._loop.call_later(self.config.heartbeat_ms / 1000, self._tick)
        self._ticks += 1
        try:
            self.core.tick(self._world.clock_s())
            self.reads.tick()
            self.router.tick()
            self.store.flush_if_due(self._loop.time())
            if self.core.leader_id:
                self._neighbours.publish()
            self._transfers.tick()
            self.custody.tick()
            if self._ticks % TRIM_TICKS == 0:
                self._trim()
                self.snapshots.drop_idle()
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self._fatal(error)
            return
        self._on_news()

    def _trim(self) -> None:
        """Drop journal entries that the store has durably, but for some that slow peers may need.

        A peer that needs older ones gets a snapshot, and what follows it is kept meanwhile.
        """
        index = min(self.store.durable_index, self.core.retained_index() - 1)
        index -= self.config.trailing_entries
        if index > self.journal.first_index and not self.persistence.outstanding_count:
            before = self.journal.first_index
            self.journal.compact(index)
            if self.journal.first_index > before:
                logger.info("trimmed the journal to entry %d", self.journal.first_index)

    # --- the links ------------------------------------------------------------------------------

    def _on_connected(self, _member_id: int) -> None:
        """A link opened: a cluster that has just started need not wait for its timeouts."""
        self._hurry.start()

    def _on_unreachable(self, member_id: int) -> None:
        """A link broke: what was on its way is lost, and requests to it are in doubt."""
        if self._is_stopped:
            return
        self.core.report_unreachable(member_id)
        self.router.forwarder.give_up(member_id)
        if member_id == self.core.leader_id:
            self.core.forget_leader()
            self._hurry.start()
        self._on_news()

    def _on_keeper_news(self) -> None:
        """The keeper finished a flush: memory is free again."""
        if self._is_stopped:
            return
        self.snapshots.on_flushed()
        self._apply_rest()
        self._on_news()

    # --- who is in the cluster, who leads -------------------------------------------------------

    def _on_roster_applied(self, _index: int, _changes: Changes) -> None:
        """Follow the roster; a last message to somebody removed leaves first."""
        self._follow_soon()

    def _follow_soon(self) -> None:
        self._loop.call_later(self.config.heartbeat_ms / 1000, self._follow_roster)

    def _follow_roster(self) -> None:
        if self._is_stopped:
            return
        self._neighbours.follow()
        if self.roster.is_removed(self.member_id):
            # The others may not know yet that it is committed, and may need our vote to learn it.
            linger_s = LINGER_ELECTIONS * self.config.election_ms / 1000
            self._loop.call_later(linger_s, self._tell_removed)

    def _note_vote(self) -> None:
        self.is_learner = not self.core.configuration.is_voter(self.member_id)

    def _tell_removed(self) -> None:
        if self._is_stopped or self._was_told_removed:
            return
        self._was_told_removed = True
        logger.error("this member was removed from the cluster")
        self.on_removed()

    def _on_refused(self, member_id: int, said: RefusedThere) -> None:
        end = self._neighbours.on_refused(member_id, said)
        if isinstance(end, MemberRemoved):
            self._tell_removed()
        elif end is not None:
            self._fatal(end)

    def _on_pull(self, stream: Stream, asked: Pull) -> None:
        self.snapshots.serve_pull(stream, asked)

    def _on_join(self, stream: Stream, joins: Joins) -> None:
        version = self.core.configuration.version
        self.snapshots.serve_join(stream, joins, version, lambda: self.journal.first_index)

    def transfer_leadership(self, target: int, done: ReadDone) -> None:
        """Hand leadership to `target`; see `Transfers.start`."""
        self._transfers.start(target, told_read(done))
        self._schedule()

    # --- snapshots ------------------------------------------------------------------------------

    def _call_later(self, delay_s: float, work: Callable[[], None]) -> None:
        self._loop.call_later(delay_s, work)

    def _before_install(self) -> None:
        self._unapplied.clear()
        self._home.keeper.unwatch(self._loop)

    def _after_install(self, index: int) -> None:
        self._home.watch_keeper(self._loop, self._on_keeper_news)
        self._tell_applied(index)
        self._neighbours.follow()
        self._note_vote()

    # --- reads ----------------------------------------------------------------------------------

    def _start_read_round(self, token: int) -> None:
        index = self.core.read_lease(self._world.clock_s())
        if index is None:
            self.core.read_index(token)
        else:
            self.reads.on_confirmed(token, index, self.core.applied_index)

    def _barrier(self, index: int, done: ReadDone) -> None:
        self.reads.add(done, index)
        self._schedule()
