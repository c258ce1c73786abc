"""gRPC's server reflection (grpc: doc/server-reflection.md): what the services here look like."""

from collections.abc import Iterable, Mapping

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError

from roost.call import Code, Route, Stream, StreamCall
from roost.proto import reflection_pb2
from roost.proto.pool import POOL
from roost.proto.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse


def _as_v1alpha(file: FileDescriptor) -> FileDescriptor:
    """The schema under the name it had before: its messages are the same on the wire."""
    schema = FileDescriptorProto.FromString(file.serialized_pb)
    schema.name = schema.name.replace("/v1/", "/v1alpha/")
    schema.package = f"{file.package}alpha"
    before, after = f".{file.package}.", f".{schema.package}."
    for message in schema.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(before, after)
    for service in schema.service:
        for method in service.method:
            method.input_type = method.input_type.replace(before, after)
            method.output_type = method.output_type.replace(before, after)
    POOL.AddSerializedFile(schema.SerializeToString())
    return POOL.FindFileByName(schema.name)


SCHEMAS = (reflection_pb2.DESCRIPTOR, _as_v1alpha(reflection_pb2.DESCRIPTOR))


class ReflectionStream:
    """Answers what the services and their messages look like."""

    def __init__(self, files: Mapping[str, FileDescriptor], call: StreamCall) -> None:
        """`files` are schemas by the full names of their services."""
        self._files = files
        self._call = call

    def on_message(self, message: bytes) -> None:
        """One question."""
        try:
            asked = ServerReflectionRequest.FromString(message)
        except DecodeError:
            self._call.finish(Code.INTERNAL, "grpc: error unmarshalling request")
            return
        answer = ServerReflectionResponse(valid_host=asked.host, original_request=asked)
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

    def _put(
        self, answer: ServerReflectionResponse, found: list[FileDescriptor], name: str
    ) -> None:
        if not found:
            answer.error_response.error_code = Code.NOT_FOUND
            answer.error_response.error_message = f"{name} is not known here"
        for file in found:
            answer.file_descriptor_response.file_descriptor_proto.append(file.serialized_pb)

    def on_half_close(self) -> None:
        """All is answered."""
        self._call.finish(Code.OK, "")

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


def make_routes(schemas: Iterable[FileDescriptor]) -> dict[bytes, Route]:
    """Routes for reflection over the services of `schemas`, and over its own."""
    files = {
        f"{file.package}.{name}": file
        for file in (*schemas, *SCHEMAS)
        for name in file.services_by_name
    }
    return {
        f"/{file.package}.ServerReflection/ServerReflectionInfo".encode(): Stream(
            lambda call: ReflectionStream(files, call)
        )
        for file in SCHEMAS
    }
