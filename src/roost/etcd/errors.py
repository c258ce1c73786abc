"""etcd's error codes and texts: clients match on them (etcd api: rpctypes/error.go)."""

from roost.errors import (
    AnswerFailed,
    NoLeader,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RoostError,
    Stopped,
)

INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED = 3, 5, 8
FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 9, 11, 12, 13, 14
# What a client is told of a fault of ours; the log says which.
INTERNAL_ERROR = (INTERNAL, "internal error")
DATA_LOSS, UNAUTHENTICATED, PERMISSION_DENIED, UNKNOWN = 15, 16, 7, 2

NO_LEADER = "etcdserver: no leader"


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


def too_many_revisions(revision: int) -> Refused:
    """A restored store would begin where revisions end."""
    return _refused(OUT_OF_RANGE, f"revision {revision} is beyond what can be counted up from")


def invalid_sort_option() -> Refused:
    """ErrGRPCInvalidSortOption."""
    return _refused(INVALID_ARGUMENT, "etcdserver: invalid sort option")


def compacted() -> Refused:
    """ErrGRPCCompacted."""
    return _refused(OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")


def future_revision() -> Refused:
    """ErrGRPCFutureRev."""
    return _refused(OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")


def lease_not_found() -> Refused:
    """ErrGRPCLeaseNotFound."""
    return _refused(NOT_FOUND, "etcdserver: requested lease not found")


def lease_exists() -> Refused:
    """ErrGRPCLeaseExist."""
    return _refused(FAILED_PRECONDITION, "etcdserver: lease already exists")


def lease_ttl_too_large() -> Refused:
    """ErrGRPCLeaseTTLTooLarge."""
    return _refused(OUT_OF_RANGE, "etcdserver: too large lease TTL")


def too_many_leases() -> Refused:
    """Ours: etcd takes any number."""
    return _refused(RESOURCE_EXHAUSTED, "etcdserver: too many leases")


def root_user_missing() -> Refused:
    """ErrGRPCRootUserNotExist."""
    return _refused(FAILED_PRECONDITION, "etcdserver: root user does not exist")


def root_role_missing() -> Refused:
    """ErrGRPCRootRoleNotExist."""
    return _refused(FAILED_PRECONDITION, "etcdserver: root user does not have root role")


def user_exists() -> Refused:
    """ErrGRPCUserAlreadyExist."""
    return _refused(FAILED_PRECONDITION, "etcdserver: user name already exists")


def user_empty() -> Refused:
    """ErrGRPCUserEmpty."""
    return _refused(INVALID_ARGUMENT, "etcdserver: user name is empty")


def user_not_found() -> Refused:
    """ErrGRPCUserNotFound."""
    return _refused(FAILED_PRECONDITION, "etcdserver: user name not found")


def role_exists() -> Refused:
    """ErrGRPCRoleAlreadyExist."""
    return _refused(FAILED_PRECONDITION, "etcdserver: role name already exists")


def role_not_found() -> Refused:
    """ErrGRPCRoleNotFound."""
    return _refused(FAILED_PRECONDITION, "etcdserver: role name not found")


def role_empty() -> Refused:
    """ErrGRPCRoleEmpty."""
    return _refused(INVALID_ARGUMENT, "etcdserver: role name is empty")


def auth_failed() -> Refused:
    """ErrGRPCAuthFailed."""
    return _refused(
        INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password"
    )


def permission_not_given() -> Refused:
    """ErrGRPCPermissionNotGiven."""
    return _refused(INVALID_ARGUMENT, "etcdserver: permission not given")


def permission_denied() -> Refused:
    """ErrGRPCPermissionDenied."""
    return _refused(PERMISSION_DENIED, "etcdserver: permission denied")


def role_not_granted() -> Refused:
    """ErrGRPCRoleNotGranted."""
    return _refused(FAILED_PRECONDITION, "etcdserver: role is not granted to the user")


def permission_not_granted() -> Refused:
    """ErrGRPCPermissionNotGranted."""
    return _refused(FAILED_PRECONDITION, "etcdserver: permission is not granted to the role")


def auth_not_enabled() -> Refused:
    """ErrGRPCAuthNotEnabled."""
    return _refused(FAILED_PRECONDITION, "etcdserver: authentication is not enabled")


def invalid_auth_token() -> Refused:
    """ErrGRPCInvalidAuthToken."""
    return _refused(UNAUTHENTICATED, "etcdserver: invalid auth token")


def invalid_auth_management() -> Refused:
    """ErrGRPCInvalidAuthMgmt."""
    return _refused(INVALID_ARGUMENT, "etcdserver: invalid auth management")


def auth_old_revision() -> Refused:
    """ErrGRPCAuthOldRevision."""
    return _refused(INVALID_ARGUMENT, "etcdserver: revision of auth store is old")


def too_many_tokens() -> Refused:
    """Ours: etcd keeps any number."""
    return _refused(RESOURCE_EXHAUSTED, "etcdserver: too many auth tokens")


def too_many_attempts() -> Refused:
    """Ours: etcd lets anybody guess."""
    return _refused(RESOURCE_EXHAUSTED, "etcdserver: too many failed authentications")


def cannot_sign() -> Refused:
    """ErrVerifyOnly: a member that has only the public key."""
    return _refused(UNKNOWN, "auth: token was attempted to sign by a verify-only member")


def password_refused(text: str) -> Refused:
    """Ours: etcd takes empty passwords."""
    return _refused(INVALID_ARGUMENT, f"etcdserver: {text}")


def no_downgrade() -> Refused:
    """ErrGRPCNoInflightDowngrade."""
    return _refused(FAILED_PRECONDITION, "etcdserver: no inflight downgrade job")


def wrong_downgrade_version() -> Refused:
    """ErrGRPCWrongDowngradeVersionFormat."""
    return _refused(INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format")


def invalid_downgrade_target() -> Refused:
    """ErrGRPCInvalidDowngradeTargetVersion."""
    return _refused(INVALID_ARGUMENT, "etcdserver: invalid downgrade target version")


def unknown_method() -> Refused:
    """ErrUnknownMethod."""
    return _refused(UNKNOWN, "etcdserver: unknown method")


def session_expired() -> Refused:
    """clientv3's concurrency.ErrSessionExpired."""
    return _refused(UNKNOWN, "mutex: session is expired")


def leader_key_missing() -> Refused:
    """v3election.ErrMissingLeaderKey."""
    return _refused(UNKNOWN, '"leader" field must be provided')


def not_elected() -> Refused:
    """clientv3's concurrency.ErrElectionNotLeader."""
    return _refused(UNKNOWN, "election: not leader")


def nobody_elected() -> Refused:
    """clientv3's concurrency.ErrElectionNoLeader."""
    return _refused(UNKNOWN, "election: no leader")


def unknown_alarm_action(action: int) -> Refused:
    """Ours: etcd's members end at it."""
    return _refused(INVALID_ARGUMENT, f"alarm action {action} is unknown")


def unknown_alarm(kind: int) -> Refused:
    """Ours: etcd's members end at it."""
    return _refused(INVALID_ARGUMENT, f"alarm type {kind} is unknown")


def unknown_permission(kind: int) -> Refused:
    """Ours: etcd grants it, and it permits nothing."""
    return _refused(INVALID_ARGUMENT, f"etcdserver: permission type {kind} is unknown")


def not_leader() -> Refused:
    """ErrGRPCNotLeader."""
    return _refused(FAILED_PRECONDITION, "etcdserver: not leader")


def bad_transferee() -> Refused:
    """ErrGRPCBadLeaderTransferee."""
    return _refused(FAILED_PRECONDITION, "etcdserver: bad leader transferee")


def file_failed(error: OSError) -> Refused:
    """A file could not be read or written for a caller."""
    return _refused(INTERNAL, f"etcdserver: {error}")


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


# Why a watch is not begun, or ended, while its stream goes on.
WATCH_RANGE_EMPTY = "mvcc: watcher range is empty"
WATCH_ID_TAKEN = "mvcc: duplicate watch ID provided on the WatchStream"
TOO_MANY_WATCHERS = "etcdserver: too many watchers"
WATCH_DENIED = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
_GO_NAMES = {
    INVALID_ARGUMENT: "InvalidArgument",
    PERMISSION_DENIED: "PermissionDenied",
    UNAUTHENTICATED: "Unauthenticated",
}


def watch_refusal(error: RoostError) -> str | None:
    """Why a watch is not begun, as Go prints the error; None when its stream ends with it."""
    code, text = status_of(error)
    name = _GO_NAMES.get(code)
    return None if name is None else f"rpc error: code = {name} desc = {text}"


def status_of(error: RoostError) -> tuple[int, str]:
    """The gRPC status for an error of the layers below."""
    match error:
        case Refused():
            return error.code, error.text
        case Overloaded():
            return RESOURCE_EXHAUSTED, "etcdserver: too many requests"
        case Stopped():
            return UNAVAILABLE, "etcdserver: server stopped"
        case AnswerFailed():
            return INTERNAL, str(error)
        case OutcomeUnknown():
            return UNAVAILABLE, str(error) or "etcdserver: request timed out"
        case NoLeader():
            return UNAVAILABLE, NO_LEADER
        case _:
            return UNAVAILABLE, str(error) or "etcdserver: leader changed"
