"""How members are, and what keeps them well (etcd api: Maintenance)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from roost.client.backoff import Patience
from roost.client.connections import Connections
from roost.client.errors import ClientError, RequestRefused
from roost.client.shapes import Alarm, HashKv, Status
from roost.proto import rpc_pb2

_MAINTENANCE = "/etcdserverpb.Maintenance/"
# A member that sends a file says something at least so often.
_SILENCE_S = 30.0


class Maintenance:
    """What operators ask of members."""

    _connections: Connections

    async def status(self, endpoint: str) -> Status:
        """What the member at an endpoint says of itself; it is one of the client's `endpoints`.

        Raises:
            Unreachable: it does not answer.

        """
        said = await self._connections.call_at(
            endpoint, _MAINTENANCE + "Status", rpc_pb2.StatusRequest(), rpc_pb2.StatusResponse
        )
        return Status(
            endpoint=endpoint,
            member_id=said.header.member_id,
            leader_id=said.leader,
            term=said.raftTerm,
            index=said.raftIndex,
            applied_index=said.raftAppliedIndex,
            revision=said.header.revision,
            version=said.version,
            db_bytes=said.dbSize,
            db_bytes_in_use=said.dbSizeInUse,
            is_learner=said.isLearner,
            errors=tuple(said.errors),
        )

    async def alarms(self) -> list[Alarm]:
        """Every alarm that is raised."""
        request = rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET)
        said = await self._connections.call(_MAINTENANCE + "Alarm", request, rpc_pb2.AlarmResponse)
        return [Alarm(it.memberID, rpc_pb2.AlarmType.Name(it.alarm)) for it in said.alarms]

    async def disarm(self, alarm: Alarm) -> None:
        """Take an alarm back."""
        request = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.DEACTIVATE, memberID=alarm.member_id, alarm=alarm.kind
        )
        path, answer = _MAINTENANCE + "Alarm", rpc_pb2.AlarmResponse
        await self._connections.call(path, request, answer, is_repeatable=True)

    async def defragment(self) -> None:
        """Have one endpoint's member rewrite its store's file."""
        request, answer = rpc_pb2.DefragmentRequest(), rpc_pb2.DefragmentResponse
        await self._connections.call(_MAINTENANCE + "Defragment", request, answer)

    async def hash_kv(self, revision: int = 0) -> HashKv:
        """The hash of all keys up to a revision, 0 for the current one."""
        request = rpc_pb2.HashKVRequest(revision=revision)
        said = await self._connections.call(
            _MAINTENANCE + "HashKV", request, rpc_pb2.HashKVResponse
        )
        return HashKv(said.hash, said.header.revision, said.compact_revision)

    async def move_leader(self, member_id: int) -> None:
        """Let a member lead; one of the endpoints must be the leader's.

        Raises:
            RequestRefused: none is.
            ClientError: it cannot lead, or did not take over in time.

        """
        for endpoint in self._connections.endpoints:
            try:
                status = await self.status(endpoint.name)
            except ClientError:
                continue  # another may be the leader's
            if status.is_leader:
                asked = rpc_pb2.MoveLeaderRequest(targetID=member_id)
                path, answer = _MAINTENANCE + "MoveLeader", rpc_pb2.MoveLeaderResponse
                await self._connections.call_at(endpoint.name, path, asked, answer)
                return
        raise RequestRefused("FAILED_PRECONDITION", "none of the endpoints is the leader's")

    async def snapshot(self) -> AsyncGenerator[bytes, None]:
        """One endpoint's store, in pieces, with its SHA-256 as the last 32 bytes.

        Raises:
            ClientError: with the server's words; what came before it is of no use, and when it
                broke, asking again asks the next endpoint.

        """
        pieces = self._pieces(
            _MAINTENANCE + "Snapshot", rpc_pb2.SnapshotRequest(), rpc_pb2.SnapshotResponse
        )
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def written_since(
        self, index: int, term: int, cluster_id: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """What was written behind a log position, in pages; Roost's own.

        With `cluster_id` the position is one of that cluster.

        Raises:
            ClientError: the journal does not reach back that far, or is of another cluster.

        """
        request = rpc_pb2.SinceRequest(index=index, term=term)
        pieces = self._pieces(
            "/roost.Maintenance/Since", request, rpc_pb2.SinceResponse, cluster_id
        )
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def _pieces(  # Any: messages share no base that has a blob
        self, path: str, request: Any, answer: Any, cluster_id: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Yield one endpoint's answers; another is asked as long as nothing has come."""
        connections = self._connections
        patience = Patience(connections.endpoint_count, 0.0, connections.clock_s, insists=False)
        has_begun = was_stale = False
        while True:
            stream = connections.stream(path, request, answer, silence_s=_SILENCE_S)
            try:
                async with aclosing(stream):
                    async for said in stream:
                        has_begun = True
                        if cluster_id not in (0, said.header.cluster_id):
                            raise RequestRefused(
                                "FAILED_PRECONDITION",
                                f"the member is of cluster {said.header.cluster_id:x}, and what "
                                f"is to be followed is of {cluster_id:x}: ask a member of that one",
                            )
                        yield said.blob
            except ClientError as error:
                if has_begun:
                    raise
                if not was_stale and connections.forget_token(error):
                    was_stale = True
                    continue
                await asyncio.sleep(patience.failed(error))
            else:
                return
