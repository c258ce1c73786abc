"""gRPC's own services: health checking and server reflection (grpc: doc/health-checking.md).

Their messages live in a descriptor pool of their own, so that a program which has them from
another package too can have both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

NOT_FOUND, INTERNAL = 5, 13
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
_OPTIONAL, _REPEATED = 1, 3
_Row = tuple[str, int, int, str]  # name, number, label, type: a scalar's name or a message's

_SCALARS = {"string": 9, "bytes": 12, "int32": 5}
_ENUMS = {"ServingStatus": ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")}
_HEALTH: dict[str, list[_Row]] = {
    "HealthCheckRequest": [("service", 1, _OPTIONAL, "string")],
    "HealthCheckResponse": [("status", 1, _OPTIONAL, "ServingStatus")],
}
_REFLECTION: dict[str, list[_Row]] = {
    "ExtensionRequest": [
        ("containing_type", 1, _OPTIONAL, "string"),
        ("extension_number", 2, _OPTIONAL, "int32"),
    ],
    "ServerReflectionRequest": [
        ("host", 1, _OPTIONAL, "string"),
        ("file_by_filename", 3, _OPTIONAL, "string"),
        ("file_containing_symbol", 4, _OPTIONAL, "string"),
        ("file_containing_extension", 5, _OPTIONAL, "ExtensionRequest"),
        ("all_extension_numbers_of_type", 6, _OPTIONAL, "string"),
        ("list_services", 7, _OPTIONAL, "string"),
    ],
    "FileDescriptorResponse": [("file_descriptor_proto", 1, _REPEATED, "bytes")],
    "ServiceResponse": [("name", 1, _OPTIONAL, "string")],
    "ListServiceResponse": [("service", 1, _REPEATED, "ServiceResponse")],
    "ErrorResponse": [
        ("error_code", 1, _OPTIONAL, "int32"),
        ("error_message", 2, _OPTIONAL, "string"),
    ],
    "ServerReflectionResponse": [
        ("valid_host", 1, _OPTIONAL, "string"),
        ("original_request", 2, _OPTIONAL, "ServerReflectionRequest"),
        ("file_descriptor_response", 4, _OPTIONAL, "FileDescriptorResponse"),
        ("list_services_response", 6, _OPTIONAL, "ListServiceResponse"),
        ("error_response", 7, _OPTIONAL, "ErrorResponse"),
    ],
}


def _file(
    name: str,
    package: str,
    messages: Mapping[str, list[_Row]],
    service: str,
    methods: Sequence[tuple[str, str, str, bool, bool]],
) -> descriptor_pb2.FileDescriptorProto:
    """A schema from its table; methods are (name, request, response, both streaming flags)."""
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    for message, rows in messages.items():
        made = file.message_type.add(name=message)
        for field, number, label, kind in rows:
            row: Any = made.field.add(name=field, number=number, label=label)
            if kind in _SCALARS:
                row.type = _SCALARS[kind]
            elif kind in _ENUMS:
                row.type, row.type_name = 14, f".{package}.{message}.{kind}"
                enum = made.enum_type.add(name=kind)
                for number, value in enumerate(_ENUMS[kind]):
                    enum.value.add(name=value, number=number)
            else:
                row.type, row.type_name = 11, f".{package}.{kind}"
    offered = file.service.add(name=service)
    for method, asked, answered, client_streams, server_streams in methods:
        offered.method.add(
            name=method,
            input_type=f".{package}.{asked}",
            output_type=f".{package}.{answered}",
            client_streaming=client_streams,
            server_streaming=server_streams,
        )
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(
    _file(
        "grpc/health/v1/health.proto",
        "grpc.health.v1",
        _HEALTH,
        "Health",
        [
            ("Check", "HealthCheckRequest", "HealthCheckResponse", False, False),
            ("Watch", "HealthCheckRequest", "HealthCheckResponse", False, True),
        ],
    )
)
for _version in ("v1", "v1alpha"):
    _POOL.Add(
        _file(
            f"grpc/reflection/{_version}/reflection.proto",
            f"grpc.reflection.{_version}",
            _REFLECTION,
            "ServerReflection",
            [
                (
                    "ServerReflectionInfo",
                    "ServerReflectionRequest",
                    "ServerReflectionResponse",
                    True,
                    True,
                )
            ],
        )
    )


def _message(name: str) -> Any:  # a class that is made here
    return GetMessageClass(_POOL.FindMessageTypeByName(name))


_HealthRequest = _message("grpc.health.v1.HealthCheckRequest")
_HealthResponse = _message("grpc.health.v1.HealthCheckResponse")
_Asked = _message("grpc.reflection.v1.ServerReflectionRequest")
_Answered = _message("grpc.reflection.v1.ServerReflectionResponse")


@dataclass(frozen=True, slots=True)
class _Unary:
    handle: Callable[[Any, bytes], None]


@dataclass(frozen=True, slots=True)
class _Stream:
    open: Callable[[Any], Any]


class Health:
    """Says that the services here are served, until `drain`."""

    def __init__(self, services: Sequence[str]) -> None:
        """`services` are full names; the empty one is the server as a whole."""
        self._services = frozenset(("", *services))
        self._status = SERVING
        self._watching: dict[HealthStream, None] = {}

    def drain(self) -> None:
        """From now on nothing is served; whoever watches is told."""
        self._status = NOT_SERVING
        for stream in self._watching:
            stream.say(NOT_SERVING)

    def status(self, service: str) -> int:
        """The status of a service; SERVICE_UNKNOWN when it is not here."""
        return self._status if service in self._services else SERVICE_UNKNOWN

    def check(self, call: Any, body: bytes) -> None:
        """Check."""
        try:
            service = _HealthRequest.FromString(body).service
        except DecodeError:
            call.fail(INTERNAL, "grpc: error unmarshalling request")
            return
        status = self.status(service)
        if status == SERVICE_UNKNOWN:
            call.fail(NOT_FOUND, "unknown service")
        else:
            call.reply(_HealthResponse(status=status).SerializeToString())

    def watch(self, call: Any) -> "HealthStream":
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

    def __init__(self, health: Health, call: Any) -> None:
        """Nothing is asked yet."""
        self._health = health
        self._call = call

    def on_message(self, message: bytes) -> None:
        """The service to watch."""
        try:
            service = _HealthRequest.FromString(message).service
        except DecodeError:
            self._call.finish(INTERNAL, "grpc: error unmarshalling request")
            return
        status = self._health.status(service)
        self.say(status)
        if status != SERVICE_UNKNOWN:
            self._health.follow(self)

    def say(self, status: int) -> None:
        """Send a status."""
        self._call.send(_HealthResponse(status=status).SerializeToString())

    def on_half_close(self) -> None:
        """There is one request only."""

    def on_cancel(self) -> None:
        """The client is gone."""
        self._health.forget(self)


class ReflectionStream:
    """Answers what the services and their messages look like."""

    def __init__(self, files: Mapping[str, FileDescriptor], call: Any) -> None:
        """`files` are schemas by the full names of their services."""
        self._files = files
        self._call = call

    def on_message(self, message: bytes) -> None:
        """One question."""
        try:
            asked = _Asked.FromString(message)
        except DecodeError:
            self._call.finish(INTERNAL, "grpc: error unmarshalling request")
            return
        answer = _Answered(valid_host=asked.host, original_request=asked)
        if asked.list_services:
            for name in sorted(self._files):
                answer.list_services_response.service.add(name=name)
        elif asked.file_by_filename:
            found = [it for it in self._all() if it.name == asked.file_by_filename]
            self._put(answer, found, asked.file_by_filename)
        elif asked.file_containing_symbol:
            symbol = asked.file_containing_symbol
            self._put(answer, [it for it in self._all() if _has(it, symbol)], symbol)
        else:
            self._put(answer, [], "an extension")
        self._call.send(answer.SerializeToString())

    def _all(self) -> list[FileDescriptor]:
        """Every schema once, those that are imported too."""
        found: dict[str, FileDescriptor] = {}
        waiting = list(self._files.values())
        while waiting:
            file = waiting.pop()
            if file.name not in found:
                found[file.name] = file
                waiting += file.dependencies
        return list(found.values())

    def _put(self, answer: Any, found: list[FileDescriptor], name: str) -> None:
        if not found:
            answer.error_response.error_code = NOT_FOUND
            answer.error_response.error_message = f"{name} is not known here"
        for file in found:
            answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)

    def on_half_close(self) -> None:
        """All is answered."""
        self._call.finish(0, "")

    def on_cancel(self) -> None:
        """The client is gone; there is nothing to undo."""


def _has(file: FileDescriptor, symbol: str) -> bool:
    """Whether a schema defines a service, one of its methods, a message or an enum."""
    prefix = f"{file.package}." if file.package else ""
    if not symbol.startswith(prefix):
        return False
    name = symbol.removeprefix(prefix).split(".")[0]
    tables = (file.services_by_name, file.message_types_by_name, file.enum_types_by_name)
    return any(name in table for table in tables)


def make_routes(
    files: Sequence[FileDescriptor], services: Sequence[str], health: Health
) -> dict[bytes, Any]:
    """Routes for health and reflection over `services`, whose schemas are in `files`."""
    own = [_POOL.FindFileByName("grpc/health/v1/health.proto")]
    versions = ("v1", "v1alpha")
    own += [_POOL.FindFileByName(f"grpc/reflection/{it}/reflection.proto") for it in versions]
    by_service = {
        f"{file.package}.{name}": file
        for file in (*files, *own)
        for name in file.services_by_name
        if f"{file.package}.{name}" in services or file in own
    }
    made: dict[bytes, Any] = {
        b"/grpc.health.v1.Health/Check": _Unary(health.check),
        b"/grpc.health.v1.Health/Watch": _Stream(health.watch),
    }
    for version in versions:
        path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        made[path.encode()] = _Stream(lambda call: ReflectionStream(by_service, call))
    return made
