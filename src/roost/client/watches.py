"""Watches that go on at another endpoint, where they were: no event is missed, none comes twice.

The answers of a watch hold whole revisions.  So a watch goes on at the revision behind the last
event it was given; and while nothing happens, behind the last one it was told of, so that it is
not left behind by a compaction (etcd api: rpc.proto WatchCreateRequest.progress_notify).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from roost.client.backoff import Patience
from roost.client.connections import Caller
from roost.client.errors import ClientError, Compacted, Unreachable, error_of
from roost.client.shapes import Span
from roost.proto import kv_pb2, rpc_pb2

_PATH = "/etcdserverpb.Watch/Watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is watched: a key or range, from a revision on; 0 is from now on."""

    span: Span
    since: int = 0
    before: bool = False
    insists: bool = False

    def request(self, since: int) -> rpc_pb2.WatchRequest:
        """What asks for it, from a revision on."""
        create = rpc_pb2.WatchCreateRequest(
            key=self.span.key,
            range_end=self.span.range_end,
            start_revision=since,
            prev_kv=self.before,
            progress_notify=True,
        )
        return rpc_pb2.WatchRequest(create_request=create)


async def watch(
    caller: Caller, watched: Watched, patience_s: float
) -> AsyncGenerator[list[kv_pb2.Event], None]:
    """Yield the events of one answer after the other, for ever.

    Raises:
        Compacted: the revisions asked for, or missed, are gone.
        ClientError: it was refused, or no endpoint has answered for `patience_s`.

    """
    patience = Patience(caller.endpoint_count, patience_s, caller.clock_s, insists=watched.insists)
    since, was_stale = watched.since, False
    while True:
        answers = caller.stream(_PATH, watched.request(since), rpc_pb2.WatchResponse, is_held=True)
        try:
            async with aclosing(answers):
                async for answer in answers:
                    if answer.canceled:
                        raise _cancelled(answer)
                    patience.heard()
                    was_stale = False
                    if answer.events:
                        since = answer.events[-1].kv.mod_revision + 1
                        yield list(answer.events)
                    elif not answer.created or not since:
                        since = max(since, answer.header.revision + 1)
            raise Unreachable("UNAVAILABLE", "the watch ended")
        except ClientError as error:
            if not was_stale and caller.forget_token(error):
                was_stale = True
                continue
            pause_s = patience.failed(error)
        await asyncio.sleep(pause_s)


def _cancelled(answer: rpc_pb2.WatchResponse) -> ClientError:
    if answer.compact_revision:
        text = answer.cancel_reason or f"compacted at {answer.compact_revision}"
        return Compacted(answer.compact_revision, text)
    return error_of("CANCELLED", answer.cancel_reason or "the watch was ended", is_change=False)
