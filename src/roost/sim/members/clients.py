"""The clients of a simulated cluster: they read, put and watch, and remember what they were told.

Keys `shared-N` are read and written by everybody; their history must be linearizable.  A key
`own-...` is written once: if that was acknowledged it must be there in the end.  A watcher goes
from member to member with the revision it has reached; what it saw must be the history, in
order, without a gap.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, Protocol

from roost.call import Gathered, Route, Sending, Stream, Unary
from roost.exchange import Reply, Request
from roost.flow import OWN, Flow
from roost.proto import rpc_pb2
from roost.sim.linearizability import Operation
from roost.sim.members.judge import Violation

CLIENT_TIMEOUT_S = 3.0
KEYS = 6
_TERM_UNKNOWN_TEXTS = ("timed out", "leader changed", "leader failure")
_WATCH_PATH = b"/etcdserverpb.Watch/Watch"
# How long a watcher stays with one member.
_WATCH_S_MEAN = 2.0


class Endpoint(Protocol):
    """A member that clients reach, while it runs."""

    @property
    def routes(self) -> dict[bytes, Route]:
        """What it answers."""

    @property
    def ask(self) -> Callable[[Request, Reply], None]:
        """What answers requests over HTTP."""

    @property
    def life(self) -> int:
        """Grows when it dies and when it comes back."""


class CallFailed(Exception):
    """A client was told that its call failed."""

    def __init__(self, code: int, text: str) -> None:
        """Keep both."""
        super().__init__(text)
        self.code = code
        self.text = text


class Answer:
    """A call that resolves a future."""

    token = certificate_name = address = ""
    flow = OWN

    def __init__(self, future: "asyncio.Future[bytes]") -> None:
        """Answer `future`."""
        self._future = future

    @property
    def is_over(self) -> bool:
        """Whether it was answered."""
        return self._future.done()

    def reply(self, message: bytes) -> None:
        """It worked."""
        if not self._future.done():
            self._future.set_result(message)

    def reply_in_parts(self, size: int) -> Sending:
        """It worked, and the answer is long."""
        return Gathered(size, self.reply)

    def fail(self, code: int, text: str) -> None:
        """It did not."""
        if not self._future.done():
            self._future.set_exception(CallFailed(code, text))


@dataclass(slots=True)
class Watching:
    """One watcher's stream to one member: takes what comes while it is there."""

    log: "WatchLog"
    on_drain: Callable[[], None] | None = None
    is_over: bool = False
    pending_bytes: int = 0
    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN

    def send(self, message: bytes) -> None:
        """Some events, or an answer to the creation."""
        answer = rpc_pb2.WatchResponse.FromString(message)
        self.is_over |= answer.canceled
        for event in answer.events if not self.is_over else ():
            self.log.take(event.kv.mod_revision, event.kv.key, event.kv.value)

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Several at once."""
        for message in messages:
            self.send(message)

    def finish(self, _code: int, _text: str) -> None:
        """The member ended the stream."""
        self.is_over = True


class Put(NamedTuple):
    """A put, as the history of a store has it and as watchers see it."""

    revision: int
    key: bytes
    value: bytes


@dataclass(slots=True)
class WatchLog:
    """What one watcher has seen from its first revision on, and where it goes on."""

    first_revision: int
    next_revision: int
    events: list[Put] = field(default_factory=list)
    violation: str = ""

    def take(self, revision: int, key: bytes, value: bytes) -> None:
        """One event; puts have revisions of their own here, so each must be news."""
        if revision < self.next_revision:
            # Said later: a member that is interrupted here would take the blame.
            self.violation = f"a watcher at {self.next_revision} was sent revision {revision}"
        self.next_revision = revision + 1
        self.events.append(Put(revision, key, value))

    def check(self, history: Sequence[Put]) -> None:
        """Compare with the whole history: no gap, nothing else."""
        if self.violation:
            raise Violation(self.violation)
        reached = self.next_revision
        expected = [it for it in history if self.first_revision <= it.revision < reached]
        if self.events != expected:
            text = f"a watcher saw {len(self.events)} events before revision {reached}"
            raise Violation(f"{text}, there were {len(expected)}")


class Clients:
    """All clients of one run."""

    def __init__(
        self, running: Callable[[], Sequence[Endpoint]], stream: Callable[[str], random.Random]
    ) -> None:
        """They call who `running()` says, and draw from `stream(name)`."""
        self.running = running
        self.stream = stream
        self.is_stopping = False
        self.history: list[Operation] = []
        self.acknowledged: dict[bytes, bytes] = {}
        self.acknowledged_count = 0
        # Of the puts that were acknowledged.
        self.newest_revision = 0
        self.watches: list[WatchLog] = []

    def any_endpoint(self, dice: random.Random) -> Endpoint | None:
        """Some member that runs, as chance says."""
        running = self.running()
        return dice.choice(running) if running else None

    async def work(self, number: int) -> None:
        """One client reads and puts until it is told to stop."""
        dice = self.stream(f"client {number}")
        count = 0
        while not self.is_stopping:
            await asyncio.sleep(dice.expovariate(1 / 0.05))
            endpoint = self.any_endpoint(dice)
            if endpoint is None:
                continue
            count += 1
            key = b"shared-%d" % dice.randrange(KEYS)
            value = b"%d-%d" % (number, count) + bytes(dice.choice((0, 10, 2000)))
            what = dice.random()
            if what < 0.4:
                await self._read(endpoint, key)
            elif what < 0.7:
                await self._put(endpoint, key, value)
            else:
                own = b"own-%d-%d" % (number, count)
                if await self._put(endpoint, own, value):
                    self.acknowledged[own] = value

    async def watch(self, number: int) -> None:
        """One client watches every key, now at this member, now at that one."""
        dice = self.stream(f"watcher {number}")
        log: WatchLog | None = None
        while not self.is_stopping:
            endpoint = self.any_endpoint(dice)
            if endpoint is None:
                await asyncio.sleep(0.1)
                continue
            route = endpoint.routes[_WATCH_PATH]
            assert isinstance(route, Stream), "a watch is a stream"
            life = endpoint.life
            if log is None:
                log = WatchLog(2, 2)
                self.watches.append(log)
            call = Watching(log)
            handler = route.open(call)
            create = rpc_pb2.WatchCreateRequest(
                key=b"\0", range_end=b"\0", start_revision=log.next_revision
            )
            handler.on_message(rpc_pb2.WatchRequest(create_request=create).SerializeToString())
            until = asyncio.get_running_loop().time() + dice.expovariate(1 / _WATCH_S_MEAN)
            while asyncio.get_running_loop().time() <= until:
                # Also when it was refused at once, as by a learner: time must go on.
                await asyncio.sleep(0.05)
                if endpoint.life != life or call.is_over or self.is_stopping:
                    break
            call.is_over = True
            if endpoint.life == life:
                handler.on_cancel()

    async def call(self, endpoint: Endpoint, method: bytes, body: bytes) -> bytes:
        """Ask one member.

        Raises:
            CallFailed, TimeoutError: it said no, or nothing.

        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        route = endpoint.routes[method]
        assert isinstance(route, Unary), "these are unary calls"
        route.handle(Answer(future), body)
        async with asyncio.timeout(CLIENT_TIMEOUT_S):
            return await future

    async def _read(self, endpoint: Endpoint, key: bytes) -> None:
        loop = asyncio.get_running_loop()
        called = loop.time()
        body = rpc_pb2.RangeRequest(key=key).SerializeToString()
        try:
            message = await self.call(endpoint, b"/etcdserverpb.KV/Range", body)
        except (CallFailed, TimeoutError):
            return
        answer = rpc_pb2.RangeResponse.FromString(message)
        value = answer.kvs[0].value if answer.kvs else None
        self.history.append(Operation(key, "read", None, value, called, loop.time()))

    async def _put(self, endpoint: Endpoint, key: bytes, value: bytes) -> bool:
        loop = asyncio.get_running_loop()
        called, returned = loop.time(), inf
        body = rpc_pb2.PutRequest(key=key, value=value).SerializeToString()
        try:
            message = await self.call(endpoint, b"/etcdserverpb.KV/Put", body)
            revision = rpc_pb2.PutResponse.FromString(message).header.revision
            self.newest_revision = max(self.newest_revision, revision)
            returned = loop.time()
            self.acknowledged_count += 1
        except TimeoutError:
            pass  # nobody knows: it counts as written at any time
        except CallFailed as failure:
            if not any(words in failure.text for words in _TERM_UNKNOWN_TEXTS):
                return False  # it certainly did not happen
        if key.startswith(b"shared"):
            self.history.append(Operation(key, "write", value, None, called, returned))
        return returned != inf
