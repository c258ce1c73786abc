"""A member inside a program: opened, asked, and ended without ending the program.

`roost serve` ends its process when a member cannot trust its device or its state.  A program is
not ours to end: here the member ends alone.  It takes no more turns from that moment (`Loop.fail`),
whoever waits is told what is known of his request, and every later call raises `MemberEnded`.  What
was found to be damaged is marked, so that opening the directory again sees to it.

One event loop owns all of it; what is asked from another one is refused.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from roost import errors
from roost.database.answers import RUN_OPERATION, decode_answer, encode_asked, of_members
from roost.database.cluster import (
    MemberChange,
    MemberRecord,
    decode_members,
    encode_change,
    operation_of,
)
from roost.database.deriving import Deriving
from roost.database.errors import MemberEnded, MemberLost, Refused, WrongLoop
from roost.database.limits import Limits
from roost.database.listening import Listening
from roost.database.moments import CLOCKS_MAX
from roost.database.observing import Observing
from roost.database.operations import Operation
from roost.database.runner import Runner
from roost.errors import CallerFault, RoostError
from roost.faces import Closed, Forked
from roost.figures import Family
from roost.member import (
    Backup,
    Member,
    MemberConfig,
    StoreDamaged,
    World,
    mark_damaged,
    mark_suspect,
    open_member,
    save,
)
from roost.outcome import Outcome, settle_future
from roost.settings import Settings
from roost.store import StoreSuspect, Txn
from roost.tasks import Tasks

logger = logging.getLogger(__name__)


class Rooms(Protocol):
    """What else stands on a member, and starts and stops with it: etcd's services, their ports."""

    async def start(self) -> None:
        """Start the member and what stands on it."""

    async def stop(self) -> None:
        """Stop what stands on it, hand leadership over, and stop the member."""


@runtime_checkable
class Served(Protocol):
    """Rooms that can be served to clients."""

    async def serve(self, client_urls: Sequence[str] | None, metrics_urls: Sequence[str]) -> None:
        """Listen at these URLs; None = where the settings say.

        Raises:
            BadSetting, CannotListen: one cannot be listened at; none is then.

        """


class Builder(Protocol):
    """Who builds these rooms."""

    def bootstrap(self, txn: Txn) -> None:
        """Write the first content of an empty store."""

    def check(self, settings: Settings) -> None:
        """See that the settings can be used, before anything is opened.

        Raises:
            BadSetting: one cannot be.

        """

    def build(self, embedded: "Embedded", settings: Settings) -> Rooms:
        """Build them on a member that has been opened, and has not started."""


class Bare:
    """Nothing but the database itself."""

    def bootstrap(self, txn: Txn) -> None:
        """There is nothing to begin with: trees are made when they are written."""

    def check(self, settings: Settings) -> None:
        """Nothing of them is used."""

    def build(self, embedded: "Embedded", settings: Settings) -> Rooms:
        """The member alone."""
        del settings
        return embedded.member


