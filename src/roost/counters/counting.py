"""One member's counters, driven: a directory, links to the other members, and who asks.

Everything happens on the member's loop but the opening of the store and its larger steps, or all
of them where the disk is slow (`pace`), which are made durable beside it.  A turn does a bounded
part (D14): a message of a partner, some slices of what clients ask (`work`), one message with rows;
the rest follows in the next ones.  While a step is written all that comes in gathers for the next
one, so one sync is shared by all of it.

    ABSENT     nobody has counted anywhere yet: there is no directory
    OPENING    somebody has, or there is one
    OPEN
    BROKEN     the device failed, or the directory is a copy, or the name another's: nothing is
               promised until the member is started again; where the disk was full, it is opened
               again by itself

A member counts whether it reaches anybody or not; it asks to be known under its name until it is.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from roost.counters import changing, incoming, messages
from roost.counters.alarms import Alarms
from roost.counters.changing import Steps
from roost.counters.early import Early
from roost.counters.environment import Trees
from roost.counters.errors import (
    CounterStoreError,
    CounterStoreFull,
    MalformedCounters,
    OwnerForked,
    OwnerRefused,
)
from roost.counters.exchange import OUTSIDE, Exchange
from roost.counters.facts import Admission
from roost.counters.incoming import Arrived, Incoming
from roost.counters.joining import Phase
from roost.counters.known import Known
from roost.counters.linking import Meeting
from roost.counters.logged import LoggedTrees
from roost.counters.messages import Message
from roost.counters.outgoing import Stage
from roost.counters.outside import Outside
from roost.counters.pace import Pace
from roost.counters.ports import Around, Chance, Counts, Options, Replica, State, dice, entropy
from roost.counters.seeding import Seeding
from roost.counters.store import Step, Store
from roost.counters.visiting import Told, Visiting
from roost.counters.work import ANSWERS_A_TURN, Done, Work
from roost.errors import RoostError, Stopped
from roost.slices import Slices
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
# For ever (`member/protocol.py`): one message of `messages`.
FRAME_KIND: Final = 64
LOOK_S: Final = 0.1
# How long after the disk was full the store is opened again.
REOPEN_S: Final = 5.0


class Counting:
    """The counters of one member.  Made before it starts; closed before it is stopped."""

    def __init__(
        self,
        replica: Replica,
        around: Around,
        directory: Path,
        *,
        name: str,
        chance: Chance,
        options: Options | None = None,
        open_trees: Callable[[], Trees] | None = None,
    ) -> None:
        """They lie in `directory`, and this member counts under `name`."""
        self.replica = replica
        self.around = around
        self.name = name
        self._directory = directory
        self.chance = chance
        self._open_trees = open_trees or partial(LoggedTrees, directory)
        self.state = State.ABSENT
        options = options or Options()
        self.limits = options.limits
        self.known = Known(replica)
        self._meeting = Meeting(replica)
        self.seeding = Seeding(options.seed, is_silent=options.is_silent)
        self.alarms = Alarms(replica.tell, options.behind_s_max)
        self.counts = Counts()
        self.work = Work()
        self.store: Store | None = None
        self.exchange: Exchange | None = None
        self.error: RoostError | None = None
        # Told the names of what has become durable.
        self.observers: list[Callable[[list[bytes]], None]] = []
        # What a thread has opened, whether it was waited for or not.
        self._made: Store | None = None
        self._is_stopped = self._is_turn_due = self._is_unfed = self._is_aside = False
        self.pace = Pace()
        # Called with each look while the store is open.
        self.lookers: list[Callable[[], None]] = []
        self._reopen_at_s = 0.0
        self._telling = Slices(ANSWERS_A_TURN)
        self._early = Early(self._telling)
        self._incoming = Incoming()
        self._visiting = Visiting()
        self.outside = Outside(
            options.open_way, options.cluster, self._hear, self._on_lost, self._on_task_error
        )
        self._step_is_due = asyncio.Event()
        self._tasks = Tasks(self._on_task_error)
        self._beside = Tasks()
        replica.register_frame(FRAME_KIND, self._on_frame)
        replica.hear_links(self._on_link)
        replica.every(LOOK_S, self._look)

    # Its life.

    def start(self) -> None:
        """Open what is there already; the member has started."""
        if self._directory.exists():
            self._open()

    async def close(self) -> None:
        """Make durable what was changed, and close the store; who waits is told that it stops."""
        self._is_stopped = True
        await self.outside.close()
        await self._beside.close()
        await self._tasks.close()
        is_whole = self.error is None and not self.work.is_amid
        self._fail(Stopped("this member stops"))
        self._telling.finish()
        if self._made is None:
            return
        try:
            if is_whole:
                self._made.perform()
        except CounterStoreError:
            logger.exception("what was counted last could not be made durable")
        finally:
            self._made.close()

    def abandon(self) -> None:
        """End as a crash would; for simulators and tests."""
        self._is_stopped = True
        self.outside.abandon()
        self._beside.cancel()
        self._tasks.cancel()
        if self._made is not None:
            self._made.close()

    def _open(self) -> None:
        if self.state is State.ABSENT and not self._is_stopped:
            self.state = State.OPENING
            self._tasks.start(self._run())

    def _make(self) -> bool:
        """Open the store, on a thread; whether it is new."""
        trees = self._open_trees()
        try:
            is_new = trees.get("meta", b"state") is None
            self._made = Store.open(trees, partial(entropy, self.chance), limits=self.limits)
        except BaseException:
            trees.close()  # it may be opened again, when there is room
            raise
        return is_new

    async def _run(self) -> None:
        """Open the store, and make durable what is changed, step by step."""
        try:
            is_new = await self.around.run_aside(self._make)
            store = self._made
            assert store is not None, "it was made"
            self._begin(store, is_new=is_new)
            while self.error is None:
                step = self.work.step
                if step is None or not self._is_aside:
                    self._step_is_due.clear()
                    await self._step_is_due.wait()
                    continue
                await self.around.run_aside(partial(self._write, store, step))
                self._is_aside = False
                store.finish(step)
                self._on_durable(store, step)
        except CounterStoreError as error:
            self._break(error)

    def _write(self, store: Store, step: Step) -> None:
        began_s = self.around.clock_s()
        is_quick = store.is_quick(step)
        store.write(step)
        if is_quick:
            self.pace.note(self.around.clock_s() - began_s)

    def _write_here(self, store: Store, step: Step) -> None:
        """Make a small step durable, in this turn: `pace`."""
        self._write(store, step)
        store.finish(step)
        self._on_durable(store, step)

    def _begin(self, store: Store, *, is_new: bool) -> None:
        self.store, self.state = store, State.OPEN
        self._is_aside = False
        exchange = self.exchange = Exchange(store, partial(dice, self.chance))
        self.look_at_facts(is_forced=True)
        others = [it for it in self.known.facts.counting() if it.epoch != store.epoch]
        if is_new and others:
            # Links bring what the others count; a seed has what is left of those who are gone.
            self.seeding.begin(exchange)
        # It may be that this member has not applied yet that others count.
        self._is_unfed = is_new and not others
        self._look()

    def _on_durable(self, store: Store, step: Step) -> None:
        self.work.step = None
        self.counts.steps += 1
        self.work.answer(store.durable_step)
        if self.observers:
            changed = [*step.layer.parts, *step.layer.tombstones]
            for it in self.observers:
                it(changed)
        self._schedule()

    def _on_task_error(self, error: BaseException) -> None:
        """A bug of ours: nothing can be promised any more."""
        logger.critical("the counters of this member have failed", exc_info=error)
        self._break(CounterStoreError(f"a fault of ours: {type(error).__name__}: {error}"))

    def _break(self, error: RoostError) -> None:
        """Promise nothing any more."""
        if self.error is not None:
            return
        text = self.known.facts.named(str(error))
        logger.error("the counters of this member, %s, stop: %s", self.name, text)
        self.error, self.state = error, State.BROKEN
        self.outside.end_all()
        self._fail(error)
        self._step_is_due.set()
        self._reopen_at_s = self.around.clock_s() + REOPEN_S

    def _fail(self, error: RoostError) -> None:
        self._early.fail(error)
        self._telling.run(self.work.failing(error, self.store.durable_step if self.store else 0))
        self._incoming.clear()
        self._visiting.fail(error)

    def _reopen(self) -> None:
        """There may be room again: the store is opened anew, by what is durable."""
        if len(self._tasks):
            return  # a thread is in it still
        if self._made is not None:
            self._made.close()
        self._made = self.store = self.exchange = self.error = self.work.step = None
        self.state = State.ABSENT
        self._open()

    # What clients ask.

    def change_nowait(self, count: int, begin: Callable[[Store], Steps], done: Done) -> None:
        """Have so many changes made, as soon as clients are served; `done` is called once."""
        self.counts.requests += 1

        def go_on(error: RoostError | None) -> None:
            if refusal := error or self._refusal():  # who waited may have been let on too late
                self.work.refuse(done, refusal)
                return
            self.counts.changes += count
            self.work.ask(count, begin, done)
            self._schedule()

        self.when_ready(go_on)

    def _refusal(self) -> RoostError | None:
        """Why nothing is counted here any more, if that is so."""
        return self.error or (Stopped("this member stops") if self._is_stopped else None)

    def when_ready(self, go_on: Callable[[RoostError | None], None]) -> None:
        """Go on when clients are served, or with the error why they are not in time."""
        refusal, joining = self._refusal(), None if self.exchange is None else self.exchange.joining
        phase = None if joining is None else joining.phase
        if refusal is not None:
            go_on(refusal)
        elif phase is Phase.READY:
            go_on(None)
        elif joining is not None and phase is Phase.SILENT:
            go_on(joining.refusal())
        else:
            self._early.wait(go_on, self.around.clock_s())
            self._open()

    def check_ready(self) -> Store | None:
        """The store, for a read; None = nobody has counted here yet, or it is being opened.

        Raises:
            NotReady: it lacks what others have.
            RoostError: it is broken.

        """
        if self.error is not None:
            raise self.error
        if self.exchange is not None and (error := self.exchange.joining.refusal()) is not None:
            raise error
        return self.store

    def work_nowait(self, begin: Callable[[Store], Steps], done: Done) -> None:
        """Have something done to the open store between requests of clients, as one of them."""
        self.work.ask(changing.SLICE_CHANGES, begin, done)
        self._schedule()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task run for as long as the counters do."""
        if self._is_stopped:
            work.close()
        else:
            self._beside.start(work)

    def ask_reports(self) -> None:
        """Ask all members how far they have heard everybody: `Exchange.reports`."""
        if self.exchange is not None:
            self.exchange.ask_reports()
            self._schedule()

    def serve(self) -> None:
        """Serve clients as soon as everything is here; nobody wants it silent any more.

        Raises:
            RoostError: it is broken.

        """
        if self.error is not None:
            raise self.error
        if self.exchange is not None:
            self.exchange.joining.serve()
            self._schedule()

    # Turns.

    def _schedule(self) -> None:
        if not self._is_turn_due and not self._is_stopped:
            self._is_turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_turn_due = False
        store, exchange = self.store, self.exchange
        if store is None or exchange is None or self.error is not None or self._is_stopped:
            return
        try:
            self._take_message(exchange)
            self.counts.rows_received += self._visiting.take(exchange)
            self.work.take_turn(store)
            self._send(exchange)
            step = self.work.step
            if step is not None and not self._is_aside:
                if self.pace.is_inline and store.is_quick(step):
                    self._write_here(store, step)
                else:
                    self._is_aside = True
                    self._step_is_due.set()
        except CounterStoreError as error:
            self._break(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, what is counted is in doubt
            self._on_task_error(error)
            return
        self.work.answer(store.durable_step)
        self._visiting.answer(store.durable_step)
        if (
            self._incoming
            or self._visiting
            or exchange.has_more
            or self.work.is_due(store.durable_step)
        ):
            self._schedule()

    def _take_message(self, exchange: Exchange) -> None:
        arrived = self._incoming.take()
        if arrived is None:
            return
        partner = arrived.partner
        rest = None
        try:
            rest = exchange.take(partner, arrived.message, self.around.clock_s())
        except MalformedCounters as error:
            self.counts.messages_malformed += 1
            logger.warning("what member %x sends of its counters: %s", partner, error)
        self.counts.rows_received += messages.rows_in(arrived.message)
        if rest is not None:
            self.counts.rows_received -= messages.rows_in(rest)
            self._incoming.put_first(Arrived(partner, rest, arrived.size))
        link = exchange.links.get(partner)
        if link is not None and link.stage is Stage.REFUSED and link.is_forked:
            # What this member counts might be what others have as something else already.
            raise OwnerForked(f"{self.name}: {link.last_error}")

    def _send(self, exchange: Exchange) -> None:
        now_s = self.around.clock_s()
        for letter in exchange.take_messages(now_s):
            if letter.partner < 0:
                self.outside.post(letter)
                self.counts.rows_sent += letter.rows_count
                continue
            is_sent = self.replica.send_frame(letter.partner, FRAME_KIND, [letter.data])
            self.counts.rows_sent += is_sent * letter.rows_count
            if not is_sent:
                exchange.on_unsent(letter, now_s)

    def _on_frame(self, sender: int, body: bytes) -> None:
        """A partner has sent something.

        Raises:
            MalformedCounters: it is nothing that a partner says.

        """
        self._hear(sender, messages.decode(body), len(body))

    def _hear(self, partner: int, message: Message, size: int) -> None:
        self.counts.bytes_received += size
        self._open()
        count_max = incoming.COUNT_MAX if self.state is State.OPEN else incoming.EARLY_MAX
        arrived = Arrived(partner, message, size)
        if self.error is None and self._incoming.put(arrived, count_max):
            self._schedule()
        else:
            self.counts.messages_dropped += 1  # it comes again

    def visit_nowait(self, message: Message, size: int, told: Told) -> None:
        """Take what a member of another cluster tells; `told` is called once."""
        self._open()
        if refusal := self._refusal():
            told(refusal)
            return
        self.counts.bytes_received += size
        self._visiting.ask(message, size, told)  # while the store is being opened, too
        self._schedule()

    def _on_lost(self, partner: int, reason: str) -> None:
        if self.exchange is not None:
            self.exchange.on_lost(partner, self.around.clock_s(), reason)

    def _on_link(self, partner: int) -> None:
        if self.exchange is not None:
            self.exchange.on_link(partner, self.around.clock_s())
            self._schedule()

    # What is decided, and who is there.

    def _look(self) -> None:
        if self._is_stopped:
            return
        now_s = self.around.clock_s()
        if isinstance(self.error, CounterStoreFull) and now_s >= self._reopen_at_s:
            self._reopen()
        self.look_at_facts()
        exchange, store = self.exchange, self.store
        if self.error is not None:
            return
        if exchange is None or store is None:
            if self.known.facts.owners:
                self._open()
            return
        here = {it.id for it in self.replica.members()}
        partners = here - {self.replica.member_id}
        for gone in set(exchange.members()) - partners:
            exchange.unlink(gone)
        for new in sorted(partners - exchange.links.keys()):
            exchange.link(new, now_s, name=self.name)
        self.outside.look(exchange, self.known.facts, self.name, now_s)
        self._meeting.look(self.known.facts, exchange.met)
        # Of one member the last who was admitted counts there; who counted before never says more.
        sources = {it.member_id: it for it in self.known.facts.counting()}
        others = [sources[it] for it in sorted(partners & sources.keys())]
        self.seeding.look(exchange, others, now_s)
        exchange.joining.look([it.epoch for it in others])
        self.alarms.look(exchange, now_s, self.partner_name)
        self._early.look(exchange.joining.refusal(), now_s)
        self._ask_admission(store, exchange)
        self.known.introduce(store.owners.introduced(), now_s)
        for look in self.lookers:
            look()
        self._schedule()

    def look_at_facts(self, *, is_forced: bool = False) -> None:
        """See what is decided for all, and do what cannot wait."""
        is_other = self.known.look()
        store, exchange = self.store, self.exchange
        if store is None or exchange is None or not (is_other or is_forced):
            return
        exchange.retired = gone = self.known.facts.retired()
        exchange.member_of = {it.epoch: it.member_id for it in self.known.facts.owners}
        if self._is_unfed and self.known.facts.owners:
            self._is_unfed = False
            owners = self.known.facts.counting()
            if owners and owners[0].epoch != store.epoch:
                self.seeding.begin(exchange)  # others were there first
        if store.epoch in gone:
            self._break(OwnerRefused(f"{self.name!r} was retired, and counts no more"))

    def partner_name(self, partner: int) -> str:
        """A member by its number, one of another cluster by its URL, or by what it is called."""
        if partner > 0:
            return f"{partner:x}"
        if partner > OUTSIDE:
            return self.outside.url_of(partner)
        epochs = {} if self.store is None else self.store.owners.epochs
        return self.known.facts.name_of(epochs.get(OUTSIDE - partner, b""))

    def _ask_admission(self, store: Store, exchange: Exchange) -> None:
        asked = Admission(
            name=self.name,
            epoch=store.epoch,
            member_id=self.replica.member_id,
            is_ready=exchange.joining.phase is Phase.READY,
        )
        self.known.ask(asked, self._break)
