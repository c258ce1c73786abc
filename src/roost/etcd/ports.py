"""What the etcd services need from the layers below and from the port above.

They are protocols, so that the services can be tested without either.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from roost.outcome import Done, ReadDone
from roost.store import Changes, Txn, View


class MemberInfo(Protocol):
    """One member as everybody knows it."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def peer_urls(self) -> Sequence[str]: ...
    @property
    def client_urls(self) -> Sequence[str]: ...
    @property
    def is_learner(self) -> bool: ...


class ReplicaStatus(Protocol):
    """The figures a status answer shows."""

    @property
    def leader_id(self) -> int: ...
    @property
    def term(self) -> int: ...
    @property
    def last_index(self) -> int: ...
    @property
    def applied_index(self) -> int: ...
    @property
    def db_bytes(self) -> int: ...
    @property
    def db_in_use_bytes(self) -> int: ...


class Space(Protocol):
    """What a member says of its space, and of whose state differs."""

    @property
    def store_bytes(self) -> int: ...
    @property
    def disk_free_bytes(self) -> int: ...
    @property
    def disk_reserve_bytes(self) -> int: ...
    @property
    def corrupt_members(self) -> frozenset[int]: ...
    @property
    def forgetful_members(self) -> frozenset[int]: ...


class Files(Protocol):
    """The files of one member."""

    def state_digest(self) -> bytes: ...
    def defragment(self, done: ReadDone) -> None: ...
    def settle(self, done: ReadDone) -> None: ...
    def lend_snapshot(self) -> AbstractAsyncContextManager[Path]: ...
    def entries_since(self, index: int, term: int) -> AsyncIterator[bytes]: ...


class Replica(Protocol):
    """One member of a replicated store."""

    member_id: int
    cluster_id: int
    view: View

    @property
    def files(self) -> Files: ...
    @property
    def term(self) -> int: ...
    @property
    def leader_id(self) -> int: ...
    @property
    def is_learner(self) -> bool: ...
    def transfer_leadership(self, target: int, done: ReadDone) -> None: ...
    def register(self, name: str, operation: Callable[[Txn, bytes], bytes]) -> None: ...
    def transact_nowait(self, name: str, body: bytes, done: Done) -> None: ...
    def read_nowait(self, done: ReadDone) -> None: ...
    def observe(self, callback: Callable[[int, Changes], None]) -> None: ...
    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None: ...
    def members(self) -> Sequence[MemberInfo]: ...
    def status(self) -> ReplicaStatus: ...
    def space(self) -> Space: ...


class Caller(Protocol):
    """Who sent a request, and from where; empty texts when that is not said."""

    @property
    def token(self) -> str: ...
    @property
    def certificate_name(self) -> str: ...
    @property
    def address(self) -> str: ...


class Call(Caller, Protocol):
    """A unary call; answered once, now or later."""

    def reply(self, message: bytes) -> None:
        """Answer with a message."""

    def fail(self, code: int, text: str) -> None:
        """Answer with a gRPC status."""


class StreamCall(Caller, Protocol):
    """A bidirectional stream as its server sees it."""

    on_drain: Callable[[], None] | None

    def send(self, message: bytes) -> None:
        """Queue one message."""

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Queue messages, in order."""

    def finish(self, code: int, text: str) -> None:
        """End the stream with a gRPC status."""

    @property
    def pending_bytes(self) -> int:
        """What was sent and has not left yet."""


class StreamHandler(Protocol):
    """What a stream's server does with what comes in."""

    def on_message(self, message: bytes) -> None:
        """The client sent a message."""

    def on_half_close(self) -> None:
        """The client will send no more."""

    def on_cancel(self) -> None:
        """The stream is gone; nothing may be sent."""


UnaryHandler = Callable[[Call, bytes], None]
OpenStream = Callable[[StreamCall], StreamHandler]


@dataclass(frozen=True, slots=True)
class Unary:
    """A method with one request and one answer."""

    handle: UnaryHandler


@dataclass(frozen=True, slots=True)
class Stream:
    """A method whose client and server both send any number of messages."""

    open: OpenStream


Route = Unary | Stream
