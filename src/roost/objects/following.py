"""Machines on one member: what is asked of them is written, carried out in order, and answered.

    run -> an operation where the cluster leads writes a row -> every member applies it
        -> each `Following` reads its rows in order, and has its `Replica` carry them out
        -> the member that was asked tells what came of it here

Rows are read from this member's trees, and changes of them are only the sign to look again, so it
makes no difference whether a member was told all, started again, or came behind by a snapshot of
its store: what is missing is read, and where commands are gone that a snapshot of the machine has,
the copy is made anew from that.

One lock: while it is held commands are carried out, or the machine is saved, and never both.

Full?  LAG_MAX commands may wait to be carried out where the cluster leads, then more are refused
(`MachineBehind`).
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from roost.database import (
    Change,
    MemberEnded,
    Overrun,
    Refused,
    Transaction,
    UnknownOperation,
)
from roost.database.aio import Database
from roost.errors import NotExecuted, RoostError
from roost.faces import Closed
from roost.objects.callers import Callers, Outcome
from roost.objects.errors import (
    MachineStopped,
    ResultLost,
    SnapshotFailed,
    SnapshotUnreadable,
)
from roost.objects.layouts import machines
from roost.objects.layouts.heads import HEAD, decode_head
from roost.objects.layouts.machines import (
    BEHIND,
    LAST,
    STOPPED,
    MachineHead,
    Row,
    Snapshot,
    command_key,
    decode_row,
    last_of,
    shape_of,
)
from roost.objects.machine import Declared
from roost.objects.publishing import Publisher, SnapshotPolicy
from roost.objects.replica import Replica, context_of
from roost.objects.shapes import MachineCounts, MachineStatus
from roost.outcome import in_words
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
# Commands that are carried out in one turn: about a millisecond of small ones (record 0009).
COMMANDS_A_TURN = 32
LAG_MAX = 4096


@dataclass(frozen=True, slots=True)
class Options:
    """How a machine is opened here."""

    policy: SnapshotPolicy
    wait_s: float


class Following:
    """One machine on this member; see the module."""

    def __init__(self, db: Database, name: str, declared: Declared, options: Options) -> None:
        """Nothing is read yet."""
        self.name = name
        self.declared = declared
        self.options = options
        self._db = db
        self._host = db.host
        self._shape = shape_of(name)
        self._here = db.local.tree(self._shape.tree)
        self._observation = db.observe(self._shape.tree, prefix=LAST)
        self.replica = Replica(name, declared, db.name)
        self._publisher = Publisher(db, name)
        self.callers = Callers()
        # For whoever waits until this copy has come somewhere.
        self._progress = asyncio.Event()
        self._lock, self._sending = asyncio.Lock(), asyncio.Lock()
        self._tasks = Tasks()
        self.is_closed = False
        self._snapshot: Snapshot | None = None
        # Whether this copy has had all that there was, once: before that it knows nothing.
        self._level = asyncio.Event()
        # Since the last snapshot; whether one is on its way, or when it may be tried again.
        self._since_bytes, self._not_before = 0, 0
        self._is_sending = False
        self._last_at_s = 0.0
        # The newest command that this member was told of.
        self._last_index = 0
        self._slow_count = 0
        self._snapshot_failure = ""

    @property
    def tree(self) -> str:
        """The tree that has its commands."""
        return self._shape.tree

    async def start(self) -> None:
        """Read what there is, and follow it from now on.

        Raises:
            NotYourTree, OtherCodec: something else has this name.
            Overloaded: as many observe as can.

        """
        await self._observation.__aenter__()
        try:
            await self._look_at_head()
        except BaseException:
            await self._observation.__aexit__(None, None, None)
            raise
        self._tasks.start(self._follow())

    async def wait_level(self) -> None:
        """Wait until this copy has carried out what there was when it was opened, or has ended."""
        await self._level.wait()

    async def close(self) -> None:
        """Follow it no more; whoever waits is told."""
        await self._tasks.close()
        await self._observation.__aexit__(None, None, None)
        self._end()

    async def _follow(self) -> None:
        try:
            async with aclosing(self._observation.pages()) as pages:
                await self._catch_up()
                async for page in pages:
                    self._note(page)  # what has changed is read
                    await self._catch_up()
        except (Closed, MemberEnded) as error:
            # Calls of the database say so, too.
            logger.info("the machine %r is followed no more: %s", self.name, error)
        except Exception as error:
            # Whatever it is, a device without room or a bug of ours, whoever asks is told of it.
            logger.exception("the machine %r is followed no more", self.name)
            if self.replica.stopped is None:
                self.replica.stop(MachineStopped(
                    f"the machine {self.name!r} is followed no more: {in_words(error)}; start this "
                    "member again when that is mended"))  # fmt: skip
        finally:
            self._end()

    def _note(self, page: Sequence[Change[bytes, bytes] | Overrun]) -> None:
        """Remember how far commands have come, for figures."""
        for it in page:
            if isinstance(it, Change) and it.key == LAST:
                self._last_index = last_of(it.value)

    def counts(self) -> MachineCounts:
        """A snapshot, of what is known without a read."""
        replica, snapshot = self.replica, self._snapshot
        return MachineCounts(
            applied_index=replica.applied_index,
            lag_commands=max(0, self._last_index - replica.applied_index),
            is_stopped=replica.stopped is not None,
            snapshot_index=0 if snapshot is None else snapshot.index,
            snapshot_bytes=0 if snapshot is None else snapshot.size_bytes,
            snapshot_has_failed=bool(self._snapshot_failure),
            slow_command_count=self._slow_count,
        )

    def _end(self) -> None:
        self.is_closed = True
        self._level.set()
        lost = ResultLost(f"the machine {self.name!r} is followed no more here")
        self.callers.tell_all(lambda _: lost)
        self._progress.set()

    async def _look_at_head(self) -> None:
        head = decode_head(await self._here.get(HEAD), self._shape, MachineHead)
        if head.snapshot is not None and head.snapshot != self._snapshot:
            self._snapshot, self._since_bytes = head.snapshot, 0

    async def _catch_up(self) -> None:
        """Carry out all that is here."""
        async with self._lock:
            await self._look_at_head()
            while self.replica.stopped is None and await self._go_on():
                await asyncio.sleep(0)
        self._level.set()
        if self._is_snapshot_due():
            self._is_sending = True
            self._tasks.start(self._snapshot_by_itself())

    async def _go_on(self) -> bool:
        """Carry out some; whether there may be more."""
        wanted = self.replica.applied_index + 1
        first = command_key(wanted)
        pages = self._here.pages(first=first, stop=LAST, limit=COMMANDS_A_TURN)
        rows = [it async for page in pages for it in page]
        snapshot = self._snapshot
        is_first = wanted == 1 and snapshot is not None  # to load is less than to carry out all
        if is_first or (rows[0][0] != first if rows else self._is_ahead(wanted)):
            await self._load()
            return True
        for _, content in rows:
            self._carry_out(decode_row(content), len(content))
            if self.replica.stopped is not None:
                return False
        self._tell_progress()
        return len(rows) == COMMANDS_A_TURN

    def _is_ahead(self, wanted: int) -> bool:
        return self._snapshot is not None and self._snapshot.index >= wanted

    def _carry_out(self, row: Row, size_bytes: int) -> None:
        replica = self.replica
        begun_s = self._host.clock_s()
        done = replica.carry_out(row)
        took_s = self._host.clock_s() - begun_s
        if took_s > self._host.hold_s:
            self._slow_count += 1
            logger.warning("command %s of the machine %r held the member up for %.0f ms: do less "
                           "in it", row.command, self.name, 1000 * took_s)  # fmt: skip
        self._since_bytes += size_bytes
        self._last_at_s = row.at_s
        if done is not None:
            self.callers.tell(row.call, done.said)
        elif replica.stopped is not None:
            logger.error("%s", replica.stopped, exc_info=replica.stopped)
            self.callers.tell(row.call, replica.stopped)
            lost = ResultLost(f"{replica.stopped}; this command is in the log behind it")
            self.callers.tell_all(lambda _: lost)
            self._tell_progress()

    def _tell_progress(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    async def _load(self) -> None:
        """Make the copy anew from the snapshot that is here."""
        tried: Snapshot | None = None
        while True:
            await self._look_at_head()
            snapshot = self._snapshot
            if snapshot is None or snapshot == tried:
                self.replica.stop(SnapshotUnreadable(
                    f"the machine {self.name!r} lacks commands behind "
                    f"{self.replica.applied_index}, and no snapshot has them whole"))  # fmt: skip
                break
            fresh = Replica(self.name, self.declared, self._db.name)
            try:
                if not await self._publisher.load(fresh, snapshot):
                    tried = snapshot  # a newer one may have taken its place meanwhile
                    continue
                self.replica, self._since_bytes = fresh, 0
            except SnapshotUnreadable as error:
                self.replica.stop(error)
            break
        replica = self.replica
        if replica.stopped is not None:
            logger.error("%s", replica.stopped, exc_info=replica.stopped)
        self.callers.tell_all(self.passed)
        self._tell_progress()

    def passed(self, index: int) -> Outcome | None:
        """What is known of a command that this copy has gone past, or never will come to."""
        replica = self.replica
        if index <= replica.applied_index:
            lost = ResultLost(f"command {index} was carried out: this copy goes on from a snapshot "
                              "that has it")  # fmt: skip
            return replica.result_of(index) or lost
        if replica.stopped is not None:
            return ResultLost(f"{replica.stopped}; this command is in the log behind it")
        return None

    async def wait_for(self, index: int) -> None:
        """Wait until this copy has come to `index`.

        Raises:
            MachineStopped: it has stopped.
            NotExecuted: it has not come so far in time.
            Closed: it is followed no more.

        """
        try:
            async with asyncio.timeout(self.options.wait_s):
                while self.replica.applied_index < index and self.replica.stopped is None:
                    self._host.check()
                    if self.is_closed:
                        raise Closed(f"the machine {self.name!r} is followed no more here")
                    await self._progress.wait()
        except TimeoutError:
            raise NotExecuted(f"the machine {self.name!r} here is behind: it has not come to "
                              f"command {index} in {self.options.wait_s} s") from None  # fmt: skip
        self.check()

    def check(self) -> None:
        """Refuse to go on when this copy has stopped.

        Raises:
            MachineStopped: it has.

        """
        stopped = self.replica.stopped
        if stopped is not None:
            raise type(stopped)(str(stopped))  # anew: it is told more than once

    def append(
        self, txn: Transaction, command: str, body: bytes, call: bytes, *, is_kept: bool
    ) -> int:
        """Write a command, where the cluster leads; its index.

        Raises:
            Refused: it cannot be; `code` says why, or it is the validator's.

        """
        replica, declared = self.replica, self.declared
        if replica.stopped is not None:
            raise Refused(str(replica.stopped), code=STOPPED)
        known = declared.commands.get(command)
        if known is None:
            raise UnknownOperation(f"the member that leads has a machine {self.name!r} without a "
                                   f"command {command!r}: upgrade it")  # fmt: skip
        # What no copy could carry out would stop them all.
        known.check(body)
        origin = self._host.origin()

        def make(index: int) -> Row:
            lag = index - 1 - replica.applied_index
            if self.is_closed or not self._level.is_set() or lag >= LAG_MAX:
                raise Refused(f"the machine {self.name!r} where the cluster leads is behind by "
                              f"{lag} commands", code=BEHIND)  # fmt: skip
            row = Row(
                command=command,
                body=body,
                call=call,
                is_kept=is_kept,
                member=origin.member,
                term=origin.term,
                commit_index=origin.commit_index,
                at_s=origin.at_s,
                version=declared.kind.version,
                checked_index=replica.applied_index,
                digest=replica.digest,
            )
            if (validator := declared.validators.get(command)) is not None:
                known.validate(validator, replica.machine, context_of(row, index), body)
            return row

        return machines.append(txn, self.name, make)

    def _is_snapshot_due(self) -> bool:
        replica = self.replica
        return (
            self.declared.has_snapshots
            and replica.stopped is None
            and replica.applied_index >= self._not_before
            and not self._is_sending
            and self.options.policy.is_due(
                self._snapshot, replica.applied_index, self._since_bytes, self._last_at_s
            )
            and self._host.is_leader
        )

    async def _snapshot_by_itself(self) -> None:
        try:
            await self.snapshot()
        except RoostError as error:
            # The commands are all there still, and the next one is tried after some more of them.
            policy = self.options.policy
            self._not_before = self.replica.applied_index + max(1, policy.commands // 10)
            self._snapshot_failure = str(error)
            logger.warning("no snapshot of the machine %r was made: %s", self.name, error)
        finally:
            self._is_sending = False

    async def snapshot(self) -> int:
        """See `MachineHandle.snapshot`."""
        self._host.check()
        if not self.declared.has_snapshots:
            raise SnapshotFailed(f"{self.declared.kind.__name__} has no `save` and `load`")
        async with self._sending:
            async with self._lock:
                self.check()
                held = self._snapshot
                if held is not None and held.index >= self.replica.applied_index:
                    return held.index
                saved = await self._publisher.save(self.replica, self._last_at_s)
            with saved.file:
                sent = await self._publisher.send(saved, self.options.policy.tail)
            self._snapshot_failure = ""
            await self._look_at_head()
            return saved.index if sent is None else sent.index

    async def status(self) -> MachineStatus:
        """See `MachineHandle.status`."""
        self._host.check()
        await self._look_at_head()
        replica, snapshot = self.replica, self._snapshot
        return MachineStatus(
            name=self.name,
            applied_index=replica.applied_index,
            last_index=last_of(await self._here.get(LAST)),
            snapshot_index=0 if snapshot is None else snapshot.index,
            snapshot_bytes=0 if snapshot is None else snapshot.size_bytes,
            stopped="" if replica.stopped is None else str(replica.stopped),
            snapshot_failure=self._snapshot_failure,
            slow_command_count=self._slow_count,
        )
