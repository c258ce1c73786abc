"""The same requests to Roost and to real etcd, one member each: answers compared field by field."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from roost.etcd.proto import rpc_pb2 as pb
from roost.testing.cluster import Cluster
from tests.integration.etcdctl import binary

# Fields that name the cluster, a member or a moment; they only have to be there alike.
_MASKED = ("cluster_id", "member_id", "raft_term", "token", "authRevision")


def _response_of(service: Any, method: str) -> type[Message]:
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(service.methods_by_name[method].output_type)


def masked(message: Message, names: tuple[str, ...] = _MASKED) -> str:
    """An answer without what must differ."""
    copy = type(message)()
    copy.CopyFrom(message)
    _mask(copy, names)
    return str(copy)


def _mask(message: Message, names: tuple[str, ...]) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.name in names and descriptor.is_repeated:
            message.ClearField(descriptor.name)
        elif descriptor.name in names:
            setattr(message, descriptor.name, "x" if isinstance(value, str) else 1)
        elif descriptor.message_type is not None:
            for inner in value if descriptor.is_repeated else [value]:
                _mask(inner, names)


@dataclass
class Side:
    """One server."""

    name: str
    channel: grpc.Channel
    endpoint: str
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, request: Message, user: str = "") -> Message | str:
        service, _, method = path.partition("/")
        descriptor = pb.DESCRIPTOR.services_by_name[service]
        kind = _response_of(descriptor, method)
        call: Callable[..., bytes] = self.channel.unary_unary(f"/etcdserverpb.{path}")
        metadata = [("token", self.tokens[user])] if user else None
        try:
            answer = kind.FromString(
                call(request.SerializeToString(), timeout=10, metadata=metadata)
            )
        except grpc.RpcError as error:
            return f"{error.code().value[0]} {error.details()}"
        return answer

    def talk(self, path: str, requests: list[Message], user: str = "") -> list[Message] | str:
        """Send requests on a stream one by one, each after the answer to the one before."""
        service, _, method = path.partition("/")
        kind = _response_of(pb.DESCRIPTOR.services_by_name[service], method)
        call: Callable[..., Iterator[bytes]] = self.channel.stream_stream(f"/etcdserverpb.{path}")
        metadata = [("token", self.tokens[user])] if user else None
        answers: list[Message] = []
        try:
            for request in requests:
                bodies = iter([request.SerializeToString()])
                stream = call(bodies, timeout=10, metadata=metadata)
                answers.append(kind.FromString(next(stream)))
        except grpc.RpcError as error:
            return f"{error.code().value[0]} {error.details()}"
        return answers


class Twins:
    """Both servers; `ask` fails the test when they do not answer alike."""

    def __init__(self, etcd: Side, roost: Side) -> None:
        self.etcd, self.roost = etcd, roost
        self.count = 0
        self.differences: list[str] = []

    def ask(
        self, path: str, request: Message, user: str = "", mask: tuple[str, ...] = ()
    ) -> Message | str:
        """Ask both; return Roost's answer."""
        self.count += 1
        answers = [side.ask(path, request, user) for side in (self.etcd, self.roost)]
        names = (*_MASKED, *mask)
        said = [it if isinstance(it, str) else masked(it, names) for it in answers]
        if said[0] != said[1]:
            asked = f"{path} as {user or 'nobody'}: {str(request).strip()!r}"
            self.differences.append(f"{asked}\n  etcd:  {said[0]!r}\n  roost: {said[1]!r}")
        return answers[1]

    def log_in(self, user: str, password: str) -> None:
        """Get a token from each."""
        request = pb.AuthenticateRequest(name=user, password=password)
        for side in (self.etcd, self.roost):
            answer = side.ask("Auth/Authenticate", request)
            assert isinstance(answer, pb.AuthenticateResponse), (side.name, answer)
            side.tokens[user] = answer.token

    def check(self) -> None:
        """Nothing differed."""
        assert not self.differences, "\n".join(self.differences)


@contextmanager
def running_twins(root: Path, *, log_level: str = "error") -> Iterator[Twins]:
    """Start both, fresh."""
    homes = [root / "etcd", root / "roost"]
    for home in homes:
        home.mkdir()
    command = (binary("etcd"), f"--log-level={log_level}")
    with Cluster(homes[0], 1, command=command) as etcd, Cluster(homes[1], 1) as roost:
        etcd.leader()
        roost.leader()
        one, other = etcd.endpoints[0], roost.endpoints[0]
        with grpc.insecure_channel(one) as first, grpc.insecure_channel(other) as second:
            yield Twins(Side("etcd", first, one), Side("roost", second, other))
