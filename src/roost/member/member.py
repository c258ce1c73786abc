"""One running member: its life, and what the layers above ask of it.

`parts` says what it consists of, `loop` how news moves through these parts.  Here is the face:
register operations, transact, read, observe; start and stop.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from roost.errors import Stopped
from roost.flow import OWN, Flow
from roost.member.cluster.roster import MemberRecord
from roost.member.config import MemberConfig
from roost.member.directory.home import open_home
from roost.member.errors import StoreDamaged
from roost.member.events import Event
from roost.member.links import FrameHandler
from roost.member.loop import Loop
from roost.member.machine.reserve import SpaceReport
from roost.member.machine.world import World
from roost.member.operation import Light, Operation
from roost.member.round_trips import Spread
from roost.member.status import MemberStatus
from roost.outcome import Done, ReadDone, Waiting, settle_future, told_read
from roost.raft import Entry
from roost.store import Changes, StoreCorrupt, Txn


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

        def end(error: BaseException) -> None:
            """What the store says of itself, whoever runs a member knows as a damage."""
            on_fatal(StoreDamaged(str(error)) if isinstance(error, StoreCorrupt) else error)

        world = world or World()
        home = open_home(config, bootstrap, world=world, on_store_failure=end)
        self.on_removed: Callable[[], None] = lambda: None
        self._loop = Loop(config, home, world, on_removed=self._on_removed, on_fatal=end)
        self._parts = parts = self._loop.parts
        self.config = config
        self.memory = world.memory
        self.member_id, self.cluster_id = home.identity.member_id, home.identity.cluster_id
        self.store, self.journal, self.view = home.store, home.journal, home.store.view
        self.core, self.roster = parts.core, parts.roster
        self.links, self.transport = parts.links, parts.transport
        self.news = parts.news
        self.persistence, self.custody = parts.persistence, parts.custody
        self.files, self.snapshots = parts.files, parts.snapshots
        self._is_closed = False

    async def start(self) -> None:
        """Listen for peers, dial them, and take part.

        Raises:
            OSError: a peer address cannot be bound.

        """
        await self._loop.start()

    async def hand_over(self) -> None:
        """Let another member lead, if this one does and one can; what comes in is forwarded."""
        over = None if self._loop.is_stopped else self._parts.transfers.start_best()
        if over is not None:
            self._loop.schedule()
            await over

    async def stop(self) -> None:
        """Leave in order: hand leadership over, tell every caller, close links and files."""
        if self._is_closed:
            return
        self._is_closed = True
        await self.hand_over()
        self._loop.halt()
        error, parts = Stopped("this member stops"), self._parts
        for it in parts.executor.close():
            it.tell(error)
        parts.reads.fail_all(error)
        parts.router.close(error)
        parts.slices.finish()
        parts.transfers.close(error)
        parts.catchup.stop()
        await parts.snapshots.close()
        await parts.transport.close()
        await parts.persistence.close()
        assert not self.snapshots.task_count, "who starts a task ends it"
        parts.home.close(asyncio.get_running_loop())

    def abandon(self) -> None:
        """End as a crash would: nothing is flushed, nobody is told; for simulators and tests."""
        self._loop.halt()
        self._parts.catchup.stop()
        self.snapshots.abandon()
        self.transport.abandon()
        self.store.abandon()

    def _on_removed(self) -> None:
        self.on_removed()

    @property
    def term(self) -> int:
        """The current Raft term."""
        return self.core.term

    @property
    def leader_id(self) -> int:
        """The leader as far as this member knows; 0 = unknown."""
        return self.core.leader_id

    @property
    def waiting_bytes(self) -> int:
        """What operations that wait to run take, as leader; zero when idle."""
        return self._parts.executor.queue_bytes

    @property
    def is_learner(self) -> bool:
        """Whether this member has no vote, as of the applied configuration."""
        return self._parts.applier.is_learner

    @property
    def leader_change_count(self) -> int:
        """How often this member has seen another leader than before."""
        return self._loop.leader_change_count

    def register(self, name: str, operation: Operation | Light) -> None:
        """Name an operation; every member must know the same names.

        `operation(txn, body)` runs on the leader, may use clocks and chance, returns the answer
        and raises `Refused` to say no.
        """
        operations = self._parts.operations
        assert name not in operations, f"operation {name} is registered twice"
        operations[name] = operation

    def register_frame(self, kind: int, handler: FrameHandler) -> None:
        """Have `handler(sender, body)` take all frames of a kind from other members.

        Kinds from ROOM_KIND_MIN to ROOM_KIND_MAX are for rooms; each is registered once, before
        `start`, and means the same on every member for ever.  A member without the room drops the
        frame and counts it, so a room lives with lost frames, as it must anyway: nothing is sent
        twice, and frames to one member come in order or not at all.  `handler` must return soon.
        It raises a PeerFault when the body breaks its format, which closes the link; any other
        error is logged and counted.
        """
        self.links.register_room(kind, handler)

    def send_frame(self, member_id: int, kind: int, buffers: Sequence[bytes]) -> bool:
        """Send a frame of a registered kind to another member.

        False when it was dropped: there is no link now, or too much waits for it.
        """
        return self.links.send_frame(member_id, kind, buffers)

    def hear_links(self, hearer: Callable[[int], None]) -> None:
        """Call `hearer(member_id)` whenever a link to another member opens.

        What was sent on the one before may not have come.  It returns at once, and raises nothing.
        """
        self.links.hear_links(hearer)

    def tell(self, event: Event) -> None:
        """Tell whoever hears of this member that something happened."""
        self.news.tell(event)

    def tell_clients(self, urls: tuple[str, ...]) -> None:
        """Have the cluster know that clients are served at `urls` from now on."""
        self._parts.neighbours.tell_clients(urls)

    def every(self, interval_s: float, work: Callable[[], None]) -> None:
        """Have `work` called every `interval_s` seconds while the member runs.

        It is called on the event loop, first one interval after the start, and must return soon:
        heartbeats wait meanwhile.  What it raises is logged and counted, and it is called again.
        """
        self._parts.periodic.every(interval_s, work)

    def observe(
        self, callback: Callable[[int, Changes], None], trees: Iterable[int] | None = None
    ) -> None:
        """Call `callback(index, changes)` for each applied write set that writes one of `trees`.

        None is every write set.  Calls come in the order of the log, on every member, also for
        what a batch of others wrote; a snapshot that is installed is told by `observe_switch`.
        """
        self.store.observe(callback, trees)

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        """Call `prepare()` before a snapshot replaces everything, and what it returns after."""
        self.store.observe_switch(prepare)

    @property
    def first_index(self) -> int:
        """The oldest entry that the log has still."""
        return self.core.log.first_index

    @property
    def journal_bytes(self) -> int:
        """What the files of the log take."""
        return self.journal.size_bytes

    def term_at(self, index: int) -> int | None:
        """The term of an entry; None where the log does not know it any more, or not yet."""
        return self.core.log.term_at(index)

    def applied_entries(self, first: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries that are applied, from `first` on: one at least, and about `bytes_max` at most.

        None where the one at `first` is damaged here; others bring it back.  It is an entry that
        the log has, and that is applied.
        """
        return self.core.log.slice(first, bytes_max, self.store.applied_index + 1)

    def transact_nowait(
        self,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        """Run the operation `name` on the leader and call `done(outcome)` once.

        A result is durable on a majority when `done` gets it.  Errors are `Refused`,
        leaves of `NotExecuted` (safe to retry) or `OutcomeUnknown`.  Flows take turns; what is of
        one flow runs in its order.  What nobody is `waiting` for any more when it has not begun is
        not begun.
        """
        self._loop.transact(name, body, done, flow, waiting)

    async def transact(self, name: str, body: bytes) -> bytes:
        """Run the operation `name` on the leader and return its result; see `transact_nowait`."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transact_nowait(name, body, lambda outcome: settle_future(future, outcome))
        return await future

    def read_nowait(self, done: ReadDone, flow: Flow = OWN) -> None:
        """Call `done` when `view` holds everything acknowledged before this call.

        A turn of the loop answers a bounded number of reads; when there are more, flows take turns.
        """
        self._loop.read(done, flow)

    async def read_barrier(self) -> None:
        """Wait until `view` holds everything acknowledged before this call.

        Raises:
            NoLeader: leadership could not be confirmed in time.

        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.read_nowait(lambda error: settle_future(future, error))
        await future

    def transfer_leadership(self, target: int, done: ReadDone) -> None:
        """Hand leadership to `target`; see `Transfers.start`."""
        if self._loop.is_stopped:
            done(Stopped("this member stops"))
            return
        self._parts.transfers.start(target, told_read(done))
        self._loop.schedule()

    def members(self) -> list[MemberRecord]:
        """All members as of the applied state, in the order of their ids."""
        return self.roster.records()

    def peer_times(self) -> Mapping[int, Spread]:
        """How long each peer takes to answer, as far as this member has led."""
        return self.links.round_trips.spreads

    def space(self) -> SpaceReport:
        """What its files take, and what is left for them."""
        return self.custody.space(self.store.statistics())

    def status(self) -> MemberStatus:
        """A snapshot for status pages."""
        core, parts, statistics = self.core, self._parts, self.store.statistics()
        return MemberStatus(
            member_id=self.member_id,
            cluster_id=self.cluster_id,
            name=self.config.name,
            role=core.role,
            leader_id=core.leader_id,
            term=core.term,
            last_index=core.last_index,
            commit_index=core.commit_index,
            applied_index=self.store.applied_index,
            durable_index=self.store.durable_index,
            db_bytes=statistics.size_bytes,
            db_in_use_bytes=statistics.in_use_bytes,
            queue_count=parts.executor.queue_count,
            queue_bytes=parts.executor.queue_bytes,
            queue_flow_count=parts.executor.flow_count,
            queue_refused_count=parts.executor.refused_count,
            inflight_count=parts.executor.inflight_count,
            read_count=len(parts.reads),
            read_line_count=parts.reads.line_count,
            forward_count=len(parts.router.forwarder),
            sync_ms_mean=self.persistence.mean_ms,
            uses_thread=self.persistence.uses_thread,
            uncommitted_bytes=core.uncommitted_bytes,
            unapplied_bytes=core.unapplied_bytes,
            persist_count=self.persistence.outstanding_count,
            snapshot_transfer_count=self.snapshots.task_count,
            send_queue_bytes=self.transport.queued_bytes(),
            damaged_entry_count=len(self.journal.damaged),
            repaired_entry_count=self.custody.repair.repaired_count,
            failed_work_count=parts.periodic.failed_count + parts.links.failed_count,
            is_fenced=core.is_fenced,
            lost_entries=dict(core.lost_entries),
        )
