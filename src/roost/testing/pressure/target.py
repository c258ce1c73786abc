"""What an act has in front of it: a cluster, how much to ask for, and calls to ask with."""

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from roost.proto import rpc_pb2
from roost.testing.pressure.sizes import Sizes

Answer = TypeVar("Answer", bound=Message)
CALL_TIMEOUT_S = 180.0
# etcd takes no transaction of more operations, by default.
TXN_PUTS = 128
_ON_THEIR_WAY_MAX = 8
_SAID_TXNS = 64
# A channel sends its first request at once, and takes answers of any size.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True, slots=True)
class Target:
    """The members' client addresses, the leader's first."""

    endpoints: list[str]
    sizes: Sizes

    def encoded(self) -> str:
        """One line for the command line of another process."""
        return json.dumps({"endpoints": self.endpoints, "sizes": asdict(self.sizes)})

    @classmethod
    def decoded(cls, text: str) -> Self:
        """Read what `encoded` wrote."""
        held = json.loads(text)
        return cls(held["endpoints"], Sizes(**held["sizes"]))

    @property
    def leader(self) -> str:
        """Where everything is sent."""
        return self.endpoints[0]


class Caller:
    """A channel of its own to one member, for calls by name."""

    def __init__(self, endpoint: str) -> None:
        """Nothing is sent before a call."""
        self._channel = grpc.insecure_channel(endpoint, options=_OPTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._channel.close()

    def ask(self, name: str, request: Message, answer: type[Answer]) -> "grpc.Future[Answer]":
        """Begin a call, as `KV/Range`."""
        method = self._channel.unary_unary(
            f"/etcdserverpb.{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return method.future(request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)

    def call(self, name: str, request: Message, answer: type[Answer]) -> Answer:
        """One call."""
        found: Answer = self.ask(name, request, answer).result()
        return found

    def range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        """One range."""
        return self.call("KV/Range", request, rpc_pb2.RangeResponse)

    def renew(self, lease_id: int) -> None:
        """Keep a lease alive once."""
        method = self._channel.stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
        )
        for _ in method(iter([rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)]), timeout=CALL_TIMEOUT_S):
            return

    def fill(
        self,
        rows: Iterable[rpc_pb2.PutRequest],
        *,
        say: Callable[[int], None] = lambda _done: None,
    ) -> int:
        """Put all of them, in transactions, some on their way at once; return a late revision."""
        waiting: deque[Any] = deque()
        revision = 0
        operations: list[rpc_pb2.RequestOp] = []

        def take() -> None:
            nonlocal revision
            revision = waiting.popleft().result().header.revision

        def send() -> None:
            request = rpc_pb2.TxnRequest(success=operations)
            waiting.append(self.ask("KV/Txn", request, rpc_pb2.TxnResponse))
            operations.clear()
            if len(waiting) >= _ON_THEIR_WAY_MAX:
                take()

        for done, row in enumerate(rows, 1):
            operations.append(rpc_pb2.RequestOp(request_put=row))
            if len(operations) == TXN_PUTS:
                send()
                if not done % (_SAID_TXNS * TXN_PUTS):
                    say(done)
        if operations:
            send()
        while waiting:
            take()
        return revision


def puts(
    prefix: bytes, count: int, value: bytes, *, lease: int = 0
) -> Iterable[rpc_pb2.PutRequest]:
    """So many puts of keys `prefix` and a number of eight digits."""
    return (
        rpc_pb2.PutRequest(key=b"%s%08d" % (prefix, it), value=value, lease=lease)
        for it in range(count)
    )
