"""etcd's error codes and texts: clients match on them (etcd api: rpctypes/error.go).

They stand here and nowhere else.  etcd's own refusals are made by the functions, with code and
text; what the layers below raise has a name only, and `status_of` says it in etcd's words.
"""

from collections.abc import Mapping

from roost.call import Code, Status
from roost.database.member_errors import (
    AnswerLate,
    AnswerTooLarge,
    BadPeerUrls,
    ChangeNotTaken,
    DefragmentationRunning,
    HistoryTrimmed,
    LeadershipLost,
    LeaderSilent,
    LearnerBehind,
    MalformedChange,
    MalformedRecord,
    MemberExists,
    MemberGone,
    MemberNotFound,
    NotALearner,
    OperationFailed,
    OtherHistory,
    PeerUrlsTaken,
    RequestTooLarge,
    StoreReplaced,
    TooFewAlive,
    TooFewStarted,
    TooManyLearners,
    TooManyPeerUrls,
    TransferLate,
)
from roost.errors import (
    AnswerFailed,
    CallerGone,
    ModelRefused,
    NoLeader,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RoostError,
    ShortOfMemory,
    Stopped,
)

# What a client is told of a fault of ours; the log says which.
INTERNAL_ERROR = Status(Code.INTERNAL, "internal error")

NO_LEADER = "etcdserver: no leader"
# Ours: etcd takes what comes until the kernel ends it.
SHORT_OF_MEMORY = "etcdserver: too little memory is left"


def refused(code: int, text: str) -> ModelRefused:
    """Refused with that code, in these words."""
    return ModelRefused(code, text)


def empty_key() -> ModelRefused:
    """ErrGRPCEmptyKey."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: key is not provided")


def key_not_found() -> ModelRefused:
    """ErrGRPCKeyNotFound."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: key not found")


def value_provided() -> ModelRefused:
    """ErrGRPCValueProvided."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: value is provided")


def lease_provided() -> ModelRefused:
    """ErrGRPCLeaseProvided."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: lease is provided")


def too_many_operations() -> ModelRefused:
    """ErrGRPCTooManyOps."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request")


def too_many(what: str, most: int) -> ModelRefused:
    """What every request, or every one of a user, is held against has a bound; etcd has none."""
    return refused(Code.FAILED_PRECONDITION, f"etcdserver: too many {what}: there may be {most}")


def is_bound_of_ours(refusal: ModelRefused) -> bool:
    """Whether an operation was refused for a bound that etcd has not."""
    is_short = refusal.code == Code.RESOURCE_EXHAUSTED
    return is_short or refusal.text.startswith("etcdserver: too many")


def duplicate_key() -> ModelRefused:
    """ErrGRPCDuplicateKey."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")


def too_many_revisions(revision: int) -> ModelRefused:
    """A restored store would begin where revisions end."""
    return refused(Code.OUT_OF_RANGE, f"revision {revision} is beyond what can be counted up from")


def invalid_sort_option() -> ModelRefused:
    """ErrGRPCInvalidSortOption."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")


def compacted() -> ModelRefused:
    """ErrGRPCCompacted."""
    return refused(Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")


def future_revision() -> ModelRefused:
    """ErrGRPCFutureRev."""
    return refused(Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")


def lease_not_found() -> ModelRefused:
    """ErrGRPCLeaseNotFound."""
    return refused(Code.NOT_FOUND, "etcdserver: requested lease not found")


def lease_exists() -> ModelRefused:
    """ErrGRPCLeaseExist."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: lease already exists")


def lease_ttl_too_large() -> ModelRefused:
    """ErrGRPCLeaseTTLTooLarge."""
    return refused(Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")


def too_many_leases() -> ModelRefused:
    """Ours: etcd takes any number."""
    return refused(Code.RESOURCE_EXHAUSTED, "etcdserver: too many leases")


def root_user_missing() -> ModelRefused:
    """ErrGRPCRootUserNotExist."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")


def root_role_missing() -> ModelRefused:
    """ErrGRPCRootRoleNotExist."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: root user does not have root role")


