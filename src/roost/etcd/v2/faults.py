"""What v2 says no with: codes, words and statuses of its own (etcd: errors/error.go of 2.3).

A fault has a code, what exactly it is about, and the index of the store then.  Clients match on
codes; the words of each stand here and nowhere else.
"""

from collections.abc import Iterator
from enum import IntEnum

from roost.call import Code
from roost.errors import Refused, RoostError
from roost.etcd.errors import status_of, user_empty
from roost.etcd.v2.json_text import quoted, quoted_pieces


class Reason(IntEnum):
    """Why; the numbers are etcd's."""

    KEY_NOT_FOUND = 100
    COMPARE_FAILED = 101
    NOT_A_FILE = 102
    NOT_A_DIRECTORY = 104
    KEY_EXISTS = 105
    ROOT_IS_READ_ONLY = 107
    NOT_EMPTY = 108
    UNAUTHORIZED = 110
    PREV_VALUE_REQUIRED = 201
    TTL_NOT_A_NUMBER = 202
    INDEX_NOT_A_NUMBER = 203
    TIMEOUT_NOT_A_NUMBER = 205
    NAME_REQUIRED = 206
    INDEX_OR_VALUE_REQUIRED = 207
    INDEX_AND_VALUE = 208
    INVALID_FIELD = 209
    INVALID_FORM = 210
    VALUE_ON_REFRESH = 211
    TTL_REQUIRED_ON_REFRESH = 212
    INTERNAL = 300
    DURING_ELECTION = 301
    CLEARED_BY_RECOVERY = 400
    EVENT_CLEARED = 401


_WORDS = {
    Reason.KEY_NOT_FOUND: "Key not found",
    Reason.COMPARE_FAILED: "Compare failed",
    Reason.NOT_A_FILE: "Not a file",
    Reason.NOT_A_DIRECTORY: "Not a directory",
    Reason.KEY_EXISTS: "Key already exists",
    Reason.ROOT_IS_READ_ONLY: "Root is read only",
    Reason.NOT_EMPTY: "Directory not empty",
    Reason.UNAUTHORIZED: "The request requires user authentication",
    Reason.PREV_VALUE_REQUIRED: "PrevValue is Required in POST form",
    Reason.TTL_NOT_A_NUMBER: "The given TTL in POST form is not a number",
    Reason.INDEX_NOT_A_NUMBER: "The given index in POST form is not a number",
    Reason.TIMEOUT_NOT_A_NUMBER: "The given timeout in POST form is not a number",
    Reason.NAME_REQUIRED: "Name is required in POST form",
    Reason.INDEX_OR_VALUE_REQUIRED: "Index or value is required",
    Reason.INDEX_AND_VALUE: "Index and value cannot both be specified",
    Reason.INVALID_FIELD: "Invalid field",
    Reason.INVALID_FORM: "Invalid POST form",
    Reason.VALUE_ON_REFRESH: "Value provided on refresh",
    Reason.TTL_REQUIRED_ON_REFRESH: "A TTL must be provided on refresh",
    Reason.INTERNAL: "Raft Internal Error",
    Reason.DURING_ELECTION: "During Leader Election",
    Reason.CLEARED_BY_RECOVERY: "watcher is cleared due to etcd recovery",
    Reason.EVENT_CLEARED: "The event in requested index is outdated and cleared",
}
_STATUSES = {
    Reason.KEY_NOT_FOUND: 404,
    Reason.NOT_A_FILE: 403,
    Reason.NOT_EMPTY: 403,
    Reason.UNAUTHORIZED: 401,
    Reason.COMPARE_FAILED: 412,
    Reason.KEY_EXISTS: 412,
    Reason.INTERNAL: 500,
    Reason.DURING_ELECTION: 500,
}

# v3 tells who has to be somebody with a code of its own.
_NOBODY = (status_of(user_empty()),)


class Fault(Refused):
    """A request to v2 that is answered with an error of v2's."""

    def __init__(self, reason: Reason, cause: bytes | str = b"", index: int = 0) -> None:
        """`cause` is what it is about; `index` that of the store, 0 when it was not asked."""
        super().__init__(_WORDS[reason])
        self.reason = reason
        self.cause = cause.encode() if isinstance(cause, str) else cause
        self.index = index

    @property
    def status(self) -> int:
        """HTTP's."""
        return _STATUSES.get(self.reason, 400)

    @property
    def body(self) -> bytes:
        """As JSON."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The same, piece by piece: a value that is compared may be as long as any."""
        words = quoted(_WORDS[self.reason].encode())
        yield b'{"errorCode":%d,"message":%b' % (self.reason, words)
        if self.cause:
            yield b',"cause":'
            yield from quoted_pieces(self.cause)
        yield b',"index":%d}\n' % self.index


def fault_of(error: RoostError) -> Fault:
    """How v2 says what other rooms said no with; the words are those of v3 (`etcd/errors.py`)."""
    if isinstance(error, Fault):
        return error
    said = status_of(error)
    if said in _NOBODY or said.code in (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED):
        return Fault(Reason.UNAUTHORIZED, "Insufficient credentials")
    return Fault(Reason.INTERNAL, said.text)
