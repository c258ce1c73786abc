"""etcd's error codes and texts: clients match on them (etcd api: rpctypes/error.go)."""

from roost.errors import NoLeader, OutcomeUnknown, Overloaded, Refused, RoostError, Stopped

INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED = 3, 5, 8
FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 9, 11, 12, 13, 14
DATA_LOSS = 15


def _refused(code: int, text: str) -> Refused:
    return Refused(code, text)


def empty_key() -> Refused:
    """ErrGRPCEmptyKey."""
    return _refused(INVALID_ARGUMENT, "etcdserver: key is not provided")


def key_not_found() -> Refused:
    """ErrGRPCKeyNotFound."""
    return _refused(INVALID_ARGUMENT, "etcdserver: key not found")


def value_provided() -> Refused:
    """ErrGRPCValueProvided."""
    return _refused(INVALID_ARGUMENT, "etcdserver: value is provided")


def lease_provided() -> Refused:
    """ErrGRPCLeaseProvided."""
    return _refused(INVALID_ARGUMENT, "etcdserver: lease is provided")


def too_many_operations() -> Refused:
    """ErrGRPCTooManyOps."""
    return _refused(INVALID_ARGUMENT, "etcdserver: too many operations in txn request")


def duplicate_key() -> Refused:
    """ErrGRPCDuplicateKey."""
    return _refused(INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")


def compacted() -> Refused:
    """ErrGRPCCompacted."""
    return _refused(OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")


def future_revision() -> Refused:
    """ErrGRPCFutureRev."""
    return _refused(OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")


def lease_not_found() -> Refused:
    """ErrGRPCLeaseNotFound."""
    return _refused(NOT_FOUND, "etcdserver: requested lease not found")


def no_space() -> Refused:
    """ErrGRPCNoSpace."""
    return _refused(RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")


def corrupt() -> Refused:
    """ErrGRPCCorrupt."""
    return _refused(DATA_LOSS, "etcdserver: corrupt cluster")


def request_too_large() -> Refused:
    """ErrGRPCRequestTooLarge."""
    return _refused(INVALID_ARGUMENT, "etcdserver: request is too large")


def not_for_learner() -> Refused:
    """ErrGRPCNotSupportedForLearner."""
    return _refused(UNAVAILABLE, "etcdserver: rpc not supported for learner")


def malformed_request() -> Refused:
    """What grpc-go answers to bytes that are no message."""
    return _refused(INTERNAL, "grpc: error unmarshalling request")


def status_of(error: RoostError) -> tuple[int, str]:
    """The gRPC status for an error of the layers below."""
    match error:
        case Refused():
            return error.code, error.text
        case Overloaded():
            return RESOURCE_EXHAUSTED, "etcdserver: too many requests"
        case Stopped():
            return UNAVAILABLE, "etcdserver: server stopped"
        case OutcomeUnknown():
            return UNAVAILABLE, str(error) or "etcdserver: request timed out"
        case NoLeader():
            return UNAVAILABLE, "etcdserver: no leader"
        case _:
            return UNAVAILABLE, str(error) or "etcdserver: leader changed"
