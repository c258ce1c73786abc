"""The way to one endpoint: what the client asks of it, and gRPC's, which it has by default.

`Manners` are what one client keeps to on all of its ways.

A channel carries bytes.  It belongs to one event loop, the one of its first call.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from grpc import aio

from roost.client.backoff import boot_s
from roost.client.credentials import Credentials
from roost.client.endpoints import Endpoint

MESSAGE_BYTES_MAX = 64 << 20
# etcd takes more than one ping in 5 s for an attack.
_PING_MS, _PING_TIMEOUT_MS = 6000, 5000
# By default gRPC looks for a member that is away every two minutes at last, and for all channels
# of a process alike: who asks when it is back would be told that it is away.
_RECONNECT_MS_MIN, _RECONNECT_MS_MAX = 200, 2000
_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_time_ms", _PING_MS),
    ("grpc.keepalive_timeout_ms", _PING_TIMEOUT_MS),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", _PING_TIMEOUT_MS),
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS_MIN),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS_MAX),
    ("grpc.use_local_subchannel_pool", 1),
]
Metadata = list[tuple[str, str]]


class CallFailed(Exception):
    """A call ended with a status that is not well; whoever asked knows what it means."""

    def __init__(self, code: str, text: str) -> None:
        """Keep the name of the code, and what was said."""
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Channel(Protocol):
    """One endpoint.  Any call may raise `CallFailed`."""

    async def unary(
        self, path: str, request: bytes, *, metadata: Metadata, timeout_s: float
    ) -> bytes:
        """One request, one answer."""

    def stream(
        self, path: str, request: bytes, *, metadata: Metadata, is_held: bool
    ) -> AsyncGenerator[bytes, None]:
        """One request, and what comes of it; with `is_held` our side stays open meanwhile."""

    async def is_reached(self, within_s: float) -> bool:
        """Whether there is a connection, or one is made in time."""

    async def close(self) -> None:
        """End the connection, and every call."""


Open = Callable[[Endpoint, Credentials], Channel]


class GrpcChannel:
    """A channel of gRPC's; it is made by the first call, on its loop."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials) -> None:
        """Read the files of the credentials.

        Raises:
            BadCertificate: a file cannot be used; gRPC would end the process, or say nothing.
            OSError: a file cannot be read.

        """
        self._make = credentials.opener(endpoint, _OPTIONS)
        self._made: Any = None  # grpcio is not typed
        self._methods: dict[str, Any] = {}

    def _channel(self) -> Any:
        if self._made is None:
            self._made = self._make()
        return self._made

    async def unary(
        self, path: str, request: bytes, *, metadata: Metadata, timeout_s: float
    ) -> bytes:
        """One request, one answer."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self._channel().unary_unary(path)
        try:
            said: bytes = await method(request, timeout=timeout_s, metadata=metadata or None)
        except aio.AioRpcError as error:
            raise CallFailed(error.code().name, error.details() or "") from error
        return said

    async def stream(
        self, path: str, request: bytes, *, metadata: Metadata, is_held: bool
    ) -> AsyncGenerator[bytes, None]:
        """One request, and what comes of it."""
        channel = self._channel()
        if is_held:
            call = channel.stream_stream(path)(metadata=metadata or None)
        else:
            call = channel.unary_stream(path)(request, metadata=metadata or None)
        try:
            if is_held:
                await call.write(request)
            while (said := await call.read()) is not aio.EOF:
                yield said
        except aio.AioRpcError as error:
            raise CallFailed(error.code().name, error.details() or "") from error
        except asyncio.InvalidStateError as error:
            # gRPC says so of a call that ended while we wrote.
            code, text = await call.code(), await call.details()
            raise CallFailed(code.name, text or "") from error
        finally:
            call.cancel()

    async def is_reached(self, within_s: float) -> bool:
        """Whether there is a connection, or one is made in time."""
        channel = self._channel()
        states = grpc.ChannelConnectivity
        try:
            async with asyncio.timeout(within_s):
                while True:
                    state = channel.get_state(try_to_connect=True)
                    if state is states.READY:
                        return True
                    if state in (states.TRANSIENT_FAILURE, states.SHUTDOWN):
                        return False
                    await channel.wait_for_state_change(state)
        except TimeoutError:
            return False

    async def close(self) -> None:
        """End the connection, and every call."""
        if self._made is not None:
            await self._made.close()


_NOBODY = Credentials()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a cluster is asked; `open_channel` and `clock_s` are a test's business."""

    timeout_s: float = 5.0
    patience_s: float = 300.0
    retries: bool = True
    spreads: bool = True
    credentials: Credentials = _NOBODY
    open_channel: Open = GrpcChannel
    clock_s: Callable[[], float] = boot_s
