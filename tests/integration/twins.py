"""The same requests to Roost and to real etcd, one member of each; answers are compared."""

import json
import queue
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from roost.proto import election_pb2, lock_pb2, rpc_pb2
from roost.proto import rpc_pb2 as pb
from roost.testing.cluster import Cluster
from roost.testing.patience import wait_until
from tests.integration.etcdctl import binary

# Fields that name the cluster, a member or a moment; they only have to be there alike.
_MASKED = ("cluster_id", "member_id", "raft_term", "token", "authRevision")


# How a call ends whose time is over: as its client notices, or etcd before it.
_ENDED, _ENDED_THERE = "4 Deadline Exceeded", "2 context deadline exceeded"
LATE = (_ENDED, "14 etcdserver: request timed out")
_SCHEMAS = {
    **dict.fromkeys(rpc_pb2.DESCRIPTOR.services_by_name, ("etcdserverpb", rpc_pb2)),
    "Lock": ("v3lockpb", lock_pb2),
    "Election": ("v3electionpb", election_pb2),
}


def _method(path: str) -> tuple[str, type[Message]]:
    """The whole name of a method, and the class of its answers."""
    service, _, method = path.partition("/")
    package, schema = _SCHEMAS[service]
    descriptor = schema.DESCRIPTOR.services_by_name[service].methods_by_name[method]
    return f"/{package}.{path}", GetMessageClass(descriptor.output_type)


def _said(answer: Message | str, mask: tuple[str, ...]) -> str:
    return answer if isinstance(answer, str) else masked(answer, (*_MASKED, *mask))


_MASKED_JSON = (
    *_MASKED,
    *("ID", "name", "peerURLs", "clientURLs", "hash", "dbSize", "dbSizeInUse", "leader"),
    *("raftIndex", "raftAppliedIndex", "raftTerm", "Grpc-Metadata-Content-Type", "TTL"),
)


def _masked_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "x" if name in _MASKED_JSON else _masked_json(inner)
            for name, inner in value.items()
        }
    return [_masked_json(it) for it in value] if isinstance(value, list | tuple) else value


def masked(message: Message, names: tuple[str, ...] = _MASKED) -> str:
    """An answer without what must differ."""
    copy = type(message)()
    copy.CopyFrom(message)
    _mask(copy, names)
    if isinstance(copy, pb.LeaseTimeToLiveResponse):
        copy.keys.sort()  # etcd's are in any order
    if isinstance(copy, pb.StatusResponse):
        copy.errors.sort()
    return str(copy)


def _mask_of(value: object) -> str | bytes | int:
    if isinstance(value, str):
        return "x"
    return b"x" if isinstance(value, bytes) else 1


