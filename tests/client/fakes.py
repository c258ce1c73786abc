"""Endpoints that do what a test says: gRPC servers in this process."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc

from roost.client import Client
from roost.proto import rpc_pb2 as pb

# A request, what it comes with, and whether the call is still wanted -> the answers.
Script = Callable[[bytes, "Context"], Iterator[bytes]]


class Context:
    """What a script can look at and do."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.metadata = dict(context.invocation_metadata())
        self._over = threading.Event()
        if not context.add_callback(self._over.set):
            self._over.set()

    def fail(self, code: grpc.StatusCode, text: str) -> None:
        self._context.abort(code, text)

    def wait_over(self) -> None:
        """Say nothing until the client is gone."""
        self._over.wait()


def silent(_request: bytes, context: Context) -> Iterator[bytes]:
    """Never answers."""
    context.wait_over()
    yield from ()


class Fake:
    """One endpoint: by path, what it does; it never answers what it does not know."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = scripts
        self.asked: list[tuple[str, bytes]] = []
        self._threads = ThreadPoolExecutor(32)
        self._server = grpc.server(self._threads)
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self.endpoint = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop(None).wait()
        self._threads.shutdown()

    def count(self, path: str) -> int:
        return sum(it == path for it, _ in self.asked)

    def answer(self, path: str, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        request = next(requests)
        self.asked.append((path, request))
        yield from self._scripts.get(path, silent)(request, Context(context))


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio is not typed
    def __init__(self, fake: Fake) -> None:
        self._fake = fake

    def service(self, details: Any) -> Any:
        path: str = details.method

        def handle(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            return self._fake.answer(path, requests, context)

        return grpc.stream_stream_rpc_method_handler(handle)


RANGE = "/etcdserverpb.KV/Range"


PUT = "/etcdserverpb.KV/Put"


WATCH = "/etcdserverpb.Watch/Watch"


SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"


AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"


GONE = grpc.StatusCode.UNAVAILABLE


HEADER = pb.ResponseHeader


def asking_in_order(endpoints: str | list[str], **how: Any) -> Client:
    """A client that asks the endpoints in their order, each once."""
    return Client(endpoints, retries=False, spreads=False, **how)


def saying(*answers: Any) -> Script:
    def script(_request: bytes, _context: Context) -> Iterator[bytes]:
        yield from (it.SerializeToString() for it in answers)

    return script


def failing(code: grpc.StatusCode, text: str, *before: Any) -> Script:
    def script(_request: bytes, context: Context) -> Iterator[bytes]:
        yield from (it.SerializeToString() for it in before)
        context.fail(code, text)

    return script


def created(revision: int) -> pb.WatchResponse:
    return pb.WatchResponse(header=HEADER(revision=revision), created=True)
