"""The Lease service (etcd api: Lease); what its operations do is in `upkeep/lessor.py`."""

from google.protobuf.message import DecodeError

from roost.call import Call, Code, StreamCall
from roost.database.model import Light
from roost.errors import RoostError
from roost.etcd import errors
from roost.etcd.access.judge import anybody
from roost.etcd.upkeep.lessor import CHECKPOINT, EXPIRE, Lessor
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.requests import parse
from roost.etcd.v3.rights import Rights
from roost.outcome import Outcome
from roost.proto import rpc_pb2 as pb

RENEW, LIST = "etcd.lease_renew", "etcd.lease_list"


class LeaseService:
    """Grant, revoke, keep-alive, time to live, list."""

    def __init__(self, desk: Desk, lessor: Lessor) -> None:
        """Register the operations."""
        self._desk = desk
        border, rights = desk.border, Rights(desk.mvcc)
        border.register("etcd.lease_grant", lessor.grant, anybody)
        border.register("etcd.lease_revoke", lessor.revoke, rights.lease_revoke)
        border.register(RENEW, Light(lessor.renew_now, lessor.renew), rights.lease_renew)
        border.register("etcd.lease_time_to_live", lessor.time_to_live, rights.lease_time_to_live)
        border.register(LIST, lessor.list_leases, anybody)
        border.replica.register(EXPIRE, lessor.expire)
        border.replica.register(CHECKPOINT, lessor.checkpoint)

    def grant(self, call: Call, body: bytes) -> None:
        """LeaseGrant."""
        if parse(call, pb.LeaseGrantRequest, body) is not None:
            self._desk.write(call, "etcd.lease_grant", body)

    def revoke(self, call: Call, body: bytes) -> None:
        """LeaseRevoke."""
        if parse(call, pb.LeaseRevokeRequest, body) is not None:
            self._desk.write(call, "etcd.lease_revoke", body)

    def time_to_live(self, call: Call, body: bytes) -> None:
        """LeaseTimeToLive."""
        if parse(call, pb.LeaseTimeToLiveRequest, body) is not None:
            self._desk.write(call, "etcd.lease_time_to_live", body)

    def list_leases(self, call: Call, body: bytes) -> None:
        """LeaseLeases: the ids, by the time that is left; the leader knows it."""
        if parse(call, pb.LeaseLeasesRequest, body) is not None:
            self._desk.write(call, LIST, body)

    def keep_alive(self, call: StreamCall) -> "KeepAliveStream":
        """LeaseKeepAlive."""
        return KeepAliveStream(self._desk, call)


class KeepAliveStream:
    """Renews leases, one answer a request; a lease that is gone is answered with a TTL of 0.

    Full?  Renewals wait in the executor's queue, which refuses what is too much; that ends the
    stream.
    """

    def __init__(self, desk: Desk, call: StreamCall) -> None:
        """Nothing is asked yet."""
        self._desk = desk
        self._call = call
        self._pending_count = 0
        self._is_closing = False
        # Nobody waits for what was not renewed yet.
        self.is_over = False

    def on_message(self, message: bytes) -> None:
        """Renew one lease."""
        try:
            pb.LeaseKeepAliveRequest.FromString(message)
        except DecodeError:
            self._end(errors.malformed_request())
            return
        self._pending_count += 1
        self._desk.border.run(self._call, RENEW, message, self._on_renewed, self)

    def _on_renewed(self, outcome: Outcome) -> None:
        self._pending_count -= 1
        if self.is_over:
            return
        if isinstance(outcome, RoostError):
            self._end(outcome)
            return
        self._call.send(self._desk.headed_result(outcome))
        self._close_when_done()

    def _close_when_done(self) -> None:
        if self._is_closing and not self._pending_count:
            self.is_over = True
            self._call.finish(Code.OK, "")

    def _end(self, error: RoostError) -> None:
        self.is_over = True
        self._call.finish(*errors.status_of(error))

    def on_half_close(self) -> None:
        """The client asks no more."""
        self._is_closing = True
        self._close_when_done()

    def on_cancel(self) -> None:
        """The client is gone."""
        self.is_over = True