class Embedded:
    """One member and what a database asks of it."""

    def __init__(self, config: MemberConfig, world: World, limits: Limits) -> None:
        """Use `open`."""
        self.limits = limits
        self._config = config
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._pending: dict[asyncio.Future[Any], None] = {}
        self._ended: str = ""
        self._is_open = self._is_closed = False
        self._closing: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self.member: Member
        self.rooms: Rooms
        self.runner: Runner
        self.observing: Observing
        self.listening: Listening
        self.deriving: Deriving
        # Figures of rooms above, which `server.figures` shows with the member's.
        self.shown: list[Callable[[], Sequence[Family]]] = []
        # Called when nothing of the member is left.
        self.on_closed: Callable[[], None] = lambda: None

    @classmethod
    async def open(
        cls,
        config: MemberConfig,
        world: World,
        *,
        settings: Settings,
        builder: Builder,
        operations: Mapping[str, Operation[Any, Any]],
        limits: Limits,
        joins: bool = False,
        is_forced: bool = False,
        on_fatal: Callable[[BaseException], None] | None = None,
        on_removed: Callable[[], None] | None = None,
    ) -> "Embedded":
        """Open the member's directory, start it, and take part.

        Without `on_fatal` and `on_removed` the member ends alone when it fails, or is removed.

        Raises:
            RoostError, OSError: as `roost.member.open_member` and `Member.start`; nothing runs.

        """
        found = cls(config, world, limits)
        member = found.member = await open_member(
            config,
            bootstrap=builder.bootstrap,
            on_fatal=on_fatal or found._on_fatal,
            world=world,
            joins=joins,
            is_forced=is_forced,
        )
        found.rooms = member
        try:
            member.on_removed = on_removed or found._on_removed
            found.runner = Runner(
                operations,
                limits,
                clock_s=world.clock_s,
                wall_s=world.wall_s,
                clock_number=world.dice.below(CLOCKS_MAX),
            )
            member.register(RUN_OPERATION, found.runner.run)
            found.observing = Observing(member, check=found.check)
            found.listening = Listening(member, check=found.check)
            found.deriving = Deriving(member, world, limits, check=found.check)
            found.rooms = builder.build(found, settings)
            await found.rooms.start()
        except BaseException:
            await member.stop()
            raise
        found._is_open = True
        if found._ended:
            await found.close()
            raise MemberEnded(f"{found._ended}; open it again")
        return found

    @property
    def world(self) -> World:
        """What the member finds around it."""
        return self._world

    def check(self) -> None:
        """Refuse a call that could get no answer.

        Raises:
            Closed, Forked, WrongLoop, MemberEnded: see there.

        """
        if self._process != os.getpid():
            raise Forked("the database was opened before this process was forked: open it here, "
                         "after the fork, on a directory of its own")  # fmt: skip
        if self._is_closed:
            raise Closed("the database was closed: open it again")
        if self._ended:
            raise MemberEnded(f"{self._ended}; close the database, and open it again")
        try:
            is_ours = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_ours = False
        if not is_ours:
            raise WrongLoop("the database belongs to the event loop that opened it: call it there, "
                            "or use the blocking face, roost.open, from other threads")  # fmt: skip

    async def ask(self, name: str, arguments: bytes, once: bytes | None) -> bytes:
        """Run an operation on the member that leads; its result.

        Raises:
            Refused: it said no.
            OutcomeUnknown: it may have happened.
            NotExecuted: it did not run.

        """
        self.check()
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._pending[future] = None

        def done(outcome: Outcome) -> None:
            settle_future(future, outcome)

        body = encode_asked(name, arguments, once)
        try:
            self.member.transact_nowait(RUN_OPERATION, body, done)
            answer = await future
        except RoostError as error:
            raise of_members(error) from error
        finally:
            self._pending.pop(future, None)
        return decode_answer(answer)

    async def save(self, path: Path) -> Backup:
        """Save a backup of everything that was acknowledged before.

        Raises:
            NoLeader: nobody could say what that is in time.
            SnapshotFailed, BackupFailed: it could not be made; the text says why.

        """
        await self.barrier()
        return await save(self.member.files, path)

    async def change_members(self, change: MemberChange) -> list[MemberRecord]:
        """Change who is in the cluster; who is then, the one that was added first.

        Raises:
            Refused: the member says no; `code` is the name that it gives to why.
            OutcomeUnknown, NotExecuted: as `ask`.

        """
        self.check()
        try:
            answer = await self.member.transact(operation_of(change), encode_change(change))
        except errors.Refused as refusal:
            raise Refused(str(refusal), code=type(refusal).__name__) from refusal
        return decode_members(answer)

    async def move_leader(self, member_id: int) -> None:
        """Have another member lead.

        Raises:
            Refused: this member does not lead, or that one cannot.
            OutcomeUnknown: it has not happened in time.

        """
        self.check()
        if self.member.leader_id != self.member.member_id:
            raise Refused("another member leads: ask there", code="NotLeader")
        if member_id == self.member.member_id:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        try:
            self.member.transfer_leadership(member_id, lambda error: settle_future(future, error))
        except CallerFault as fault:
            raise Refused(str(fault), code=type(fault).__name__) from fault
        await future

    async def barrier(self) -> None:
        """Wait until this member's trees hold everything acknowledged before.

        Raises:
            NoLeader: nobody could say so in time.

        """
        self.check()
        future: asyncio.Future[None] = self._loop.create_future()
        self._pending[future] = None
        try:
            self.member.read_nowait(lambda error: settle_future(future, error))
            await future
        finally:
            self._pending.pop(future, None)
        # It may have ended since the future was told: who reads now would find closed files.
        self.check()

    def _on_fatal(self, error: BaseException) -> None:
        """The member cannot go on; it takes no more turns already."""
        if self._ended:
            return
        self._ended = f"the member in this process has stopped itself: {error}"
        logger.critical("%s", self._ended, exc_info=error)
        try:
            if isinstance(error, StoreDamaged):
                mark_damaged(self._config, str(error), self._world)
            elif isinstance(error, StoreSuspect):
                mark_suspect(self._config, str(error), self._world)
        except (RoostError, OSError):
            logger.exception("what is damaged could not be marked")
        self._end_soon()

    def _end_soon(self) -> None:
        """End, but not here: we may be deep inside the member; and what is opened ends itself."""
        if self._is_open:
            self._loop.call_soon(self._start_end)

    def _on_removed(self) -> None:
        """The cluster has removed this member for good."""
        if not self._ended:
            self._ended = "this member was removed from its cluster for good"
            self._end_soon()

    def _start_end(self) -> None:
        if self._closing is None:
            self._closing = self._tasks.start(self._end())

    async def _end(self) -> None:
        """Stop everything, and leave nobody waiting, whatever fails meanwhile."""
        try:
            await self.rooms.stop()
        except (RoostError, OSError):
            if not self._ended:
                raise
            logger.exception("a member that has stopped itself could not be stopped in order")
            self.member.abandon()
            self.member.journal.abandon()
        finally:
            try:
                await self.deriving.close()
            finally:
                self._lose(self._ended or "the database was closed")
                self.on_closed()

    def _lose(self, why: str) -> None:
        """Whoever waits is told that nobody knows; who observes is at the end."""
        self.observing.close()
        self.listening.close()
        for future in list(self._pending):
            settle_future(future, MemberLost(f"{why} before the answer"))

    def on_crash(self) -> None:
        """The member was ended from outside, as a crash ends it: nobody is answered any more."""
        self._ended = self._ended or "the member is gone"
        self.deriving.abandon()
        self._lose(self._ended)

    def check_closable(self) -> None:
        """Raise WrongLoop on another loop than ours, which goes on with it."""
        is_ours = self._process == os.getpid()
        if is_ours and asyncio.get_running_loop() is not self._loop:
            raise WrongLoop("the database belongs to the event loop that opened it: close it there")

    async def close(self) -> None:
        """Hand leadership over, stop, and close all files; more than once does nothing.

        Raises:
            WrongLoop: it is another loop's, which goes on with it.
            RoostError, OSError: what could not be closed; nothing runs all the same.

        """
        if self._process != os.getpid():
            return  # none of it came along
        self.check_closable()
        self._is_closed = True
        self._start_end()
        assert self._closing is not None, "it was started"
        with suppress(asyncio.CancelledError):
            await asyncio.shield(self._closing)
            return
        # Whoever does not want to wait any more must not leave half a member behind.
        await self._closing
        raise asyncio.CancelledError
