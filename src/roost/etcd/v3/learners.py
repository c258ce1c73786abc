"""What a learner answers: nothing that it might not know, as etcd's (v3rpc/interceptor.go).

A member without a vote serves its status, serializable ranges, which `kv_service` tells apart,
and copies of its store.  Everything else is refused before it is read, in one place: here.
"""

from typing import Final

from roost.call import Call, Route, Stream, StreamCall, StreamHandler, Unary
from roost.etcd import errors
from roost.etcd.ports import Replica
from roost.etcd.v3.requests import fail

SERVED: Final = frozenset(
    (
        b"/etcdserverpb.KV/Range",
        b"/etcdserverpb.Maintenance/Status",
        b"/etcdserverpb.Maintenance/Snapshot",
        b"/roost.Maintenance/Since",
    )
)


def refusing(path: bytes, route: Route, replica: Replica) -> Route:
    """The route, closed while the member is a learner unless learners serve it."""
    if path in SERVED:
        return route
    if isinstance(route, Unary):
        handle_served = route.handle

        def handle(call: Call, body: bytes) -> None:
            if replica.is_learner:
                fail(call, errors.not_for_learner())
            else:
                handle_served(call, body)

        return Unary(handle)
    open_served = route.open

    def open_stream(call: StreamCall) -> StreamHandler:
        if not replica.is_learner:
            return open_served(call)
        call.finish(*errors.status_of(errors.not_for_learner()))
        return _Ended()

    return Stream(open_stream)


class _Ended:
    """A stream that was ended before it began."""

    def on_message(self, message: bytes) -> None:
        """Nobody listens."""

    def on_half_close(self) -> None:
        """Nobody listens."""

    def on_cancel(self) -> None:
        """Nobody listens."""
