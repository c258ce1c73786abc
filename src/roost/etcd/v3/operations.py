"""Operations of the application that members are part of, for clients; Roost's own.

What they are, and what is answered, is the database's business: this is only their way in.  They
write what they like, and no role says which trees somebody may touch: while authentication is on
they are root's.
"""

from functools import partial

from roost.call import Call
from roost.database.model import RUN_OPERATION, encode_asked
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.requests import fail, parse
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb


class OperationService:
    """Runs them by their names."""

    def __init__(self, desk: Desk) -> None:
        """Let calls in by `desk`."""
        self._desk = desk

    def run(self, call: Call, body: bytes) -> None:
        """Run: an operation, on the member that leads."""
        desk = self._desk
        request = parse(call, pb.RunRequest, body)
        if request is None:
            return
        if len(body) > desk.limits.request_bytes_max:
            fail(call, errors.request_too_large())
            return
        asked = encode_asked(request.name, request.arguments, request.once or None)

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                fail(call, outcome)
            else:
                call.reply(pb.RunResponse(answer=outcome).SerializeToString())

        run = partial(desk.replica.transact_nowait, RUN_OPERATION, asked, done, call.flow, call)
        desk.admit_root(call, run)
