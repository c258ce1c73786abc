"""gRPC's health checking (grpc: doc/health-checking.md): whether the services here are served."""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from roost.call import Call, Code, Route, Stream, StreamCall, Unary
from roost.proto import health_pb2
from roost.proto.health_pb2 import HealthCheckRequest, HealthCheckResponse

SCHEMAS = (health_pb2.DESCRIPTOR,)


# What is answered while memory is short.
LIGHT = frozenset((b"/grpc.health.v1.Health/Check",))


class Health:
    """Says that the services here are served, until `drain`."""

    def __init__(self, services: Sequence[str]) -> None:
        """`services` are full names; the empty one is the server as a whole."""
        self._services = frozenset(("", *services))
        self._status = HealthCheckResponse.SERVING
        self._watching: dict[HealthStream, None] = {}

    def drain(self) -> None:
        """From now on nothing is served; whoever watches is told."""
        self._status = HealthCheckResponse.NOT_SERVING
        for stream in self._watching:
            stream.say(HealthCheckResponse.NOT_SERVING)

    def status(self, service: str) -> HealthCheckResponse.ServingStatus:
        """The status of a service; SERVICE_UNKNOWN when it is not here."""
        return self._status if service in self._services else HealthCheckResponse.SERVICE_UNKNOWN

    def routes(self) -> dict[bytes, Route]:
        """What answers gRPC's questions."""
        return {
            b"/grpc.health.v1.Health/Check": Unary(self.check),
            b"/grpc.health.v1.Health/Watch": Stream(self.watch),
        }

    def check(self, call: Call, body: bytes) -> None:
        """Check."""
        try:
            service = HealthCheckRequest.FromString(body).service
        except DecodeError:
            call.fail(Code.INTERNAL, "grpc: error unmarshalling request")
            return
        status = self.status(service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            call.fail(Code.NOT_FOUND, "unknown service")
        else:
            call.reply(HealthCheckResponse(status=status).SerializeToString())

    def watch(self, call: StreamCall) -> "HealthStream":
        """Watch."""
        return HealthStream(self, call)

    def follow(self, stream: "HealthStream") -> None:
        """Tell a stream of changes."""
        self._watching[stream] = None

    def forget(self, stream: "HealthStream") -> None:
        """Tell it no more."""
        self._watching.pop(stream, None)


class HealthStream:
    """One client that watches a service."""

    def __init__(self, health: Health, call: StreamCall) -> None:
        """Nothing is asked yet."""
        self._health = health
        self._call = call

    def on_message(self, message: bytes) -> None:
        """The service to watch."""
        try:
            service = HealthCheckRequest.FromString(message).service
        except DecodeError:
            self._call.finish(Code.INTERNAL, "grpc: error unmarshalling request")
            return
        status = self._health.status(service)
        self.say(status)
        if status != HealthCheckResponse.SERVICE_UNKNOWN:
            self._health.follow(self)

    def say(self, status: HealthCheckResponse.ServingStatus) -> None:
        """Send a status."""
        self._call.send(HealthCheckResponse(status=status).SerializeToString())

    def on_half_close(self) -> None:
        """There is one request only."""

    def on_cancel(self) -> None:
        """The client is gone."""
        self._health.forget(self)