def user_exists() -> ModelRefused:
    """ErrGRPCUserAlreadyExist."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: user name already exists")


def user_empty() -> ModelRefused:
    """ErrGRPCUserEmpty."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: user name is empty")


def user_not_found() -> ModelRefused:
    """ErrGRPCUserNotFound."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: user name not found")


def role_exists() -> ModelRefused:
    """ErrGRPCRoleAlreadyExist."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: role name already exists")


def role_not_found() -> ModelRefused:
    """ErrGRPCRoleNotFound."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: role name not found")


def role_empty() -> ModelRefused:
    """ErrGRPCRoleEmpty."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: role name is empty")


def auth_failed() -> ModelRefused:
    """ErrGRPCAuthFailed."""
    return refused(
        Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password"
    )


def permission_not_given() -> ModelRefused:
    """ErrGRPCPermissionNotGiven."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: permission not given")


def permission_denied() -> ModelRefused:
    """ErrGRPCPermissionDenied."""
    return refused(Code.PERMISSION_DENIED, "etcdserver: permission denied")


def role_not_granted() -> ModelRefused:
    """ErrGRPCRoleNotGranted."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: role is not granted to the user")


def permission_not_granted() -> ModelRefused:
    """ErrGRPCPermissionNotGranted."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: permission is not granted to the role")


def auth_not_enabled() -> ModelRefused:
    """ErrGRPCAuthNotEnabled."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")


def invalid_auth_token() -> ModelRefused:
    """ErrGRPCInvalidAuthToken."""
    return refused(Code.UNAUTHENTICATED, "etcdserver: invalid auth token")


def invalid_auth_management() -> ModelRefused:
    """ErrGRPCInvalidAuthMgmt."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: invalid auth management")


def auth_old_revision() -> ModelRefused:
    """ErrGRPCAuthOldRevision."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")


def too_many_tokens() -> ModelRefused:
    """Ours: etcd keeps any number."""
    return refused(Code.RESOURCE_EXHAUSTED, "etcdserver: too many auth tokens")


def too_many_attempts() -> ModelRefused:
    """Ours: etcd lets anybody guess."""
    return refused(Code.RESOURCE_EXHAUSTED, "etcdserver: too many failed authentications")


def cannot_sign() -> ModelRefused:
    """ErrVerifyOnly: a member that has only the public key."""
    return refused(Code.UNKNOWN, "auth: token was attempted to sign by a verify-only member")


def password_refused(text: str) -> ModelRefused:
    """Ours: etcd takes empty passwords."""
    return refused(Code.INVALID_ARGUMENT, f"etcdserver: {text}")


def no_downgrade() -> ModelRefused:
    """ErrGRPCNoInflightDowngrade."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: no inflight downgrade job")


def wrong_downgrade_version() -> ModelRefused:
    """ErrGRPCWrongDowngradeVersionFormat."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format")


def invalid_downgrade_target() -> ModelRefused:
    """ErrGRPCInvalidDowngradeTargetVersion."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: invalid downgrade target version")


def unknown_method() -> ModelRefused:
    """ErrUnknownMethod."""
    return refused(Code.UNKNOWN, "etcdserver: unknown method")


def session_expired() -> ModelRefused:
    """clientv3's concurrency.ErrSessionExpired."""
    return refused(Code.UNKNOWN, "mutex: session is expired")


def leader_key_missing() -> ModelRefused:
    """v3election.ErrMissingLeaderKey."""
    return refused(Code.UNKNOWN, '"leader" field must be provided')


def not_elected() -> ModelRefused:
    """clientv3's concurrency.ErrElectionNotLeader."""
    return refused(Code.UNKNOWN, "election: not leader")


def nobody_elected() -> ModelRefused:
    """clientv3's concurrency.ErrElectionNoLeader."""
    return refused(Code.UNKNOWN, "election: no leader")


