"""The Election service (etcd api: v3election): who has the turn leads, and its key's value says so.

Whoever leads may change the value, and may resign; everybody may ask who leads, and watch.
"""

from collections.abc import Callable

from roost.call import Call, StreamCall
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.model.wire import decode_key_value, field, read_origin
from roost.etcd.v3.answering import Answering, PassedOn
from roost.etcd.v3.candidates import Candidates
from roost.etcd.v3.checks import check_txn
from roost.etcd.v3.long_reads import LongRead, Steps
from roost.etcd.v3.requests import fail, parse
from roost.etcd.v3.turns import Turns
from roost.outcome import Outcome
from roost.proto import election_pb2
from roost.proto import rpc_pb2 as pb
from roost.proto.ranges import prefix_end


class ElectionService:
    """Campaign, proclaim, resign; who leads, and who leads from now on."""

    def __init__(self, turns: Turns) -> None:
        """Elections are lines."""
        self._turns = turns
        self._desk = turns.desk
        self._candidates = Candidates(turns.desk)

    def campaign(self, call: StreamCall) -> Answering:
        """Campaign: answers when the caller leads."""

        async def answer(message: bytes) -> None:
            request = election_pb2.CampaignRequest.FromString(message)
            turn = await self._turns.take(
                call, request.name, request.lease, value=request.value, is_vote=True
            )
            leader = election_pb2.LeaderKey(
                name=request.name, key=turn.key, rev=turn.create_revision, lease=turn.lease
            )
            said = election_pb2.CampaignResponse(leader=leader)
            call.send(self._desk.headed(said.SerializeToString(), turn.revision))

        return Answering(self._desk.tasks, call, answer, passes_on=True)

    def proclaim(self, call: Call, body: bytes) -> None:
        """Proclaim: the leader changes its value; refused to whoever does not lead."""
        request = parse(call, election_pb2.ProclaimRequest, body, _check_leader)
        if request is None:
            return
        leader = request.leader
        put = pb.PutRequest(key=leader.key, value=request.value, lease=leader.lease)
        self._change(call, leader, pb.RequestOp(request_put=put), errors.not_elected)

    def resign(self, call: Call, body: bytes) -> None:
        """Resign: nothing happens when the caller does not lead any more."""
        request = parse(call, election_pb2.ResignRequest, body, _check_leader)
        if request is None:
            return
        delete = pb.DeleteRangeRequest(key=request.leader.key)
        self._change(call, request.leader, pb.RequestOp(request_delete_range=delete), None)

    def _change(
        self,
        call: Call,
        leader: election_pb2.LeaderKey,
        operation: pb.RequestOp,
        refusal: Callable[[], RoostError] | None,
    ) -> None:
        """Do something if the key is still the one that was elected."""
        compare = pb.Compare(key=leader.key, target=pb.Compare.CREATE, create_revision=leader.rev)
        asked = pb.TxnRequest(compare=[compare], success=[operation]).SerializeToString()
        call = PassedOn(call)
        if parse(call, pb.TxnRequest, asked, check_txn) is None:
            return

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, RoostError):
                fail(call, outcome)
                return
            if refusal is not None and not pb.TxnResponse.FromString(outcome[8:]).succeeded:
                fail(call, refusal())
                return
            call.reply(self._desk.headed(b"", int.from_bytes(outcome[:8], "big")))

        self._desk.border.run(call, "etcd.txn", asked, done, call)

    def leader(self, call: Call, body: bytes) -> None:
        """Leader: the key of who leads now."""
        request = parse(call, election_pb2.LeaderRequest, body)
        if request is None:
            return
        prefix = request.name + b"/"
        passed_on = PassedOn(call)

        def begin(read: LongRead) -> Steps:
            headed = self._desk.headed(b"", self._desk.mvcc.revision(read.view))

            def tell(encoded: bytes) -> None:
                if not encoded:
                    raise errors.nobody_elected()
                passed_on.reply(headed + field(b"\x12", encoded))

            return self._candidates.search(read, prefix, tell)

        end = prefix_end(prefix)
        self._desk.read_long(passed_on, begin, lambda judge: judge.need_read(prefix, end))

    def observe(self, call: StreamCall) -> Answering:
        """Observe: who leads, from now on, and what it proclaims; the newest when there is much."""

        async def answer(message: bytes) -> None:
            request = election_pb2.LeaderRequest.FromString(message)
            prefix = request.name + b"/"
            end = prefix_end(prefix)
            await self._desk.border.wait_admitted(call, lambda judge: judge.need_read(prefix, end))
            told = b""
            with self._turns.hear_changes(prefix) as changed:
                while True:
                    changed.clear()
                    encoded = self._as_it_is(told) or await self._candidates.first(call, prefix)
                    if encoded not in (b"", told):
                        told = encoded
                        revision = decode_key_value(encoded).mod_revision
                        call.send(self._desk.headed(field(b"\x12", encoded), revision))
                    await changed.wait()

        return Answering(self._desk.tasks, call, answer, passes_on=True)

    def _as_it_is(self, leader: bytes) -> bytes:
        """The KeyValue of who led, as it is now; b"" when it was nobody, or does so no more.

        Whoever comes later stands behind: who is there as it was leads as it did.
        """
        if not leader:
            return b""
        known = decode_key_value(leader)
        encoded = self._desk.replica.view.get(self._desk.mvcc.kv, known.key)
        if encoded is None or read_origin(encoded).create_revision != known.create_revision:
            return b""
        return encoded


def _check_leader(
    request: election_pb2.ProclaimRequest | election_pb2.ResignRequest,
) -> None:
    if not request.HasField("leader"):
        raise errors.leader_key_missing()
