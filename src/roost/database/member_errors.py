"""What a member says of a request that it did not carry out as it was asked, each by a name.

They have no words for clients: whoever answers some chooses these by the name (`etcd/errors.py`).
What every part of Roost may say is in `roost.errors`.
"""

from roost.member.errors import (
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

__all__ = [
    "AnswerLate",
    "AnswerTooLarge",
    "BadPeerUrls",
    "ChangeNotTaken",
    "DefragmentationRunning",
    "HistoryTrimmed",
    "LeaderSilent",
    "LeadershipLost",
    "LearnerBehind",
    "MalformedChange",
    "MalformedRecord",
    "MemberExists",
    "MemberNotFound",
    "NotALearner",
    "OperationFailed",
    "OtherHistory",
    "PeerUrlsTaken",
    "RequestTooLarge",
    "StoreReplaced",
    "TooFewAlive",
    "TooFewStarted",
    "TooManyLearners",
    "TooManyPeerUrls",
    "TransferLate",
]