def unknown_alarm_action(action: int) -> ModelRefused:
    """Ours: etcd's members end at it."""
    return refused(Code.INVALID_ARGUMENT, f"alarm action {action} is unknown")


def unknown_alarm(kind: int) -> ModelRefused:
    """Ours: etcd's members end at it."""
    return refused(Code.INVALID_ARGUMENT, f"alarm type {kind} is unknown")


def unknown_permission(kind: int) -> ModelRefused:
    """Ours: etcd grants it, and it permits nothing."""
    return refused(Code.INVALID_ARGUMENT, f"etcdserver: permission type {kind} is unknown")


def not_leader() -> ModelRefused:
    """ErrGRPCNotLeader."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: not leader")


def bad_transferee() -> ModelRefused:
    """ErrGRPCBadLeaderTransferee."""
    return refused(Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee")


def file_failed(error: OSError) -> ModelRefused:
    """A file could not be read or written for a caller."""
    return refused(Code.INTERNAL, f"etcdserver: {error}")


def no_space() -> ModelRefused:
    """ErrGRPCNoSpace."""
    return refused(Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")


def corrupt() -> ModelRefused:
    """ErrGRPCCorrupt."""
    return refused(Code.DATA_LOSS, "etcdserver: corrupt cluster")


def request_too_large() -> ModelRefused:
    """ErrGRPCRequestTooLarge."""
    return refused(Code.INVALID_ARGUMENT, "etcdserver: request is too large")


def message_too_large(size: int, size_max: int) -> ModelRefused:
    """What gRPC says for etcd, which sends no larger message."""
    text = f"grpc: trying to send message larger than max ({size} vs. {size_max})"
    return refused(Code.RESOURCE_EXHAUSTED, text)


def too_much_to_look_at() -> ModelRefused:
    """Ours: etcd looks at it, however long nobody else can write."""
    text = "etcdserver: the transaction looks at too many keys"
    return refused(Code.RESOURCE_EXHAUSTED, text)


def answer_too_large() -> ModelRefused:
    """Ours: etcd makes it, and lets its memory grow."""
    text = "etcdserver: the answer is too large for a request that writes"
    return refused(Code.RESOURCE_EXHAUSTED, text)


def not_for_learner() -> ModelRefused:
    """ErrGRPCNotSupportedForLearner."""
    return refused(Code.UNAVAILABLE, "etcdserver: rpc not supported for learner")


def malformed_request() -> ModelRefused:
    """What grpc-go answers to bytes that are no message."""
    return refused(Code.INTERNAL, "grpc: error unmarshalling request")


# Why a watch is not begun, or ended, while its stream goes on.
WATCH_RANGE_EMPTY = "mvcc: watcher range is empty"
WATCH_ID_TAKEN = "mvcc: duplicate watch ID provided on the WatchStream"
TOO_MANY_WATCHERS = "etcdserver: too many watchers"
WATCH_FILTERS = "etcdserver: a watch has at most 16 filters"
WATCH_DENIED = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
# The refusals that a watch is told in an answer of its own; any other ends its stream.
_TOLD_WATCHES = (Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED, Code.UNAUTHENTICATED)


def watch_refusal(error: RoostError) -> str | None:
    """Why a watch is not begun, as Go prints the error; None when its stream ends with it."""
    code, text = status_of(error)
    if code not in _TOLD_WATCHES:
        return None
    return f"rpc error: code = {Code(code).go_name} desc = {text}"


# What a client is told of an error of the layers below: of the nearest kind in this table, with
# its own text where `{error}` stands.
_STATUSES: Mapping[type[RoostError], Status] = {
    # Nothing of it ran.
    Overloaded: Status(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
    CallerGone: Status(Code.CANCELLED, "context canceled"),  # nobody hears it
    ShortOfMemory: Status(Code.RESOURCE_EXHAUSTED, SHORT_OF_MEMORY + ": {error}"),
    Stopped: Status(Code.UNAVAILABLE, "etcdserver: server stopped"),
    NoLeader: Status(Code.UNAVAILABLE, NO_LEADER),
    NotLeader: Status(Code.UNAVAILABLE, "etcdserver: leader changed"),
    # It may have.
    OutcomeUnknown: Status(Code.UNAVAILABLE, "etcdserver: request timed out"),
    AnswerFailed: Status(Code.INTERNAL, "{error}"),
    AnswerLate: Status(Code.UNAVAILABLE, "etcdserver: request timed out"),
    AnswerTooLarge: Status(Code.UNAVAILABLE, "etcdserver: the answer is too large to be forwarded"),
    LeadershipLost: Status(Code.UNAVAILABLE, "etcdserver: leader changed"),
    LeaderSilent: Status(
        Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure"
    ),
    TransferLate: Status(
        Code.UNAVAILABLE, "etcdserver: request timed out, leader transfer took too long"
    ),
    # A member said no.
    Refused: Status(Code.FAILED_PRECONDITION, "roost: {error}"),
    RequestTooLarge: Status(Code.INVALID_ARGUMENT, "etcdserver: request is too large"),
    OperationFailed: Status(Code.INTERNAL, "{error}"),
    MemberNotFound: Status(Code.NOT_FOUND, "etcdserver: member not found"),
    MemberGone: Status(Code.NOT_FOUND, "etcdserver: member not found"),  # v2 tells them apart
    MemberExists: Status(Code.FAILED_PRECONDITION, "etcdserver: member ID already exist"),
    PeerUrlsTaken: Status(Code.FAILED_PRECONDITION, "etcdserver: Peer URLs already exists"),
    BadPeerUrls: Status(Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid"),
    # As bad ones, with the reason: etcd takes any number.
    TooManyPeerUrls: Status(
        Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid: {error}"
    ),
    TooManyLearners: Status(
        Code.FAILED_PRECONDITION, "etcdserver: too many learner members in cluster"
    ),
    NotALearner: Status(Code.FAILED_PRECONDITION, "etcdserver: can only promote a learner member"),
    LearnerBehind: Status(
        Code.FAILED_PRECONDITION,
        "etcdserver: can only promote a learner member which is in sync with leader",
    ),
    TooFewStarted: Status(  # etcd maps it to an error that has no code
        Code.UNKNOWN, "etcdserver: re-configuration failed due to not enough started members"
    ),
    TooFewAlive: Status(Code.UNAVAILABLE, "etcdserver: unhealthy cluster"),
    ChangeNotTaken: Status(Code.FAILED_PRECONDITION, "etcdserver: {error}"),
    MalformedChange: Status(
        Code.INVALID_ARGUMENT, "etcdserver: no request to change the cluster: {error}"
    ),
    MalformedRecord: Status(Code.INVALID_ARGUMENT, "etcdserver: {error}"),
    OtherHistory: Status(Code.FAILED_PRECONDITION, "roost: that position is of another history"),
    HistoryTrimmed: Status(
        Code.FAILED_PRECONDITION,
        "roost: the journal does not reach back that far; save a full snapshot",
    ),
    StoreReplaced: Status(Code.FAILED_PRECONDITION, "roost: a snapshot has replaced the store"),
    DefragmentationRunning: Status(
        Code.FAILED_PRECONDITION, "roost: a defragmentation is under way"
    ),
    RoostError: Status(Code.UNAVAILABLE, "{error}"),
}


def status_of_fault(error: Exception) -> Status:
    """How a call ends at what nobody foresaw: no memory for it, or a bug of ours."""
    if isinstance(error, MemoryError):
        return status_of(ShortOfMemory("an allocation has failed"))
    return INTERNAL_ERROR


def status_of(error: RoostError) -> Status:
    """How a call ends that met an error of the layers below, or of ours."""
    if isinstance(error, ModelRefused):
        return Status(error.code, error.text)
    found = next(_STATUSES[it] for it in type(error).__mro__ if it in _STATUSES)
    return found._replace(text=found.text.replace("{error}", str(error)))
