"""Clients that put and read from threads, and write down what happened."""

import threading
import time
from dataclasses import dataclass, field
from math import inf

import grpc

from roost.proto import rpc_pb2
from roost.sim.linearizability import Operation

CALL_TIMEOUT_S = 3.0
# With these codes a put certainly took no effect: it was turned away or never sent.
_NOT_EXECUTED_TEXTS = ("failed to connect", "connection refused", "etcdserver: no leader")


@dataclass(slots=True)
class History:
    """Everything the clients did; times in seconds of one monotonic clock."""

    operations: list[Operation] = field(default_factory=list)
    acknowledged: dict[bytes, bytes] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count_error(self, error: grpc.RpcError) -> None:
        """Remember what went wrong, by the server's words."""
        with self.lock:
            text = f"{error.code().name}: {(error.details() or '')[:60]}"
            self.errors[text] = self.errors.get(text, 0) + 1


class LoadClient(threading.Thread):
    """One client: puts unique values to shared keys and to keys of its own, and reads.

    It stays with one endpoint and goes to the next when that one fails.
    """

    def __init__(
        self,
        number: int,
        endpoints: list[str],
        history: History,
        *,
        keys: int,
        stop: threading.Event,
    ) -> None:
        """Begin with the endpoint of its own number."""
        super().__init__(name=f"load-{number}", daemon=True)
        self._number = number
        self._endpoints = endpoints
        self._endpoint = number % len(endpoints)
        self._history = history
        self._keys = keys
        self._halt = stop
        self._count = 0
        self.last_success = time.monotonic()

    def run(self) -> None:
        """Work until told to stop."""
        while not self._halt.is_set():
            with grpc.insecure_channel(
                self._endpoints[self._endpoint], options=[("grpc.enable_retries", 0)]
            ) as channel:
                self._work(channel)
            self._endpoint = (self._endpoint + 1) % len(self._endpoints)
            if self._halt.wait(0.02):  # a dead endpoint must not be hammered
                return

    def _work(self, channel: grpc.Channel) -> None:
        put = channel.unary_unary(
            "/etcdserverpb.KV/Put",
            request_serializer=rpc_pb2.PutRequest.SerializeToString,
            response_deserializer=rpc_pb2.PutResponse.FromString,
        )
        read = channel.unary_unary(
            "/etcdserverpb.KV/Range",
            request_serializer=rpc_pb2.RangeRequest.SerializeToString,
            response_deserializer=rpc_pb2.RangeResponse.FromString,
        )
        while not self._halt.is_set():
            self._count += 1
            shared = b"shared-%d" % (self._count % self._keys)
            value = b"%d-%d" % (self._number, self._count)
            try:
                if self._count % 3 == 0:
                    self._read(read, shared)
                elif self._count % 3 == 1:
                    self._put(put, shared, value)
                else:
                    self._put_own(put, b"own-%d-%d" % (self._number, self._count), value)
            except grpc.RpcError as error:
                self._history.count_error(error)
                return
            self.last_success = time.monotonic()

    def _read(self, method: grpc.UnaryUnaryMultiCallable, key: bytes) -> None:
        called = time.monotonic()
        answer = method(rpc_pb2.RangeRequest(key=key), timeout=CALL_TIMEOUT_S)
        value = answer.kvs[0].value if answer.kvs else None
        done = Operation(key, "read", None, value, called, time.monotonic())
        with self._history.lock:
            self._history.operations.append(done)

    def _put(self, method: grpc.UnaryUnaryMultiCallable, key: bytes, value: bytes) -> None:
        called = time.monotonic()
        returned = inf
        try:
            method(rpc_pb2.PutRequest(key=key, value=value), timeout=CALL_TIMEOUT_S)
            returned = time.monotonic()
        except grpc.RpcError as error:
            text = (error.details() or "").lower()
            if any(words in text for words in _NOT_EXECUTED_TEXTS):
                called = inf
            raise
        finally:
            if called != inf:
                with self._history.lock:
                    self._history.operations.append(
                        Operation(key, "write", value, None, called, returned)
                    )

    def _put_own(self, method: grpc.UnaryUnaryMultiCallable, key: bytes, value: bytes) -> None:
        method(rpc_pb2.PutRequest(key=key, value=value), timeout=CALL_TIMEOUT_S)
        with self._history.lock:
            self._history.acknowledged[key] = value
