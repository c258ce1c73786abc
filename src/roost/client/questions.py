"""Requests that change nothing, or nothing more when they are made twice.

When no answer comes nothing is in doubt, so they may be made again, and at two endpoints at once.
"""

from google.protobuf.message import Message

from roost.proto import rpc_pb2

_QUESTIONS = frozenset(
    f"/etcdserverpb.{it}"
    for it in (
        "KV/Range",
        "Lease/LeaseKeepAlive",
        "Lease/LeaseTimeToLive",
        "Lease/LeaseLeases",
        "Cluster/MemberList",
        "Maintenance/HashKV",
        "Maintenance/Status",
        "Auth/Authenticate",
        "Auth/AuthStatus",
        "Auth/UserGet",
        "Auth/UserList",
        "Auth/RoleGet",
        "Auth/RoleList",
    )
) | frozenset(f"/roost.Counters/{it}" for it in ("Read", "Search", "Describe"))


def is_question(path: str, request: Message) -> bool:
    """Whether a request changes nothing, so that nothing is in doubt when no answer comes."""
    if isinstance(request, rpc_pb2.TxnRequest):
        return all(it.HasField("request_range") for it in (*request.success, *request.failure))
    if isinstance(request, rpc_pb2.AlarmRequest):
        return request.action == rpc_pb2.AlarmRequest.GET
    return path in _QUESTIONS
