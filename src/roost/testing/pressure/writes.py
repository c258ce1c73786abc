"""Rows that write: many keys deleted, a lease that ends with many, locks, users, a pipeline."""

import threading
import time
from collections.abc import Callable

import grpc

from roost.proto import auth_pb2, lock_pb2, rpc_pb2
from roost.testing.patience import wait_until
from roost.testing.pressure.target import Caller, Target, puts
from roost.testing.pressure.wire import WAIT_S_MAX, Wire, drive, head_of, statuses

_LOCKS_A_CONNECTION = 100
LEASE_TTL_S = 5
# How often is looked how many stand in line: often enough to time it, too seldom to matter.
LOOK_S = 0.05
_USERS_AT_ONCE, _LISTS = 500, 20
_USER_ADD = head_of(b"/etcdserverpb.Auth/UserAdd")
_USER_GRANT = head_of(b"/etcdserverpb.Auth/UserGrantRole")
_LOCK = head_of(b"/v3lockpb.Lock/Lock")
_PUT = head_of(b"/etcdserverpb.KV/Put")


def _name(kind: bytes) -> bytes:
    """A prefix that no other act has."""
    return b"pressure-%s-%d/" % (kind, time.monotonic_ns())


def _count(caller: Caller, prefix: bytes) -> int:
    end = prefix[:-1] + bytes([prefix[-1] + 1])
    request = rpc_pb2.RangeRequest(key=prefix, range_end=end, count_only=True)
    return caller.range(request).count


def deleted(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Many keys, in one request."""
    prefix = _name(b"deleted")
    with Caller(target.leader) as caller:
        caller.fill(puts(prefix, target.sizes.deleted, b"v" * target.sizes.value_bytes))
        begin()
        request = rpc_pb2.DeleteRangeRequest(key=prefix, range_end=prefix[:-1] + b"0")
        answer = caller.call("KV/DeleteRange", request, rpc_pb2.DeleteRangeResponse)
        left = _count(caller, prefix)
    return {"deleted": answer.deleted, "missing": target.sizes.deleted - answer.deleted + left}


def administered(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Many users of one role, listed again and again, and the role deleted."""
    role, prefix = f"role-{time.monotonic_ns()}", f"user-{time.monotonic_ns()}-"
    options, wire = auth_pb2.UserAddOptions(no_password=True), Wire(target.leader)
    with Caller(target.leader) as caller:
        request = rpc_pb2.AuthRoleAddRequest(name=role)
        caller.call("Auth/RoleAdd", request, rpc_pb2.AuthRoleAddResponse)
        users = [f"{prefix}{number:06}" for number in range(target.sizes.users)]
        for head, asked in (
            (_USER_ADD, [rpc_pb2.AuthUserAddRequest(name=it, options=options) for it in users]),
            (_USER_GRANT, [rpc_pb2.AuthUserGrantRoleRequest(user=it, role=role) for it in users]),
        ):
            for begin_at in range(0, len(asked), _USERS_AT_ONCE):
                done = sum(wire.ended.values())
                rows = asked[begin_at : begin_at + _USERS_AT_ONCE]
                for it in rows:
                    wire.ask(head, it.SerializeToString())
                wanted = done + len(rows)
                drive([wire], lambda n=wanted: sum(wire.ended.values()) >= n)  # type: ignore[misc] # bound now
        wire.close()
        begin()
        for _ in range(_LISTS):
            listing = rpc_pb2.AuthUserListRequest()
            listed = caller.call("Auth/UserList", listing, rpc_pb2.AuthUserListResponse).users
        deletion = rpc_pb2.AuthRoleDeleteRequest(role=role)
        caller.call("Auth/RoleDelete", deletion, rpc_pb2.AuthRoleDeleteResponse)
        one = caller.call(
            "Auth/UserGet", rpc_pb2.AuthUserGetRequest(name=users[-1]), rpc_pb2.AuthUserGetResponse
        )
    return {"missing": len(set(users) - set(listed)) + len(one.roles)}


def leased(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """A lease with many keys runs out; `late_s` is how long after its time the last was gone."""
    prefix, filled = _name(b"leased"), threading.Event()
    with Caller(target.leader) as caller:
        grant = caller.call(
            "Lease/LeaseGrant",
            rpc_pb2.LeaseGrantRequest(TTL=LEASE_TTL_S),
            rpc_pb2.LeaseGrantResponse,
        )
        with Caller(target.leader) as renewer:
            renewing = threading.Thread(target=_renew, args=(renewer, grant.ID, filled))
            renewing.start()
            try:
                caller.fill(puts(prefix, target.sizes.leased, b"v", lease=grant.ID))
            finally:
                filled.set()
                renewing.join()
        due_s = time.monotonic() + LEASE_TTL_S
        last = rpc_pb2.RangeRequest(
            key=b"%s%08d" % (prefix, target.sizes.leased - 1), serializable=True
        )
        begin()
        wait_until(lambda: not caller.range(last).count, WAIT_S_MAX)
        late_s = time.monotonic() - due_s
        left = _count(caller, prefix)
    return {"late_s": round(late_s, 2), "missing": left}


def _renew(caller: Caller, lease_id: int, over: threading.Event) -> None:
    """Keep the lease alive until its keys are there, and once more."""
    caller.renew(lease_id)
    while not over.wait(LEASE_TTL_S / 5):
        caller.renew(lease_id)
    caller.renew(lease_id)


def locked(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """Many want the same lock at once; it is over when all of them stand in line."""
    name, count = _name(b"locked"), target.sizes.locks
    body = lock_pb2.LockRequest(name=name).SerializeToString()
    with Caller(target.leader) as caller:
        wires = [Wire(target.leader) for _ in range(-(-count // _LOCKS_A_CONNECTION))]
        begin()
        for number in range(count):
            wires[number % len(wires)].ask(_LOCK, body)

        in_line = 0

        def all_in_line() -> bool:
            nonlocal in_line
            try:
                in_line = _count(caller, name)
            except grpc.RpcError:
                return False  # a member that loses its leader meanwhile is looked at again
            return in_line + sum(statuses(wires).values()) >= count

        drive(wires, all_in_line, look_s=LOOK_S)
        for it in wires:
            it.close()
    return {"in_line": in_line, "missing": count - in_line}


def pipelined(target: Target, begin: Callable[[], None]) -> dict[str, float]:
    """One client keeps thousands of puts on their way."""
    sizes, wire = target.sizes, Wire(target.leader)
    prefix = _name(b"pipelined")
    sent = 0

    def send_one() -> None:
        nonlocal sent
        if sent < sizes.pipelined_puts:
            sent += 1
            request = rpc_pb2.PutRequest(key=b"%s%d" % (prefix, sent % 1000), value=b"v" * 100)
            wire.ask(_PUT, request.SerializeToString())

    wire.on_end = lambda _stream_id: send_one()
    begin()
    started_s = time.monotonic()
    for _ in range(sizes.pipelined):
        send_one()
    drive([wire], lambda: sum(wire.ended.values()) >= sizes.pipelined_puts)
    took_s = time.monotonic() - started_s
    wire.close()
    return {
        "puts_per_s": round(sizes.pipelined_puts / took_s),
        "failed": sum(wire.ended.values()) - wire.ended.get("0", 0),
    }
