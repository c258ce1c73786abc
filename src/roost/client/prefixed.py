"""A namespace: requests whose keys are put behind a prefix, answers whose keys come without it.

It stands between whoever asks and the connections, and knows the messages that have keys in them
(as etcd: client/v3/namespace).  What it does not know goes through as it is.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from google.protobuf.message import Message

from roost.client.connections import Caller
from roost.client.errors import ClientError
from roost.proto import kv_pb2, rpc_pb2
from roost.proto.ranges import prefix_end

Answer = TypeVar("Answer", bound=Message)
_Ranged = (
    rpc_pb2.RangeRequest | rpc_pb2.DeleteRangeRequest | rpc_pb2.WatchCreateRequest | rpc_pb2.Compare
)


class Prefixed:
    """Asks another caller, with all keys behind a prefix."""

    def __init__(self, caller: Caller, prefix: bytes) -> None:
        """An empty prefix changes nothing."""
        self._caller = caller
        self._prefix = prefix

    @property
    def clock_s(self) -> Callable[[], float]:
        """As the other one's."""
        return self._caller.clock_s

    @property
    def endpoint_count(self) -> int:
        """As the other one's."""
        return self._caller.endpoint_count

    def forget_token(self, error: ClientError) -> bool:
        """As the other one's."""
        return self._caller.forget_token(error)

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
        said = await self._caller.call(
            path, self._into(request), answer, timeout_s=timeout_s, is_repeatable=is_repeatable
        )
        self._strip(said)
        return said

    async def stream(
        self,
        path: str,
        request: Message,
        answer: type[Answer],
        *,
        is_held: bool = False,
        silence_s: float | None = None,
    ) -> AsyncGenerator[Answer, None]:
        """One try, at one endpoint."""
        answers = self._caller.stream(
            path, self._into(request), answer, is_held=is_held, silence_s=silence_s
        )
        async with aclosing(answers):
            async for said in answers:
                self._strip(said)
                yield said

    def _into(self, request: Message) -> Message:
        """The request with our keys; the caller's stays as it is."""
        made = type(request)()
        made.CopyFrom(request)
        self._put_behind(made)
        return made

    def _put_behind(self, request: Message) -> None:
        match request:
            case rpc_pb2.PutRequest():
                request.key = self._behind(request.key)
            case rpc_pb2.RangeRequest() | rpc_pb2.DeleteRangeRequest():
                self._put_range(request)
            case rpc_pb2.TxnRequest():
                for compare in request.compare:
                    self._put_range(compare)
                for it in (*request.success, *request.failure):
                    self._put_behind(getattr(it, it.WhichOneof("request") or "request_range"))
            case rpc_pb2.WatchRequest() if request.HasField("create_request"):
                self._put_range(request.create_request)

    def _behind(self, key: bytes) -> bytes:
        # The empty key is refused by the cluster, and must not become ours.
        return self._prefix + key if key else key

    def _put_range(self, request: _Ranged) -> None:
        if request.range_end == b"\0":
            request.range_end = prefix_end(self._prefix)
        elif request.range_end:
            request.range_end = self._prefix + request.range_end
        request.key = self._behind(request.key)

    def _strip(self, answer: Message) -> None:
        match answer:
            case rpc_pb2.RangeResponse():
                self._strip_all(answer.kvs)
            case rpc_pb2.PutResponse() if answer.HasField("prev_kv"):
                self._strip_all([answer.prev_kv])
            case rpc_pb2.DeleteRangeResponse():
                self._strip_all(answer.prev_kvs)
            case rpc_pb2.TxnResponse():
                for it in answer.responses:
                    self._strip(getattr(it, it.WhichOneof("response") or "response_range"))
            case rpc_pb2.WatchResponse():
                self._strip_all(it.kv for it in answer.events)
                self._strip_all(it.prev_kv for it in answer.events if it.HasField("prev_kv"))
            case rpc_pb2.LeaseTimeToLiveResponse():
                # A lease may have keys of others: those are none of ours to name.
                ours = [it for it in answer.keys if it.startswith(self._prefix)]
                del answer.keys[:]
                answer.keys.extend(it.removeprefix(self._prefix) for it in ours)

    def _strip_all(self, kvs: Iterable[kv_pb2.KeyValue]) -> None:
        for kv in kvs:
            kv.key = kv.key.removeprefix(self._prefix)


def prefixed(caller: Caller, prefix: bytes) -> Any:  # Any: either is a Caller
    """A caller whose keys are behind a prefix; the same one when it is empty."""
    return Prefixed(caller, prefix) if prefix else caller
