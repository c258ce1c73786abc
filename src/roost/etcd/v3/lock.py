"""The Lock service (etcd api: v3lock): a lock is a turn in the line of its name."""

from roost.call import Call, StreamCall
from roost.etcd.model.wire import field
from roost.etcd.v3.answering import Answering, PassedOn
from roost.etcd.v3.checks import check_delete
from roost.etcd.v3.requests import parse
from roost.etcd.v3.turns import Turns
from roost.proto import lock_pb2
from roost.proto import rpc_pb2 as pb


class LockService:
    """Lock and unlock."""

    def __init__(self, turns: Turns) -> None:
        """Hand out turns."""
        self._turns = turns
        self._desk = turns.desk

    def lock(self, call: StreamCall) -> Answering:
        """Lock: answers when the lock is the caller's; it is whose lease is in the key's name."""

        async def answer(message: bytes) -> None:
            request = lock_pb2.LockRequest.FromString(message)
            turn = await self._turns.take(call, request.name, request.lease)
            call.send(self._desk.headed(field(b"\x12", turn.key), turn.revision))

        return Answering(self._desk.tasks, call, answer, passes_on=True)

    def unlock(self, call: Call, body: bytes) -> None:
        """Unlock: the key goes away, and the next has its turn."""
        request = parse(call, lock_pb2.UnlockRequest, body)
        if request is None:
            return
        call = PassedOn(call)
        doomed = pb.DeleteRangeRequest(key=request.key).SerializeToString()
        if parse(call, pb.DeleteRangeRequest, doomed, check_delete) is not None:
            self._desk.write(call, "etcd.delete_range", doomed, headed_only=True)