def _mask(message: Message, names: tuple[str, ...]) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.name in names and descriptor.is_repeated:
            message.ClearField(descriptor.name)
        elif descriptor.name in names and descriptor.message_type is None:
            setattr(message, descriptor.name, _mask_of(value))
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

    def ask(
        self, path: str, request: Message, user: str = "", *, timeout_s: float = 60
    ) -> Message | str:
        """The answer, or the status it failed with; etcd's members change slowly at times."""
        name, kind = _method(path)
        call: Callable[..., bytes] = self.channel.unary_unary(name)
        try:
            return kind.FromString(
                call(request.SerializeToString(), timeout=timeout_s, metadata=self._metadata(user))
            )
        except grpc.RpcError as error:
            return f"{error.code().value[0]} {error.details()}"

    def talk(
        self, path: str, requests: Sequence[Message], count: int, user: str = ""
    ) -> list[Message | str]:
        """Send requests on a stream; its first `count` answers, and how it failed if it did."""
        name, kind = _method(path)
        call: Callable[..., Any] = self.channel.stream_stream(name)
        bodies = iter([it.SerializeToString() for it in requests])
        stream = call(bodies, timeout=10, metadata=self._metadata(user))
        answers: list[Message | str] = []
        try:
            for body in stream:
                answers.append(kind.FromString(body))
                if len(answers) == count:
                    stream.cancel()
                    break
        except grpc.RpcError as error:
            answers.append(f"{error.code().value[0]} {error.details()}")
        return answers

    @contextmanager
    def conversing(
        self, path: str, requests: Sequence[Message]
    ) -> Iterator[tuple[Iterator[Message], Callable[[Message], None]]]:
        """A stream that is begun with some requests: its answers, and how to ask more."""
        name, kind = _method(path)
        asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for request in requests:
            asked.put(request.SerializeToString())
        call: Callable[..., Any] = self.channel.stream_stream(name)
        stream = call(iter(asked.get, None), timeout=60)
        try:
            yield map(kind.FromString, stream), lambda it: asked.put(it.SerializeToString())
        finally:
            stream.cancel()
            asked.put(None)

    def _metadata(self, user: str) -> list[tuple[str, str]] | None:
        return [("token", self.tokens[user])] if user else None

    def post(
        self,
        path: str,
        body: Any,
        *,
        method: str = "POST",
        user: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """HTTP status and JSON, or text, of a request to the gateway."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://{self.endpoint}{path}",
            data=data if method == "POST" else None,
            method=method,
            headers={**(headers or {}), **({"Authorization": self.tokens[user]} if user else {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()


@contextmanager
def connect(name: str, endpoint: str) -> Iterator[Side]:
    """One server that runs already."""
    with grpc.insecure_channel(endpoint) as channel:
        yield Side(name, channel, endpoint)


class Twins:
    """Both servers; `ask` fails the test when they do not answer alike."""

    def __init__(self, etcd: Side, roost: Side) -> None:
        self.etcd, self.roost = etcd, roost
        self.count = 0
        self.differences: list[str] = []

    def ask(
        self,
        path: str,
        request: Message,
        user: str = "",
        mask: tuple[str, ...] = (),
        *,
        timeout_s: float = 10,
    ) -> Message | str:
        """Ask both; return Roost's answer."""
        answers = [
            side.ask(path, request, user, timeout_s=timeout_s) for side in (self.etcd, self.roost)
        ]
        if answers[0] in LATE and timeout_s >= 10:
            # etcd's changes of members take their time on a busy machine, and some are lost.
            answers[0] = self.etcd.ask(path, request, user, timeout_s=60)
        if answers[0] == _ENDED_THERE:
            answers[0] = _ENDED
        self._compare(
            f"{path} as {user or 'nobody'}: {str(request).strip()!r}",
            *([_said(answer, mask)] for answer in answers),
        )
        return answers[1]

    def talk(
        self,
        path: str,
        requests: Sequence[Message],
        count: int,
        user: str = "",
        mask: tuple[str, ...] = (),
    ) -> list[Message | str]:
        """Talk to both on a stream; return Roost's answers."""
        answers = [side.talk(path, requests, count, user) for side in (self.etcd, self.roost)]
        asked = f"{path} as {user or 'nobody'}: {[str(it).strip() for it in requests]!r}"
        self._compare(asked, *([_said(it, mask) for it in said] for said in answers))
        return answers[1]

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        user: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Ask both by HTTP."""
        sides = (self.etcd, self.roost)
        asked = {} if body is None else body
        answers = [
            side.post(path, asked, method=method, user=user, headers=headers) for side in sides
        ]
        self._compare(
            f"{method} {path} {body!r} as {user or 'nobody'}",
            *([_masked_json(it)] for it in answers),
        )

    def _compare(self, asked: str, etcd: object, roost: object) -> None:
        self.count += 1
        if etcd != roost:
            self.differences.append(f"{asked}\n  etcd:  {etcd}\n  roost: {roost}")

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
    with running_clusters(root, 1, log_level=log_level) as [twins]:
        yield twins


@contextmanager
def running_clusters(
    root: Path, size: int, *, log_level: str = "error"
) -> Iterator[Sequence[Twins]]:
    """Start clusters of both; pairs of members that have the same office, the leaders first."""
    homes = [root / "etcd", root / "roost"]
    for home in homes:
        home.mkdir()
    command = (binary("etcd"), f"--log-level={log_level}")
    with ExitStack() as stack:
        etcd = stack.enter_context(Cluster(homes[0], size, command=command))
        roost = stack.enter_context(Cluster(homes[1], size))
        sides = [_sides(stack, it) for it in (etcd, roost)]
        yield [Twins(*pair) for pair in zip(*sides, strict=True)]


def _sides(stack: ExitStack, cluster: Cluster) -> list[Side]:
    """The members of a cluster, the leader first."""
    leader = cluster.leader()
    wait_until(lambda: all(cluster.status(it) is not None for it in range(cluster.size)))
    name = cluster.root.name
    first_to_last = sorted(range(cluster.size), key=lambda it: (it != leader, it))
    return [
        Side(name, stack.enter_context(grpc.insecure_channel(it)), it)
        for it in (cluster.endpoints[position] for position in first_to_last)
    ]
