"""Watches that go on at another endpoint, where they were: no event is missed, none comes twice.

The answers of a watch hold whole revisions.  So a watch goes on at the revision behind the last
event it was given; and while nothing happens, behind the last one it was told of, so that it is
not left behind by a compaction (etcd api: rpc.proto WatchCreateRequest.progress_notify).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from roost.client.connections import Connections
from roost.client.errors import ClientError, Compacted
from roost.client.patience import Patience
from roost.client.scope import Scope
from roost.proto import rpc_pb2

_PATH = "/etcdserverpb.Watch/Watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched: a key or range, from a revision on; 0 is from now on."""

    key: bytes
    range_end: bytes = b""
    start_revision: int = 0
    prev_kv: bool = False


def watch(
    connections: Connections, watched: Watched, patience_s: float, scope: Scope | None = None
) -> Iterator[list[Any]]:
    """Yield the events of one answer after the other, for ever.  Any: messages, of mvccpb.

    Raises:
        Compacted: the revisions asked for, or missed, are gone.
        ClientError: it was refused, or no endpoint has answered for `patience_s`.

    """
    scope = scope or Scope()
    patience = Patience(connections, patience_s, scope)
    next_revision = watched.start_revision
    while True:
        create = rpc_pb2.WatchCreateRequest(
            key=watched.key,
            range_end=watched.range_end,
            start_revision=next_revision,
            prev_kv=watched.prev_kv,
            progress_notify=True,
        )
        request = rpc_pb2.WatchRequest(create_request=create)
        answers = connections.stream(
            _PATH, request, rpc_pb2.WatchResponse, is_held=True, scope=scope
        )
        try:
            for answer in answers:
                if answer.canceled:
                    raise _cancelled(answer)
                patience.heard()
                if answer.events:
                    next_revision = answer.events[-1].kv.mod_revision + 1
                    yield list(answer.events)
                elif not answer.created or not next_revision:
                    next_revision = max(next_revision, answer.header.revision + 1)
            raise ClientError("UNAVAILABLE", "the watch ended")
        except ClientError as error:
            patience.failed(error)


def _cancelled(answer: rpc_pb2.WatchResponse) -> ClientError:
    if answer.compact_revision:
        text = answer.cancel_reason or f"compacted at {answer.compact_revision}"
        return Compacted(answer.compact_revision, text)
    return ClientError("CANCELLED", answer.cancel_reason or "the watch was ended")
