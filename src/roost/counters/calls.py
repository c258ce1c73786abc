"""Counters over gRPC: the service `roost.Counters` (`proto/counters.proto`).

An error's text begins with its name, `CounterOverflow: ...`, and says so when nothing was counted
and asking again is safe.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
from google.protobuf.message import DecodeError, Message

from roost.call import Call, Code, Route, Stream, StreamCall, Unary
from roost.counters import forms, rights
from roost.counters.algebra import VALUE_MAX, VALUE_MIN
from roost.counters.desk import Desk
from roost.counters.errors import BadChange, BadCounterRequest
from roost.counters.operators import Operators
from roost.counters.requests import KEY_BYTES_MAX as REQUEST_KEY_BYTES_MAX
from roost.counters.rights import Needed, Rights
from roost.counters.watching import Hub, Watcher
from roost.errors import RoostError
from roost.proto import counters_pb2 as pb
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
SERVICE: Final = "roost.Counters"
# Values that are made into what is sent, in one turn (D14).
SAID_A_TURN: Final = 500
# The tag of what requests list.  What is said of one name may have the same byte so often: a tag
# more, a length and a number.  Names have none.
_LISTED: Final = b"\x0a"
LISTED_A_NAME: Final = 4
SCHEMAS = (pb.DESCRIPTOR,)
Asked = TypeVar("Asked", bound=Message)


class Failing(Protocol):
    """What can be ended with a gRPC status."""

    def fail(self, code: int, text: str) -> None: ...


class CounterService:
    """Answers calls about one member's counters."""

    def __init__(self, desk: Desk, rights: Rights, hub: Hub, operators: Operators) -> None:
        """Ask the desk, after the rights."""
        self._desk = desk
        self._operators = operators
        self._counting = desk.counting
        self._changes_max = desk.counting.limits.changes_max
        self._rights = rights
        self._hub = hub
        self._tasks = Tasks()

    def routes(self) -> dict[bytes, Route]:
        """Every method, by its path."""
        unary = {
            "Increment": self.increment,
            "Delete": self.delete,
            "Read": self.read,
            "Search": self.search,
            "Describe": self.describe,
            "Administer": self.administer,
        }
        found: dict[bytes, Route] = {
            f"/{SERVICE}/{name}".encode(): Unary(handle) for name, handle in unary.items()
        }
        found[f"/{SERVICE}/Watch".encode()] = Stream(self.watch)
        return found

    def _answer_values(
        self, call: Call, names: Sequence[str], outcome: list[int | None] | RoostError
    ) -> None:
        """Tell what came of a change; over turns, where it is of many."""
        if isinstance(outcome, RoostError):
            _fail(call, outcome)
        elif len(names) > SAID_A_TURN:
            self._start(_answer(call, names, outcome))
        else:
            values = [value_of(name, value) for name, value in zip(names, outcome, strict=True)]
            call.reply(pb.CountersResponse(values=values).SerializeToString())

    async def close(self) -> None:
        """End what still answers calls; none can come any more."""
        await self._tasks.close()

    def increment(self, call: Call, body: bytes) -> None:
        """Increment."""
        if self._refuses_unread(call, body, BadChange):
            return
        asked = _parse(call, pb.IncrementRequest, body)
        if asked is None:
            return
        if self._refuses(call, len(asked.changes)):
            return
        changes = [(it.name, it.change) for it in asked.changes]
        names = [name for name, _ in changes]
        once = forms.request_of(asked.key, body, self._counting.around.wall_s())
        done = partial(self._answer_values, call, names)
        self._admit(
            call,
            rights.of_names(names, is_write=True),
            lambda: self._desk.increment_nowait(changes, done, once),
        )

    def delete(self, call: Call, body: bytes) -> None:
        """Delete."""
        if self._refuses_unread(call, body, BadChange):
            return
        asked = _parse(call, pb.DeleteCountersRequest, body)
        if asked is None:
            return
        if self._refuses(call, len(asked.names)):
            return
        names = list(asked.names)
        once = forms.request_of(asked.key, body, self._counting.around.wall_s())
        done = partial(self._answer_values, call, names)
        self._admit(
            call,
            rights.of_names(names, is_write=True),
            lambda: self._desk.delete_nowait(names, done, once),
        )

    def _refuses_unread(
        self, call: Call, body: bytes, kind: type[BadChange | BadCounterRequest]
    ) -> bool:
        """Whether a request lists far too many: a million take 50 ms only to be read."""
        is_far = body.count(_LISTED) > LISTED_A_NAME * self._changes_max + REQUEST_KEY_BYTES_MAX
        if is_far:
            _fail(call, kind(f"far more than {self._changes_max}, the most at a time"))
        return is_far

    def _refuses(self, call: Call, count: int) -> bool:
        """Whether a request changes more than one may; it is told so before it is read."""
        if count > self._changes_max:
            _fail(call, BadChange(f"{count} changes; {self._changes_max} at most at a time"))
        return count > self._changes_max

    def read(self, call: Call, body: bytes) -> None:
        """Read."""
        if self._refuses_unread(call, body, BadCounterRequest):
            return
        asked = _parse(call, pb.ReadCountersRequest, body)
        if asked is None:
            return
        names = list(asked.names)
        if len(names) > (most := self._changes_max):
            _fail(call, BadCounterRequest(f"{len(names)} names; {most} at most at a time"))
            return
        work = self._read(call, names, is_raw=asked.raw)
        self._run(call, rights.of_names(names[: rights.ASKED_A_TURN]), work)

    async def _read(self, call: Call, names: list[str], *, is_raw: bool) -> None:
        """Whoever calls may read the first; of the others it is asked."""
        await rights.wait_admitted_to(self._rights, call, names[rights.ASKED_A_TURN :])
        values = await self._desk.read(names)
        found = await _said(names, values)
        if is_raw:
            for it, parts in zip(found, await self._desk.read_raw(names), strict=True):
                it.parts.extend(value_of(name, value) for name, value in parts.items())
                await asyncio.sleep(0)
        call.reply(await _encoded(found))

    def search(self, call: Call, body: bytes) -> None:
        """Search."""
        asked = _parse(call, pb.SearchCountersRequest, body)
        if asked is None:
            return
        limit = min(asked.limit or forms.LIST_LIMIT, forms.LIST_LIMIT_MAX)
        if limit < 0:
            _fail(call, BadCounterRequest(f"a limit of {limit}"))
            return
        work = self._search(call, asked.prefix, asked.after, limit)
        self._run(call, rights.of_prefix(asked.prefix), work)

    async def _search(self, call: Call, prefix: str, after: str, limit: int) -> None:
        listed = await self._desk.search(prefix, after, limit)
        names, values = [name for name, _ in listed.rows], [value for _, value in listed.rows]
        rest = pb.CountersResponse(more=listed.after is not None, after=listed.after or "")
        said = await _encoded(await _said(names, values))
        call.reply(said + rest.SerializeToString())

    def describe(self, call: Call, body: bytes) -> None:
        """Describe."""
        asked = _parse(call, pb.DescribeCountersRequest, body)
        if asked is None:
            return
        self._admit(
            call,
            rights.of_prefix(""),
            lambda: _say(call, self._operators.describe(asked.what)),
        )

    def administer(self, call: Call, body: bytes) -> None:
        """Administer."""
        asked = _parse(call, pb.AdministerCountersRequest, body)
        if asked is None:
            return
        self._run(call, rights.OF_ROOT, self._administer(call, asked))

    async def _administer(self, call: Call, asked: pb.AdministerCountersRequest) -> None:
        who = rights.who(call)
        said = await self._operators.administer(
            asked.what,
            who=who,
            name=asked.name,
            source=asked.source,
            is_forced=asked.force,
            is_relay=asked.relay,
        )
        _say(call, said)

    def watch(self, call: StreamCall) -> "CounterStream":
        """Watch."""
        return CounterStream(self, call)

    def follow(self, call: StreamCall, asked: pb.WatchCountersRequest) -> Watcher:
        """Tell a stream of totals that change, as long as its client takes them.

        Raises:
            RoostError: too many watch, or this member does not serve.

        """
        self._counting.check_ready()
        watcher = self._hub.watch(asked.prefix, has_missed=asked.all)
        self._tasks.start(_tell(call, watcher))
        return watcher

    def admit_watch(
        self,
        call: StreamCall,
        prefix: str,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        """Whether a stream's client may hear of these."""
        self._rights.admit(call, rights.of_prefix(prefix), allowed, refused)

    def _admit(self, call: Call, needed: Needed, go_on: Callable[[], None]) -> None:
        def allowed() -> None:
            try:
                go_on()
            except RoostError as error:
                _fail(call, error)

        self._rights.admit(call, needed, allowed, partial(_fail, call))

    def _run(self, call: Call, needed: Needed, work: Coroutine[Any, Any, None]) -> None:
        """Have a task answer a call of somebody who may."""

        def refused(error: RoostError) -> None:
            work.close()
            _fail(call, error)

        self._rights.admit(call, needed, lambda: self._start(_worked(call, work)), refused)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.start(work)


async def _worked(call: Call, work: Coroutine[Any, Any, None]) -> None:
    """Do the work of a call, which fails with it."""
    try:
        await work
    except RoostError as error:
        _fail(call, error)
    except Exception:
        logger.exception("a call about counters failed")
        call.fail(Code.INTERNAL, "internal error")


class CounterStream:
    """One client that watches."""

    def __init__(self, service: CounterService, call: StreamCall) -> None:
        """Nothing is asked yet."""
        self._service = service
        self._call = call
        self._watcher: Watcher | None = None
        self._is_asked = self._is_over = False

    def on_message(self, message: bytes) -> None:
        """What to watch; once."""
        try:
            asked = pb.WatchCountersRequest.FromString(message)
        except DecodeError:
            self._call.finish(Code.INVALID_ARGUMENT, "BadCounterRequest: it cannot be read")
            return
        if self._is_asked:
            self._call.finish(Code.INVALID_ARGUMENT, "BadCounterRequest: a stream has one request")
            return
        self._is_asked = True

        self._service.admit_watch(
            self._call, asked.prefix, partial(self._follow, asked), self._refuse
        )

    def _refuse(self, error: RoostError) -> None:
        self._call.finish(*forms.status_of(error))

    def _follow(self, asked: pb.WatchCountersRequest) -> None:
        if self._is_over:
            return
        try:
            self._watcher = self._service.follow(self._call, asked)
        except RoostError as error:
            self._refuse(error)

    def on_half_close(self) -> None:
        """There is one request only."""

    def on_cancel(self) -> None:
        """The client is gone."""
        self._is_over = True
        if self._watcher is not None:
            self._watcher.close()


async def _tell(call: StreamCall, watcher: Watcher) -> None:
    """Send what a watcher hears, no faster than it leaves; until one of the two is over."""
    try:
        async for values in watcher.events():
            if values:
                found = [value_of(name, value) for name, value in values.items()]
                call.send(pb.CountersResponse(values=found).SerializeToString())
            await watcher.wait_drained(call)
    except RoostError as error:
        watcher.close()
        call.finish(*forms.status_of(error))
        return
    if not watcher.is_cancelled:
        call.finish(Code.UNAVAILABLE, "Stopped: the stream ends here; begin another")


def value_of(name: str, value: int | None) -> pb.CounterValue:
    """A value as it is sent."""
    if value is None:
        return pb.CounterValue(name=name, missing=True)
    if VALUE_MIN <= value <= VALUE_MAX:
        return pb.CounterValue(name=name, value=value)
    return pb.CounterValue(name=name, large=str(value))


def _parse(call: Failing, kind: type[Asked], body: bytes) -> Asked | None:
    try:
        return kind.FromString(body)
    except DecodeError:
        call.fail(Code.INVALID_ARGUMENT, "BadCounterRequest: it cannot be read")
        return None


def _fail(call: Failing, error: RoostError) -> None:
    call.fail(*forms.status_of(error))


def _say(call: Call, said: dict[str, Any]) -> None:
    call.reply(pb.DescribeCountersResponse(said=msgspec.json.encode(said)).SerializeToString())


async def _answer(call: Call, names: Sequence[str], values: Sequence[int | None]) -> None:
    call.reply(await _encoded(await _said(names, values)))


async def _said(names: Sequence[str], values: Sequence[int | None]) -> list[pb.CounterValue]:
    """Values as they are sent, made over as many turns as they take."""
    found: list[pb.CounterValue] = []
    for at in range(0, len(names), SAID_A_TURN):
        if at:
            await asyncio.sleep(0)
        some = zip(names[at : at + SAID_A_TURN], values[at : at + SAID_A_TURN], strict=True)
        found += [value_of(name, value) for name, value in some]
    return found


async def _encoded(values: Sequence[pb.CounterValue]) -> bytes:
    """A response of values, encoded over as many turns: its parts stand one behind the other."""
    parts: list[bytes] = []
    for at in range(0, len(values), SAID_A_TURN):
        if at:
            await asyncio.sleep(0)
        some = pb.CountersResponse(values=values[at : at + SAID_A_TURN])
        parts.append(some.SerializeToString())
    return b"".join(parts)
