"""The executor: runs operations on the leader and merges their writes into one entry.

Everything that waits when a loop turn comes round is run, one after another and clients by turns
(`roost.fair_queue`), against a view that includes what is proposed but not yet committed; the
writes of the whole batch become one Raft entry (D1).  An idle system proposes at once, a loaded
one merges more, over a few turns (`making`); `pacing` says when a little patience pays.

Rules that make this safe:

* A new leader executes nothing before an entry of its own term is applied (`open`): until then
  its applied state may miss entries that are already committed.
* Answers are released when the batch's entry is applied *in the term it was proposed in*.  That
  commit also proves that no newer leader answered anybody in between, so refusals ride along.
* A batch that wrote nothing is a read: it is answered after a read barrier that also waits for
  every speculative batch it has seen, and only in the term in which it ran: in a later one, what
  it saw may never have been committed.
* An operation that writes more than an entry holds is refused: the journal could not take it, and
  a journal that refuses is a member that ends.
* What nobody waits for any more when its turn comes is dropped: its client is gone, or its time.
* A long one (`Long`) runs a slice a turn, alone, and all others wait in the queue until its last
  entry is proposed (`long_run`).
* `close` (leadership lost) answers proposed batches with `LeadershipLost`, so many callers in a
  turn (`slices`): their entries may still be committed by the next leader.  What never ran is
  handed back, and so is what ran, wrote nothing and has not been confirmed: whoever leads next can
  run it again.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

from roost.errors import CallerGone, NotLeader, Overloaded, Refused, RoostError
from roost.fair_queue import FairQueue
from roost.flow import OWN, Flow
from roost.journal import PAYLOAD_BYTES_MAX
from roost.member.cluster.roster import change_payload, put_configuration
from roost.member.config import MemberConfig
from roost.member.errors import (
    ChangeNotTaken,
    LeadershipLost,
    LearnerBehind,
    RequestTooLarge,
)
from roost.member.operation import AnyOperation, Changing, Light
from roost.member.pipeline.batch import Batch, Request, internal_error
from roost.member.pipeline.lights import Lights
from roost.member.pipeline.long_run import LongRun
from roost.member.pipeline.making import Making
from roost.member.pipeline.pacing import HOLD_S, Pace, Pacing
from roost.member.pipeline.traces import Traces
from roost.memory import Memory
from roost.outcome import Done, ReadDone, Waiting
from roost.raft import (
    ChangeRefused,
    Core,
    DropReason,
    ProposalDropped,
    decode_change,
)
from roost.slices import Slices
from roost.store import PARTS_ID, Long, Store, Txn, encode_effect

logger = logging.getLogger(__name__)

_ENTRY_BYTES: Final = 1 << 20
# What the operations of one batch may write together: an entry of the journal holds no more.
WRITES_BYTES_MAX = PAYLOAD_BYTES_MAX
# What may wait while memory is short: small requests, a member's own among them, still get on.
SHORT_QUEUE_BYTES_MAX: Final = 1 << 20


class Executor:
    """The queue of operations on the leader, and the batches on their way.

    `propose_done` is called after each proposal, so that the owner moves messages and disk on.
    `barrier(index, done)` is the owner's read barrier that also waits for `index`.
    `run_again(delay_s)` asks the owner to call `run` again; 0 = in the next loop turn.
    """

    def __init__(
        self,
        config: MemberConfig,
        core: Core,
        store: Store,
        *,
        propose_done: Callable[[], None],
        barrier: Callable[[int, ReadDone], None],
        run_again: Callable[[float], None],
        pacing: Pacing,
        slices: Slices,
        memory: Memory | None = None,
        traces: Traces | None = None,
    ) -> None:
        """Start closed: `open` follows when this member leads and is caught up."""
        self._slices = slices
        self._memory = memory or Memory()
        self._traces = traces or Traces()
        self._config = config
        self._core = core
        self._store = store
        self._propose_done = propose_done
        self._barrier = barrier
        self._run_again = run_again
        self._pacing = pacing
        self._is_held = False
        # Looked at once: when the last queue is made, at the end, nobody looks at memory any more.
        self._queue_bytes_max = self._memory.share(self._config.queue_bytes_max, 8)
        self._queue = self._make_queue()
        self._lights = Lights()
        # Their turn has come, and before they ran the batch was full, or one that runs alone came.
        self._taken: deque[Request] = deque()
        # The batch that the next turn goes on with: others wait.
        self._making: Making | None = None
        # It changes the configuration: its turn has come, and it runs alone.
        self._change: Request | None = None
        self._inflight: dict[int, Batch] = {}
        # Batches that wrote nothing, and whose barrier is on its way; in their order.
        self._unconfirmed: dict[Batch, None] = {}
        self._last_index = 0
        self._is_open = False
        # The operation that runs over many turns.
        self._long: LongRun | None = None
        # Parts lie about that a leader has left, or an operation that came to nothing.
        self._has_leftovers = False

    def _make_queue(self) -> FairQueue[Request]:
        return FairQueue(count_max=self._config.queue_count_max, bytes_max=self._queue_bytes_max)

    @property
    def queue_count(self) -> int:
        """Operations waiting to run, or to be proposed; zero when idle."""
        alone = (self._change is not None) + (self._long is not None)
        ran = 0 if self._making is None else len(self._making.ran)
        return self._queue.count + len(self._taken) + len(self._lights) + ran + alone

    @property
    def queue_bytes(self) -> int:
        """What they hold."""
        return self._queue.bytes + sum(len(it.body) for it in self._taken)

    @property
    def flow_count(self) -> int:
        """How many clients' connections they are of."""
        return self._queue.flow_count

    @property
    def refused_count(self) -> int:
        """Operations refused because too many waited."""
        return self._queue.refused_count

    @property
    def inflight_count(self) -> int:
        """Batches proposed and not yet applied; zero when idle."""
        return len(self._inflight)

    def submit(
        self,
        name: str,
        operation: AnyOperation,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> bool:
        """Queue one operation; False when its flow has too many and the caller was told.

        When its turn comes and nobody waits for it any more, it is dropped.
        """
        if type(flow) is not Flow:
            operation, done = self._traces.lead(flow, name, operation, done)
        request = Request(name, operation, body, done, flow, waiting)
        if isinstance(operation, Light) and self._lights.take(request):
            return True
        return self._line_up(request)

    def _line_up(self, request: Request) -> bool:
        """Have it run in its place in the queue; False when the caller was told why not."""
        flow, body = request.flow, request.body
        if self._memory.is_short and self._queue.bytes + len(body) > SHORT_QUEUE_BYTES_MAX:
            request.tell(self._memory.refusal())
            return False
        if self._queue.submit(flow, request, len(body)):
            return True
        if len(body) > self._queue.bytes_max:
            # There will never be room for it, so it is not to be asked again.
            most = self._queue.bytes_max
            request.tell(RequestTooLarge(f"{len(body)} bytes, of {most} that may wait in all"))
        else:
            request.tell(Overloaded("too many operations wait"))
        return False

    def open(self) -> None:
        """Begin: the member leads and has applied an entry of its own term."""
        assert self._core.is_leader_ready, "its entry is committed, so all before it are applied"
        self._is_open = True
        self._has_leftovers = bool(self._store.view.scan(PARTS_ID, limit=1))

    def _has_room(self) -> bool:
        """Whether another entry may be proposed."""
        return (
            self._is_open
            and len(self._inflight) < self._config.batch_inflight_max
            and not self._store.is_backed_up
            and not self._core.transfer_target
        )

    @property
    def _has_work(self) -> bool:
        """Whether something waits to run, but for what runs over many turns."""
        return bool(self._queue.count or self._taken or self._change)

    def run(self) -> None:
        """Execute a batch of what waits, if the pipeline and the store's memory have room.

        What is left has the next turn of the loop, so a turn's work is bounded (D14).
        """
        if self._lights and self._is_open and not self._core.transfer_target:
            self._run_lights()
        if self._has_leftovers and not (self._long or self._making) and self._has_room():
            self._clear_parts()
        if self._has_work and not self._long and self._has_room():
            pace = Pace.GO
            if self._making is None:
                pace = self._pacing.pace(self.queue_count, len(self._inflight))
            if pace is Pace.GO:
                self._run_batch()
                if self._has_work:
                    self._run_again(0)
            elif pace is Pace.LOOK_AGAIN:
                self._run_again(0)
            elif not self._is_held:
                self._is_held = True
                self._run_again(HOLD_S)
        elif self._long and self._has_room():
            self._run_again(0)

    def _run_lights(self) -> None:
        """Run what need not wait for room."""
        ran = self._lights.run(self._store.begin(), self._line_up)
        if ran:
            self._answer_when_confirmed(Batch(self._core.term, ran))
        if self._lights:
            self._run_again(0)

    def release(self) -> None:
        """The delay that `run_again` asked for has passed."""
        self._is_held = False
        self.run()

    def _run_batch(self) -> None:
        """Run what a turn runs of a batch, and propose the writes of a whole one as one entry.

        Operations run before anything is agreed on, and see what is proposed and not committed.
        That is safe because of where their writes stand: in one log, behind all that they saw.  If
        something they saw is never committed, another leader's entry has its place, and everything
        of ours behind it is gone with it (Raft: log matching), so no caller is told of either.
        What wrote nothing has no place in the log, and is confirmed in another way.
        """
        change = self._change
        if change is not None:
            self._run_change(change)
            return
        making, self._making = self._making, None
        if making is None:
            config = self._config
            making = Making(
                self._store.begin(),
                count_max=config.batch_count_max,
                bytes_max=config.batch_bytes_max,
            )
        else:
            self._store.renew(making.txn)
        self._execute(making)
        others_wait = bool(self._taken or self._queue.count)
        if others_wait and making.goes_on and not (self._change or self._long):
            self._making = making
            return
        txn, batch = making.txn, Batch(self._core.term, making.ran)
        # There is none where what stood first runs alone, or nobody waits for any of it any more.
        has_run = bool(batch.requests)
        if has_run and txn.is_empty:
            if self._traces.fresh:
                self._traces.on_nothing_written()
            self._answer_when_confirmed(batch)
        elif has_run and not self._propose_batch(txn, batch) and self._long:
            # It was looked at, its caller's rights among all else, in a state that never will be.
            self._taken.appendleft(self._long.request)
            self._long = None
        if self._long:
            self._long.begin(self._store.begin(), self._core.last_index)
            self._run_again(0)

    def _propose_batch(self, txn: Txn, batch: Batch) -> bool:
        """Propose what a batch has written, or tell its callers that it was not taken."""
        try:
            payload = txn.encode()
        except MemoryError:
            # Nothing of it has left this function.
            error = self._memory.on_error()
            batch.fail(lambda: error)
            return False
        try:
            self._propose(txn, payload, batch)
        except ProposalDropped as dropped:
            text = str(dropped)
            batch.fail(lambda: Overloaded(text))
            return False
        return True

    def _propose(self, txn: Txn, payload: bytes, batch: Batch) -> None:
        """Propose what `txn` has written.

        Raises:
            ProposalDropped: the core does not take it; nothing has changed.

        """
        index = self._core.propose(payload)
        self._store.speculate(index, txn, payload)
        self._inflight[index] = batch
        self._last_index = index
        if self._traces.fresh:
            self._traces.on_proposed(index, batch.term, len(batch.requests))
        self._pacing.on_proposed(is_full=self._has_work)
        self._propose_done()

    def _execute(self, making: Making) -> None:
        """Run operations, by turns, as many as one turn of the loop runs."""
        making.begin_turn()
        bytes_max = self._config.batch_bytes_max
        taken, self._taken = self._taken, deque()
        txn, ran = making.txn, making.ran
        while making.has_room:
            if not taken:
                count_max = making.count_max - len(ran)
                taken.extend(self._queue.take_batch(count_max, making.room_bytes))
                if not taken:
                    break
            request = taken.popleft()
            if request.is_unwanted:
                request.tell(CallerGone(f"{request.name}: nobody waits for it any more"))
                making.count_max -= 1  # to tell so many that they are dropped is work, too
                continue
            operation = request.operation
            if isinstance(operation, Changing):
                self._change = request
                break
            if isinstance(operation, Light):
                operation = operation.later
            ran.append(request)
            making.begin_operation(len(request.body))
            mark = txn.savepoint()
            try:
                outcome = operation(txn, request.body)
                if isinstance(outcome, Long):
                    assert txn.savepoint() == mark, "what is long has written nothing yet"
                    self._long = LongRun(ran.pop(), outcome, self._memory)
                    break
                request.outcome = outcome
                making.answer_bytes += len(outcome)
                if txn.size_bytes > bytes_max and txn.encoded_bytes > WRITES_BYTES_MAX:
                    raise RequestTooLarge(f"{request.name} writes more than an entry holds")
            except Refused as refusal:
                txn.rollback(mark)
                request.outcome = refusal
            except MemoryError:
                txn.rollback(mark)
                request.outcome = self._memory.on_error()
            except Exception:
                # A bug in one operation must cost its caller an answer, not everybody the
                # member: nothing of it is kept.
                txn.rollback(mark)
                making.on_failure()
                logger.exception("operation failed", extra={"operation": request.name})
                request.outcome = internal_error(request)
        self._taken = taken

    def go_on(self) -> None:
        """Take a slice of the operation that runs over many turns; to be called once a turn."""
        long = self._long
        if long is None or not self._has_room():
            return
        if not long.is_over:
            self._store.renew(long.txn)
            long.go_on()
        try:
            if long.is_entry_due:
                self._propose_parts(long)
            elif long.is_over:
                self._end_long(long)
        except ProposalDropped:
            logger.debug("a part of a long write is proposed again later")

    def _propose_parts(self, long: LongRun) -> None:
        """Propose the parts that wait; without memory for their entry it has not run.

        Raises:
            ProposalDropped: the core does not take it; nothing has changed.

        """
        txn = self._store.begin()
        try:
            long.parts.put_into(txn)
            payload = txn.encode()
        except MemoryError:
            long.drop(self._memory.on_error())
            return
        self._propose(txn, payload, Batch(self._core.term, [], is_part=True))
        long.parts.on_proposed()

    def _end_long(self, long: LongRun) -> None:
        """Have all of it take effect, or nothing; others may run again.

        Raises:
            ProposalDropped: the core does not take it; nothing has changed.

        """
        term = self._core.term
        batch = Batch(term, [long.request])
        # From here on the batch has the request: who closes must not find it in both places.
        self._long = None
        if long.is_kept and long.parts.count:
            effect = encode_effect(term, long.begun_index, long.parts.count)
            try:
                self._propose(long.txn, effect, batch)
            except ProposalDropped:
                self._long = long
                raise
        else:
            self._has_leftovers = bool(long.parts.count)
            self._answer_when_confirmed(batch)
        self._run_again(0)

    def _clear_parts(self) -> None:
        """Remove parts that will never take effect."""
        txn = self._store.begin()
        txn.delete_range(PARTS_ID, b"")
        try:
            self._propose(txn, txn.encode(), Batch(self._core.term, [], is_part=True))
        except ProposalDropped:
            return  # they do no harm, and the next turn tries again
        self._has_leftovers = False

    def _run_change(self, request: Request) -> None:
        """Run an operation that changes the configuration."""
        self._change = None
        changing = request.operation
        assert isinstance(changing, Changing), "only such operations come here"
        batch = Batch(self._core.term, [request])
        core, txn = self._core, self._store.begin()
        try:
            steps, request.outcome = changing.run(txn, request.body)
            context = txn.encode()
            index = core.propose_change(steps, context=context)
        except (Refused, ChangeRefused, ProposalDropped) as error:
            request.outcome = error if isinstance(error, Refused) else _refusal_of(error)
            self._answer_when_confirmed(batch)
            return
        except Exception:
            logger.exception("operation failed", extra={"operation": request.name})
            request.tell(internal_error(request))
            return
        configuration, _ = decode_change(core.log.slice(index, _ENTRY_BYTES)[0].payload)
        put_configuration(txn, configuration)
        self._store.speculate(index, txn, change_payload(context, configuration))
        self._inflight[index] = batch
        self._last_index = index
        self._propose_done()

    def _answer_when_confirmed(self, batch: Batch) -> None:
        """Answer a batch that wrote nothing, once all it saw is committed and we still led then.

        It saw what is proposed, too.  Nobody else's entry can take those positions in this term,
        so when they are applied and the term is the same, they are ours.  When it is not, `close`
        follows, or was, and has the requests run again.
        """
        self._unconfirmed[batch] = None
        seen_index = self._last_index

        def on_barrier(error: RoostError | None) -> None:
            if batch not in self._unconfirmed or (error is None and self._core.term != batch.term):
                return
            del self._unconfirmed[batch]
            if error is not None:
                batch.fail(lambda: error)
                return
            assert self._store.applied_index >= seen_index, "what it saw is applied"
            batch.answer()

        self._barrier(seen_index, on_barrier)

    def on_applied(self, index: int, term: int) -> None:
        """Answer the callers of the batch at `index`, now that its entry is applied."""
        batch = self._inflight.pop(index, None)
        if batch is None:
            return
        assert index == self._store.applied_index, "a caller sees what it wrote"
        if batch.is_part:
            return
        if batch.term == term:
            request_count = len(batch.requests)
            batch.answer()
            self._pacing.on_answered(request_count, self.queue_count)
        else:
            # Another leader's entry took the position: ours can never be committed.
            batch.fail(lambda: NotLeader("another leader's entry took its place"))

    def close(self) -> Iterator[Request]:
        """Leadership is lost: answer what was proposed, hand back what may run elsewhere.

        What is handed back is taken from its queue as it is asked for: there may be very much.
        """
        self._is_open = False
        batches = list(self._inflight.values())
        self._inflight.clear()
        self._last_index = 0
        self._store.drop_speculative()
        handed_back = [it for batch in self._unconfirmed for it in batch.requests]
        if self._long:
            # The entry by which it takes effect was never proposed.
            handed_back.append(self._long.request)
            self._long.close()
            self._long = None
        if self._making is not None:
            # Nothing of it was proposed.
            handed_back += self._making.ran
            self._making = None
        if self._change is not None:
            handed_back.append(self._change)
            self._change = None
        handed_back += [*self._taken, *self._lights.take_all()]
        self._taken.clear()
        queue, self._queue = self._queue, self._make_queue()
        self._queue.refused_count = queue.refused_count
        self._unconfirmed.clear()
        for batch in batches:
            self._slices.run(
                batch.failing(lambda: LeadershipLost("leadership was lost before the answer"))
            )
        return chain(handed_back, queue.take_all())


def _refusal_of(error: ChangeRefused | ProposalDropped) -> Refused:
    """Why the core takes no change, as an answer to who asked for it."""
    if isinstance(error, ProposalDropped) and error.reason is DropReason.NOT_CAUGHT_UP:
        return LearnerBehind(str(error))
    return ChangeNotTaken(str(error))
