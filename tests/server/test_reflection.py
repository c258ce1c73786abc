"""Reflection: what every client of it may ask, and that each schema names only what it defines."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from roost.call import Code, Stream
from roost.proto import lock_pb2, rpc_pb2
from roost.proto.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from roost.server.reflection import SCHEMAS, make_routes

V1 = b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
ALPHA = b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class Call:
    """What a stream is told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.end: tuple[int, str] | None = None

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def finish(self, code: int, text: str) -> None:
        self.end = (code, text)


def ask(*questions: bytes, path: bytes = V1) -> Call:
    route = make_routes([rpc_pb2.DESCRIPTOR, lock_pb2.DESCRIPTOR])[path]
    assert isinstance(route, Stream)
    call = Call()
    handler = route.open(call)  # type: ignore[arg-type]  # as much of a call as is asked for
    for question in questions:
        handler.on_message(question)
    handler.on_half_close()
    return call


def answer_to(**question: str) -> ServerReflectionResponse:
    call = ask(ServerReflectionRequest(host="h", **question).SerializeToString())  # type: ignore[arg-type]  # a test's fields
    (said,) = call.sent
    assert call.end == (Code.OK, "")
    answer = ServerReflectionResponse.FromString(said)
    assert answer.valid_host == "h"
    assert answer.original_request == ServerReflectionRequest(host="h", **question)  # type: ignore[arg-type]  # the same
    return answer


def files_of(answer: ServerReflectionResponse) -> list[FileDescriptorProto]:
    found = answer.file_descriptor_response.file_descriptor_proto
    return [FileDescriptorProto.FromString(it) for it in found]


def test_both_versions_of_it_are_there_and_all_services_are_listed() -> None:
    listed = [it.name for it in answer_to(list_services="*").list_services_response.service]
    assert listed == sorted(listed)
    assert {"etcdserverpb.KV", "v3lockpb.Lock"} <= {*listed}
    assert {f"grpc.reflection.{it}.ServerReflection" for it in ("v1", "v1alpha")} <= {*listed}
    (said,) = ask(ServerReflectionRequest(list_services="*").SerializeToString(), path=ALPHA).sent
    assert len(ServerReflectionResponse.FromString(said).list_services_response.service) == len(
        listed
    )


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("etcdserverpb.KV", "roost/proto/rpc.proto"),
        ("etcdserverpb.KV.Put", "roost/proto/rpc.proto"),
        ("etcdserverpb.PutRequest", "roost/proto/rpc.proto"),
        ("etcdserverpb.AlarmType", "roost/proto/rpc.proto"),
        ("mvccpb.KeyValue", "roost/proto/kv.proto"),
        ("v3lockpb.Lock", "roost/proto/lock.proto"),
    ],
)
def test_a_symbol_leads_to_the_schema_that_defines_it(symbol: str, name: str) -> None:
    """Also in schemas that are only imported: a client walks on from there."""
    assert [it.name for it in files_of(answer_to(file_containing_symbol=symbol))] == [name]


@pytest.mark.parametrize("symbol", ["", "etcdserverpb", "etcdserverpb.Nothing", "KV", "x.KV"])
def test_what_nobody_defines_is_not_found(symbol: str) -> None:
    answer = answer_to(file_containing_symbol=symbol)
    assert answer.error_response.error_code == Code.NOT_FOUND


def test_every_import_of_every_schema_can_be_had_by_name() -> None:
    """A client resolves them one after the other."""
    waiting, seen = ["roost/proto/rpc.proto", "roost/proto/lock.proto"], set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            (file,) = files_of(answer_to(file_by_filename=name))
            assert file.name == name
            waiting += file.dependency
    assert len(seen) > 2


def test_a_file_or_an_extension_that_is_not_here_is_not_found() -> None:
    answer = answer_to(file_by_filename="no.proto")
    assert answer.error_response.error_message == "no.proto is not known here"
    empty = ask(b"").sent[0]
    said = ServerReflectionResponse.FromString(empty)
    assert said.error_response.error_code == Code.NOT_FOUND


def test_bytes_that_are_no_question_end_the_stream_and_no_more() -> None:
    call = ask(b"\xff\xff")
    assert call.sent == []
    assert call.end is not None


def test_the_older_schema_names_itself_throughout() -> None:
    """Its messages are the same on the wire; a name of the newer one would not resolve."""
    new, old = SCHEMAS
    assert old.package == f"{new.package}alpha"
    held = FileDescriptorProto.FromString(old.serialized_pb)
    named = [it.type_name for message in held.message_type for it in message.field if it.type_name]
    for service in held.service:
        named += [it.input_type for it in service.method] + [
            it.output_type for it in service.method
        ]
    assert named
    assert [it for it in named if not it.startswith(f".{old.package}.")] == []
