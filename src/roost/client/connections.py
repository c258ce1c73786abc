"""Calls over several endpoints: which one is asked, until when, and who is asked instead.

- The endpoint that answered last is asked first.
- A call that changes nothing when it is made twice is also made at the next endpoint when one is
  slow to answer: the first answer counts, and a frozen member costs a part of the deadline only.
- Any other call goes to another endpoint only when it certainly was not sent.
- A stream is one try at one endpoint.  When it breaks, the next try is at the next endpoint; how
  it goes on without a gap is the business of whoever knows what is in it.
- A peer that does not answer pings is gone, also when its connection is open.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from roost.client.credentials import Credentials
from roost.client.endpoints import parse_endpoints
from roost.client.errors import ClientError, Compacted, Unreachable
from roost.client.scope import Scope
from roost.client.streams import OneRequest, Watchdog
from roost.proto import rpc_pb2

MESSAGE_BYTES_MAX = 64 << 20
# etcd takes more than one ping in 5 s for an attack.
_PING_MS, _PING_TIMEOUT_MS = 6000, 5000
_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_time_ms", _PING_MS),
    ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", _PING_TIMEOUT_MS),
]
# A token that these are said of is got anew.
_STALE = ("invalid auth token", "revision of auth store is old")
# What a member says who is gone, who has no leader, or who does not say anything.
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
# A stream goes on elsewhere only where somebody leads (etcd: WithRequireLeader).
_NEEDS_LEADER = ("hasleader", "true")
# Made twice they do what they do once.
_REPEATABLE = frozenset(
    f"/etcdserverpb.{it}"
    for it in (
        "KV/Range",
        "Lease/LeaseKeepAlive",
        "Lease/LeaseTimeToLive",
        "Lease/LeaseLeases",
        "Cluster/MemberList",
        "Maintenance/Alarm",
        "Maintenance/HashKV",
        "Maintenance/Status",
        "Auth/Authenticate",
        "Auth/AuthStatus",
        "Auth/UserGet",
        "Auth/UserList",
        "Auth/RoleGet",
        "Auth/RoleList",
    )
)
# How late gRPC may be with the end of a call.
_LATE_S = 1.0
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_Metadata = list[tuple[str, str]]
Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[Answer]):
    """What is asked for one answer: with whose token, and until when."""

    path: str
    request: Message
    answer: type[Answer]
    until: float
    metadata: _Metadata | None


class Connections:
    """A channel to each endpoint; safe to use from several threads."""

    def __init__(
        self, endpoints: str | Sequence[str], credentials: Credentials, timeout_s: float
    ) -> None:
        """Connect when something is asked.

        Raises:
            BadEndpoint: there is no endpoint, or one that nobody can be reached by.
            OSError: a file of the credentials cannot be read.

        """
        self.endpoints = parse_endpoints(endpoints)
        self.timeout_s = timeout_s
        self._credentials = credentials
        self._token = ""
        self._channels = [credentials.channel(it, _OPTIONS) for it in self.endpoints]
        self._first = 0
        # Endpoints that a call was answered by and that have not failed since.
        self._answering: set[int] = set()

    def close(self) -> None:
        """Close the connections; what waits for an answer ends."""
        for channel in self._channels:
            channel.close()

    def call(
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
            ClientError: with the server's words; Unreachable when no endpoint answers.

        """
        until = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        may_race = len(self._channels) > 1 and (is_repeatable or path in _REPEATABLE)
        way = self._race if may_race else self._in_turn
        try:
            return way(_Asked(path, request, answer, until, self._metadata()))
        except ClientError as error:
            if not self.is_stale(error):
                raise
        return way(_Asked(path, request, answer, until, self._metadata()))

    def call_at(self, position: int, path: str, request: Message, answer: type[Answer]) -> Answer:
        """Ask one endpoint, and nobody else.

        Raises:
            ClientError: with the server's words; Unreachable when it does not answer.

        """
        method = self._unary(position, path, request, answer)
        try:
            said: Answer = method(request, timeout=self.timeout_s, metadata=self._metadata())
        except grpc.RpcError as error:
            raise client_error(error) from error
        return said

    def _unary(  # Any: grpcio is not typed
        self, position: int, path: str, request: Message, answer: type[Message]
    ) -> Any:
        return self._channels[position].unary_unary(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )

    def _in_turn(self, asked: _Asked[Answer]) -> Answer:
        """Ask one endpoint after the other, until the request may have been sent."""
        last: ClientError | None = None
        order = self._order()
        for tried, position in enumerate(order, start=1):
            if tried < len(order) and position not in self._answering:
                part_s = (asked.until - time.monotonic()) / (len(order) - tried + 1)
                if not _is_reached(self._channels[position], part_s):
                    self._leave(position)
                    last = Unreachable("UNAVAILABLE", f"{self.endpoints[position].name}: no answer")
                    continue
            method = self._unary(position, asked.path, asked.request, asked.answer)
            try:
                left_s = asked.until - time.monotonic()
                said: Answer = method(asked.request, timeout=left_s, metadata=asked.metadata)
            except grpc.RpcError as error:
                last = client_error(error)
                if last.code in _LOST:
                    self._leave(position)
                if not _was_not_sent(last):
                    raise last from error
            else:
                self._stay(position)
                return said
        assert last is not None, "there is an endpoint"
        raise last

    def _race(self, asked: _Asked[Answer]) -> Answer:
        """Ask the next endpoint too when one is slow or gone; the first answer counts."""
        ended: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        waiting = self._order()
        running: list[Any] = []
        failed_count = 0
        try:
            while True:
                if waiting:
                    position = waiting.pop(0)
                    method = self._unary(position, asked.path, asked.request, asked.answer)
                    left_s = asked.until - time.monotonic()
                    running.append(
                        method.future(asked.request, timeout=left_s, metadata=asked.metadata)
                    )
                    running[-1].add_done_callback(lambda it, at=position: ended.put((at, it)))
                left_s = max(0.0, asked.until - time.monotonic())
                # Each has a deadline, and ends by itself; but whoever interrupts gRPC in the wrong
                # moment has it never say so.
                wait_s = left_s / (len(waiting) + 1) if waiting else left_s + _LATE_S
                try:
                    position, done = ended.get(timeout=wait_s)
                except Empty:
                    if not waiting:
                        raise ClientError("DEADLINE_EXCEEDED", "no answer in time") from None
                    continue  # the next is asked as well
                if done.code() is grpc.StatusCode.OK:
                    self._stay(position)
                    said: Answer = done.result()
                    return said
                failed_count += 1
                error = client_error(done)
                if error.code not in _LOST:
                    raise error
                self._leave(position)
                if not waiting and failed_count == len(running):
                    raise error
        finally:
            for call in running:
                call.cancel()

    def stream(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        is_held: bool = False,
        silence_s: float | None = None,
        scope: Scope | None = None,
    ) -> Iterator[Answer]:
        """One try, at one endpoint: yield what comes until it ends or breaks.

        With `is_held` our side stays open, and the endpoint must have a leader all the while.
        The first answer must come within the client's timeout, each other within `silence_s`.

        Raises:
            ClientError: it broke; `is_lost` says whether another endpoint may do better.

        """
        scope = scope or Scope()
        position = self._order()[0]
        channel = self._channels[position]
        metadata = [*(self._metadata() or ()), *([_NEEDS_LEADER] if is_held else ())]
        held = OneRequest(request)
        method = (channel.stream_stream if is_held else channel.unary_stream)(
            path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        call = method(held if is_held else request, metadata=metadata)
        watchdog = Watchdog(call)
        watchdog.expect(self.timeout_s)
        try:
            with scope.ending(call):
                for said in call:
                    watchdog.expect(None)
                    self._stay(position)
                    yield said
                    watchdog.expect(silence_s)
        except grpc.RpcError as error:
            scope.check()
            self._leave(position)
            if watchdog.has_barked:
                name = self.endpoints[position].name
                raise Unreachable("DEADLINE_EXCEEDED", f"{name} says nothing") from error
            raise client_error(error) from error
        finally:
            watchdog.end()
            call.cancel()
            held.end()
        scope.check()

    def _order(self) -> list[int]:
        count = len(self._channels)
        return [(self._first + it) % count for it in range(count)]

    def _stay(self, position: int) -> None:
        self._first = position
        self._answering.add(position)

    def _leave(self, position: int) -> None:
        self._answering.discard(position)
        if self._first == position:
            self._first = (position + 1) % len(self._channels)

    def _metadata(self) -> _Metadata | None:
        """Who we are, as every call says; a token is got when there is none."""
        user = self._credentials.user
        if user and not self._token:
            request = rpc_pb2.AuthenticateRequest(name=user, password=self._credentials.password)
            path = "/etcdserverpb.Auth/Authenticate"
            until = time.monotonic() + self.timeout_s
            try:
                said = self._race(_Asked(path, request, rpc_pb2.AuthenticateResponse, until, None))
                self._token = said.token
            except ClientError as error:
                if not error.text.endswith("authentication is not enabled"):
                    raise
        return [("token", self._token)] if self._token else None

    def is_stale(self, error: ClientError) -> bool:
        """Whether an error means that our token has run out; it is got anew then."""
        if not self._credentials.user or not any(it in error.text for it in _STALE):
            return False
        self._token = ""
        return True


def _is_reached(channel: grpc.Channel, within_s: float) -> bool:
    """Whether a channel has a connection, or gets one in time."""
    states: SimpleQueue[grpc.ChannelConnectivity] = SimpleQueue()
    note: Callable[[grpc.ChannelConnectivity], None] = states.put
    until = time.monotonic() + within_s
    channel.subscribe(note, try_to_connect=True)
    try:
        while True:
            state = states.get(timeout=max(0.0, until - time.monotonic()))
            if state is grpc.ChannelConnectivity.READY:
                return True
            if state in (_FAILED, grpc.ChannelConnectivity.SHUTDOWN):
                return False
    except Empty:
        return False
    finally:
        channel.unsubscribe(note)


def _was_not_sent(error: ClientError) -> bool:
    return error.code == "UNAVAILABLE" and "failed to connect" in error.text.lower()


def is_lost(error: ClientError) -> bool:
    """Whether a stream broke because of the endpoint it was at."""
    return error.code in _LOST or error.code == "INTERNAL" or error.text == "Stream removed"


def client_error(error: Any) -> ClientError:  # Any: a call and an error at once
    """What grpcio raised, as one of ours."""
    code, text = error.code().name, error.details() or ""
    if code == "OUT_OF_RANGE" and text.endswith("has been compacted"):
        return Compacted(0, text)
    kind = Unreachable if code == "UNAVAILABLE" and "connect" in text.lower() else ClientError
    return kind(code, text)
