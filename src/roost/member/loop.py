"""The turn of one member: what brings news, and the order in which it is carried out.

There is no task here.  Whatever brings news (a frame from a peer, a tick, a local request) steps
the core and calls `on_news`, which carries out what the core asks (`drive`), in this order:

    1. messages that need no disk leave, so that peers write while we write
    2. hard state and entries become durable (inline, or on a thread: large batches, slow disks)
    3. messages that promise something leave
    4. committed entries are applied; callers, readers and observers learn of it

A request waits in the executor's queue for the end of the turn (`schedule`), so one entry carries
everything that arrived together.  A follower hands requests to the leader (`router`).

Anything unexpected ends the process through `on_fatal`: a member that cannot trust its own state
must not answer anybody.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from roost.errors import RoostError, Stopped
from roost.flow import OWN, Flow
from roost.member.config import MemberConfig
from roost.member.directory.home import Home
from roost.member.errors import MemberRemoved
from roost.member.machine.world import World
from roost.member.parts import Parts, Wiring
from roost.member.trimming import trim
from roost.outcome import Done, ReadDone, Waiting
from roost.peer import RefusedThere
from roost.raft import Ready, Role

logger = logging.getLogger(__name__)
TRIM_TICKS: Final = 20


class Loop:
    """Drives the parts of one member, which it builds."""

    def __init__(
        self,
        config: MemberConfig,
        home: Home,
        world: World,
        *,
        on_removed: Callable[[], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Nothing runs before `start`."""
        self._on_fatal = on_fatal
        self._clock_s = world.clock_s
        self._heartbeat_s = config.heartbeat_ms / 1000
        self._trailing_entries = config.trailing_entries
        home.store.on_failure = self.fail
        self.parts = parts = Parts(config, home, world, self._wiring(on_removed))
        # What every turn asks for.
        self._core = parts.core
        self._executor = parts.executor
        self._reads = parts.reads
        self._journal = home.journal
        self._links = parts.links
        self._router = parts.router
        self._ticks = 0
        self._seen = (self._core.role, 0, self._core.term)
        self.leader_change_count = 0
        self._is_driving = self._is_asked_again = self._is_scheduled = False
        self.is_stopped = True
        self._timer: asyncio.TimerHandle | None = None

    def _wiring(self, on_removed: Callable[[], None]) -> Wiring:
        return Wiring(
            on_news=self.on_news,
            schedule=self.schedule,
            run_again=self._run_again,
            drive=self.drive,
            transact=self.transact,
            barrier=self._barrier,
            start_read_round=self._start_read_round,
            on_durable=self._on_durable,
            on_unreachable=self._on_unreachable,
            on_refused=self._on_refused,
            before_install=self._before_install,
            after_install=self._after_install,
            on_removed=on_removed,
            on_fatal=self.fail,
        )

    async def start(self) -> None:
        """Listen for peers, dial them, and take part.

        Raises:
            OSError: a peer address cannot be bound.

        """
        self._event_loop = asyncio.get_running_loop()
        self.is_stopped = False
        parts, store = self.parts, self.parts.home.store
        store.on_room = self.schedule
        await parts.transport.start()
        parts.neighbours.follow()
        store.observe(parts.roster_watch.on_applied, trees=(parts.roster.tree_id,))
        store.observe(lambda _index, _changes: parts.reporter.on_roster(), (parts.roster.tree_id,))
        parts.home.watch_keeper(self._event_loop, self._on_keeper_news)
        if self._core.configuration.all_voters() == (self._core.id,):
            self._core.campaign()
            self.drive()
        self._timer = self._event_loop.call_later(self._heartbeat_s, self._tick)
        parts.periodic.start()

    def halt(self) -> None:
        """Take no more turns; what is under way ends with its owners."""
        self.is_stopped = True
        parts = self.parts
        for part in (parts.hurry, parts.announcer, parts.hedge, parts.roster_watch, parts.periodic):
            part.stop()
        if self._timer is not None:
            self._timer.cancel()

    def fail(self, error: BaseException) -> None:
        """Stop at once: what this member says can no longer be trusted."""
        self.is_stopped = True
        self._on_fatal(error)

    # What brings news.

    def transact(
        self, name: str, body: bytes, done: Done, flow: Flow = OWN, waiting: Waiting | None = None
    ) -> None:
        """Run the operation `name` on the leader, wherever that is."""
        if self.is_stopped:
            done(Stopped("this member stops"))
            return
        self._router.submit(name, body, done, flow, waiting)
        self.schedule()

    def read(self, done: ReadDone, flow: Flow = OWN) -> None:
        """Tell `done` when everything acknowledged before can be seen here."""
        if self.is_stopped:
            done(Stopped("this member stops"))
            return
        if type(flow) is not Flow:
            done = self.parts.traces.read(flow, done)
        self._reads.add(done, 0, flow)
        if not self._is_scheduled:
            self.schedule()

    def _barrier(self, index: int, done: ReadDone) -> None:
        """As `read`, for the executor: `index` must be seen as well, and its failure is ours."""

        def tell(error: RoostError | None) -> None:
            try:
                done(error)
            except Exception as failure:  # noqa: BLE001 - whatever it is, our state is in doubt
                self.fail(failure)

        self._reads.add(tell, index)
        self.schedule()

    def schedule(self) -> None:
        """Run what waits at the end of this turn of the event loop."""
        if not self._is_scheduled:
            self._is_scheduled = True
            self._event_loop.call_soon(self._run_turn)

    def _run_turn(self) -> None:
        """Execute, forward and confirm all that arrived; what takes many turns gets its slice."""
        self._is_scheduled = False
        if self.is_stopped:
            return
        try:
            self._executor.go_on()
            self.parts.applier.go_on()
            self._reads.begin_turn()
            self.parts.slices.begin_turn()
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self.fail(error)
        self.on_news()

    def _run_again(self, delay_s: float) -> None:
        """The executor waits for more to come, or for a batch to be answered."""
        if delay_s:
            self._event_loop.call_later(delay_s, self._release)
        else:
            self.schedule()

    def _release(self) -> None:
        try:
            self._executor.release()
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self.fail(error)
        self.on_news()

    def _on_unreachable(self, member_id: int) -> None:
        """A link broke: what was on its way is lost, and requests to it are in doubt."""
        if self.is_stopped:
            return
        core = self._core
        core.report_unreachable(member_id)
        self._router.forwarder.give_up(member_id)
        if member_id == core.leader_id:
            core.forget_leader()
            self.parts.hurry.start()
        self.on_news()

    def _on_refused(self, member_id: int, said: RefusedThere) -> None:
        """A member will not talk to us: that may be the end of ours."""
        end = self.parts.neighbours.on_refused(member_id, said)
        if isinstance(end, MemberRemoved):
            self.parts.roster_watch.leave()
        elif end is not None:
            self.fail(end)

    def _on_keeper_news(self) -> None:
        """The keeper finished a flush: memory is free again."""
        if self.is_stopped:
            return
        self.parts.snapshots.copies.on_flushed()
        self.parts.applier.apply_rest()
        self.on_news()

    # One turn.

    def on_news(self) -> None:
        """Something stepped the core or queued a request: move everything on."""
        if self.is_stopped:
            return
        try:
            self.drive()
            self._executor.run()
            if self._reads.is_due:
                self._reads.flush()
                self.drive()
            self._router.forwarder.flush()
            if self._links.has_answers:
                # Who asked through a follower is answered there when it has applied this, too:
                # what no append has carried it hears of now.
                self._core.announce_commit()
                self.drive()
                self._links.flush_answers()
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self.fail(error)

    def drive(self) -> None:
        """Carry out what the core asks, until it asks nothing.

        First leave the messages that promise nothing: an append may go out before we have the
        entry ourselves, because our own copy counts only when `persisted` says so (thesis §10.2.1).
        What needs no disk is over at once, but not while something is on its way there: Readys are
        over in their order, or a later one would vouch for an earlier one.  Reads come behind the
        entries committed with them, most of which they wait for; and only when callers were told
        of what is applied, what has lost its leader is given up.

        What is said only (heartbeats, their echoes, reads) leads to nothing else, unless somebody
        who heard of it has asked for more, or another leads: the core need not be asked again.
        """
        if self._is_driving:
            self._is_asked_again = True
            return  # an outer call goes on
        self._is_driving = True
        try:
            core, parts = self._core, self.parts
            while (ready := core.take_ready()) is not None:
                self._is_asked_again = False
                if ready.entries or ready.committed:
                    parts.reporter.on_ready(ready)
                for to, message in ready.messages:
                    self._links.send(to, message)
                if (
                    ready.hard_state is None
                    and not ready.entries
                    and not ready.messages_after_persist
                    and not parts.persistence.outstanding_count
                ):
                    core.persisted(ready)
                else:
                    parts.persistence.persist(ready)
                if ready.committed:
                    parts.applier.apply(ready.committed)
                    parts.announcer.note_commit()
                self._take_reads(ready)
                if ready.snapshot is not None:
                    parts.catchup.fetch(ready.snapshot)
                for member_id in ready.snapshots_wanted:
                    parts.catchup.offer(member_id)
                has_changed = self._note_leadership()
                if ready.is_said_only and not (has_changed or self._is_asked_again):
                    break
            if core.near_read:
                parts.hedge.note_round()
        finally:
            self._is_driving = False

    def _on_durable(self, readys: Sequence[Ready]) -> None:
        """Readys are on disk: promises that rest on them may leave."""
        for ready in readys:
            is_there = not ready.entries or self._journal.durable_index >= ready.entries[-1].index
            assert is_there, "nothing is promised that is not durable"
            self._core.persisted(ready)
            for to, message in ready.messages_after_persist:
                self._links.send(to, message)
        if self.parts.traces.live:
            self.parts.traces.on_durable(self._journal.durable_index)
        if not self._is_driving:
            self.on_news()

    def _take_reads(self, ready: Ready) -> None:
        """Rounds of reads came back, or will not."""
        for read in ready.reads:
            self._reads.on_confirmed(read.token, read.index, self.parts.home.store.applied_index)
        for token in ready.reads_failed:
            self._reads.on_failed(token)

    def _start_read_round(self, token: int) -> None:
        index = self._core.read_lease(self._clock_s())
        if index is None:
            self._core.read_index(token)
        else:
            self._reads.on_confirmed(token, index, self._core.applied_index)

    def _note_leadership(self) -> bool:
        """React when the role, the leader or the term changed since last time; say if they did."""
        core = self._core
        role, leader, term = now = core.role, core.leader_id, core.term
        if now == self._seen:
            return False
        (old_role, old_leader, old_term), self._seen = self._seen, now
        self.leader_change_count += leader not in (0, old_leader)
        self.parts.reporter.on_role(old_role, old_term)
        if leader != old_leader:
            self.parts.reporter.on_leader()
        logger.info("leadership: role %s, leader %x, term %d", role.name.lower(), leader, term)
        if old_role is Role.LEADER and (role is not Role.LEADER or term != old_term):
            self._router.take_back(self._executor.close())
        if old_leader and leader != old_leader:
            self._router.on_deposed(old_leader)
        self.parts.transfers.look()
        if leader:
            self._reads.on_leader()
            self._router.retry()
            self.parts.neighbours.publish()
        self.schedule()
        return True

    # Time.

    def _tick(self) -> None:
        """One heartbeat interval has passed."""
        if self.is_stopped:
            return
        self._timer = self._event_loop.call_later(self._heartbeat_s, self._tick)
        self._ticks += 1
        parts = self.parts
        try:
            self._core.tick(self._clock_s())
            self._reads.tick()
            self._router.tick()
            parts.applier.tick()
            parts.home.store.flush_if_due(self._event_loop.time())
            if self._core.leader_id:
                parts.neighbours.publish()
            parts.transfers.tick()
            parts.custody.tick()
            parts.reporter.tick()
            parts.home.store.invariants()
            parts.home.journal.invariants()
            if self._ticks % TRIM_TICKS == 0:
                parts.persistence.between_writes(self._trim)
                parts.snapshots.copies.drop_idle()
        except Exception as error:  # noqa: BLE001 - whatever it is, our state is in doubt
            self.fail(error)
            return
        self.on_news()

    def _trim(self) -> None:
        """Drop journal entries that the store has durably, but for some that slow peers may need.

        A peer that needs older ones gets a snapshot, and what follows it is kept meanwhile.
        """
        journal, store = self._journal, self.parts.home.store
        index = min(store.durable_index, self._core.retained_index() - 1)
        in_use_bytes = store.statistics().in_use_bytes
        if trim(journal, index, entries=self._trailing_entries, in_use_bytes=in_use_bytes):
            logger.info("trimmed the journal to entry %d", journal.first_index)

    # A snapshot takes the place of everything.

    def _before_install(self) -> None:
        self.parts.applier.forget_waiting()
        self.parts.home.keeper.unwatch(self._event_loop)

    def _after_install(self, index: int) -> None:
        parts = self.parts
        parts.home.watch_keeper(self._event_loop, self._on_keeper_news)
        parts.applier.on_installed(index)
        parts.reporter.on_installed()
        parts.neighbours.follow()
