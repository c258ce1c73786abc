"""Calls over several endpoints: which one is asked, until when, and who is asked instead.

- A call has a deadline, and within it is made again, after pauses of random length, when a member
  turned it away before it ran, or when it changes nothing if it is made twice.
- A call that changes nothing when it is made twice is also made at the next endpoint when one is
  slow to answer: the first answer counts, and a frozen member costs a part of the deadline only.
- Any other call goes to another endpoint only when it certainly was not sent, or was turned away.
- Calls are spread over the endpoints that answer, or stay at the one that answered last (`order`).
- A stream is one try at one endpoint.  When it breaks, the next try is at the next endpoint; how
  it goes on without a gap is the business of whoever knows what is in it.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from roost.client.backoff import Backoff
from roost.client.channel import CallFailed, Channel, Manners, Metadata
from roost.client.endpoints import Endpoint, parse_endpoints
from roost.client.errors import (
    LATE,
    BadEndpoint,
    Busy,
    ClientError,
    OutcomeUnknown,
    RequestRefused,
    Unreachable,
    WrongLoop,
    error_of,
    is_lost,
    words_of,
)
from roost.client.order import Order
from roost.client.questions import is_question
from roost.errors import NotExecuted
from roost.faces import Closed, Forked
from roost.proto import rpc_pb2
from roost.tasks import Tasks

if TYPE_CHECKING:
    from roost.client.nearest import Nearest

# A token that these are said of is got anew.
_STALE = ("invalid auth token", "revision of auth store is old")
# A stream goes on elsewhere only where somebody leads (etcd: WithRequireLeader).
_NEEDS_LEADER = ("hasleader", "true")
_STATUS = "/etcdserverpb.Maintenance/Status"
# So long may an endpoint take to say how it is.
_PROBE_S = 2.0
# How late a channel may be with the end of a call.
_LATE_S = 1.0
Answer = TypeVar("Answer", bound=Message)


class Caller(Protocol):
    """Who carries requests to a cluster."""

    @property
    def clock_s(self) -> Callable[[], float]:
        """Seconds that have gone by, also while the machine slept."""

    @property
    def endpoint_count(self) -> int:
        """Over how many endpoints."""

    async def call(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        timeout_s: float | None = None,
        is_repeatable: bool = False,
    ) -> Answer:
        """Ask for one answer of the class `answer`."""

    def stream(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        is_held: bool = False,
        silence_s: float | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """One try, at one endpoint."""

    def forget_token(self, error: ClientError) -> bool:
        """Whether an error means that our token has run out; it is got anew then."""


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Answer]):
    """What is asked for one answer: with whose token, and until when."""

    path: str
    request: bytes
    answer: type[Answer]
    until_s: float
    metadata: Metadata
    is_change: bool


class Connections:
    """A channel to each endpoint; it belongs to the loop of its first call."""

    def __init__(self, endpoints: str | Sequence[str], manners: Manners) -> None:
        """Connect when something is asked.

        Raises:
            BadEndpoint: there is no endpoint, or one that nobody can be reached by.
            OSError: a file of the credentials cannot be read.

        """
        self.endpoints = parse_endpoints(endpoints)
        self.manners = manners
        self.clock_s = manners.clock_s
        # Those that were given, and then those that were learned of; as channels are.
        self._known: list[Endpoint] = []
        self._channels: list[Channel] = []
        for it in self.endpoints:
            self.learn(it)
        self._token = ""
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._order = Order(len(self._known), self._probe, spreads=manners.spreads)
        self._nearest: Nearest | None = None

    @property
    def nearest(self) -> "Nearest":
        """The way to who counts; it is loaded by who does."""
        if self._nearest is None:
            from roost.client.nearest import Nearest

            manners = self.manners
            self._nearest = Nearest(self, timeout_s=manners.timeout_s, is_on=manners.spreads)
        return self._nearest

    @property
    def endpoint_count(self) -> int:
        """Over how many endpoints."""
        return len(self.endpoints)

    def learn(self, endpoint: Endpoint) -> None:
        """Have one more endpoint that can be asked by its name; nothing is spread to it."""
        self._known.append(endpoint)
        self._channels.append(self.manners.open_channel(endpoint, self.manners.credentials))

    async def close(self) -> None:
        """Close the connections; what waits for an answer ends."""
        self._is_closed = True
        if self._nearest is not None:
            await self._nearest.close()
        await self._order.close()
        for channel in self._channels:
            await channel.close()

    async def call(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        timeout_s: float | None = None,
        is_repeatable: bool = False,
    ) -> Answer:
        """Ask for one answer of the class `answer`.

        Raises:
            RequestRefused: the cluster said no.
            Busy, Unreachable: nothing happened, for as long as we tried.
            OutcomeUnknown: it may have happened.

        """
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + (self.manners.timeout_s if timeout_s is None else timeout_s)
        is_change = not is_question(path, request)
        is_repeatable |= not is_change
        way = self._race if is_repeatable and len(self._channels) > 1 else self._in_turn
        body = request.SerializeToString()
        backoff, was_stale = Backoff(), False
        lost: OutcomeUnknown | None = None
        while True:
            metadata = await self._metadata(until_s)
            try:
                return await way(_Asked(path, body, answer, until_s, metadata, is_change))
            except ClientError as error:
                if not was_stale and self.forget_token(error):
                    was_stale = True
                    continue
                pause_s = backoff.next_s()
                has_not_run = isinstance(error, NotExecuted)
                lost = error if isinstance(error, OutcomeUnknown) else lost
                may_retry = has_not_run or (is_repeatable and is_lost(error))
                if not (may_retry and self.manners.retries) or now_s() + pause_s >= until_s:
                    if lost is not None and has_not_run:
                        raise lost from error  # this one has not run; one before may have
                    raise
            await asyncio.sleep(pause_s)

    def in_order(self) -> list[str]:
        """Endpoints, in the order in which they are to be asked."""
        return [self.endpoints[it].name for it in self._order.take()]

    async def call_at(
        self,
        endpoint: str,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask one endpoint, and nobody else.

        Raises:
            ClientError: with the server's words; Unreachable when it does not answer.

        """
        within_s = self.manners.timeout_s if timeout_s is None else timeout_s
        until_s = asyncio.get_running_loop().time() + within_s
        is_change = not is_question(path, request)
        metadata = await self._metadata(until_s)
        asked = _Asked(path, request.SerializeToString(), answer, until_s, metadata, is_change)
        return await self._ask(self.position(endpoint), asked)

    def position(self, endpoint: str) -> int:
        """Where an endpoint stands.

        Raises:
            BadEndpoint: it is none of ours.

        """
        for position, it in enumerate(self._known):
            if it.name == endpoint:
                return position
        raise BadEndpoint(f"{endpoint!r} is none of the client's endpoints")

    def _check(self) -> asyncio.AbstractEventLoop:
        """Refuse a call that channels could not carry.

        Raises:
            Closed, Forked, WrongLoop: see there.

        """
        if self._is_closed:
            raise Closed("the client was closed: open another one")
        if self._process != os.getpid():
            raise Forked("the client was opened before this process was forked: open one here")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise WrongLoop("the client belongs to the event loop of its first call: open another")
        return loop

    async def _ask(self, position: int, asked: _Asked[Answer]) -> Answer:
        """One try at one endpoint."""
        left_s = asked.until_s - self._check().time()
        try:
            async with asyncio.timeout(max(0.0, left_s) + _LATE_S):
                said = await self._channels[position].unary(
                    asked.path, asked.request, metadata=asked.metadata, timeout_s=max(0.0, left_s)
                )
        except CallFailed as failed:
            text = words_of(self._known[position].name, failed.code, failed.text)
            error = error_of(failed.code, text, is_change=asked.is_change)
            if is_lost(error) and not isinstance(error, Busy):
                self._note(position, is_answering=False)
            raise error from failed
        except TimeoutError as late:
            self._note(position, is_answering=False)
            text = words_of(self._known[position].name, LATE, "")
            raise error_of(LATE, text, is_change=asked.is_change) from late
        self._note(position, is_answering=True)
        return asked.answer.FromString(said)

    def _note(self, position: int, *, is_answering: bool) -> None:
        """Calls are spread over those that were given; of others nobody keeps count here."""
        if position < len(self.endpoints):
            (self._order.note_answer if is_answering else self._order.note_failure)(position)

    async def _in_turn(self, asked: _Asked[Answer]) -> Answer:
        """Ask one endpoint after the other, until the request may have been sent."""
        last: ClientError | None = None
        order = self._order.take()
        loop = asyncio.get_running_loop()
        for tried, position in enumerate(order, start=1):
            if tried < len(order) and not self._order.is_answering(position):
                part_s = (asked.until_s - loop.time()) / (len(order) - tried + 1)
                if not await self._channels[position].is_reached(part_s):
                    self._order.note_failure(position)
                    last = Unreachable("UNAVAILABLE", f"{self.endpoints[position].name}: no answer")
                    continue
            try:
                return await self._ask(position, asked)
            except (Unreachable, Busy) as error:
                last = error
        assert last is not None, "there is an endpoint"
        raise last

    async def _race(self, asked: _Asked[Answer]) -> Answer:
        """Ask the next endpoint too when one is slow or gone; the first answer counts."""
        waiting = self._order.take()
        running: set[asyncio.Task[Answer]] = set()
        # What each ended with is looked at below.
        tasks = Tasks(lambda _error: None)
        loop = asyncio.get_running_loop()
        last: ClientError | None = None
        try:
            while waiting or running:
                if waiting:
                    running.add(tasks.start(self._ask(waiting.pop(0), asked)))
                left_s = max(0.0, asked.until_s - loop.time())
                done, running = await asyncio.wait(
                    running,
                    timeout=left_s / (len(waiting) + 1) if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        return task.result()
                    if not isinstance(error, ClientError) or not is_lost(error):
                        raise error
                    last = last if isinstance(last, OutcomeUnknown) else error
        finally:
            await tasks.close()
        assert last is not None, "one was asked"
        raise last

    async def stream(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        is_held: bool = False,
        silence_s: float | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """One try, at one endpoint: yield what comes until it ends or breaks.

        With `is_held` our side stays open, and the endpoint must have a leader all the while.
        The first answer must come within the client's timeout, each other within `silence_s`.

        Raises:
            ClientError: it broke; `is_lost` says whether another endpoint may do better.

        """
        loop = self._check()
        metadata = await self._metadata(loop.time() + self.manners.timeout_s)
        if is_held:
            metadata = [*metadata, _NEEDS_LEADER]
        position = self._order.take()[0]
        pieces = self._channels[position].stream(
            path, request.SerializeToString(), metadata=metadata, is_held=is_held
        )
        within_s: float | None = self.manners.timeout_s
        async with aclosing(pieces):
            while True:
                try:
                    async with asyncio.timeout(within_s):
                        said = await anext(pieces, None)
                except CallFailed as failed:
                    self._order.note_failure(position)
                    raise error_of(failed.code, failed.text, is_change=False) from failed
                except TimeoutError as late:
                    self._order.note_failure(position)
                    text = f"{self.endpoints[position].name} says nothing"
                    raise Unreachable("DEADLINE_EXCEEDED", text) from late
                if said is None:
                    return
                self._order.note_answer(position)
                yield answer.FromString(said)
                within_s = silence_s

    async def _probe(self, position: int) -> bool:
        """Whether an endpoint that has failed answers again."""
        request = rpc_pb2.StatusRequest().SerializeToString()
        metadata = [("token", self._token)] if self._token else []
        try:
            async with asyncio.timeout(_PROBE_S + _LATE_S):
                await self._channels[position].unary(
                    _STATUS, request, metadata=metadata, timeout_s=_PROBE_S
                )
        except TimeoutError:
            return False
        except CallFailed as failed:
            return not is_lost(error_of(failed.code, failed.text, is_change=False))
        return True

    async def _metadata(self, until_s: float) -> Metadata:
        """Who we are, as every call says; a token is got when there is none."""
        held = self.manners.credentials
        if held.user and not self._token:
            request = rpc_pb2.AuthenticateRequest(name=held.user, password=held.password)
            path, answer = "/etcdserverpb.Auth/Authenticate", rpc_pb2.AuthenticateResponse
            asked = _Asked(path, request.SerializeToString(), answer, until_s, [], False)
            try:
                self._token = (await self._race(asked)).token
            except RequestRefused as error:
                if not error.text.endswith("authentication is not enabled"):
                    raise
        return [("token", self._token)] if self._token else []

    def forget_token(self, error: ClientError) -> bool:
        """Whether an error means that our token has run out; it is got anew then."""
        if not self.manners.credentials.user or not any(it in error.text for it in _STALE):
            return False
        self._token = ""
        return True
