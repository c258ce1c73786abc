"""Replicated ordered trees inside a program: the face on which applications stand."""

from roost.database.errors import (
    BadArgument,
    BadDeclaration,
    BadKey,
    BadOpening,
    BadValue,
    Conflict,
    KeyTooLarge,
    KeyUndecodable,
    MemberEnded,
    MemberLost,
    NotYourTree,
    OnceTaken,
    OperationFailed,
    OtherCodec,
    Refused,
    TransactionOver,
    UnknownOperation,
    ValueTooLarge,
    ValueUndecodable,
    WriteSetTooLarge,
    WrongLoop,
)
from roost.database.limits import DEFAULT_LIMITS, Limits
from roost.database.operations import Operation, Operations
from roost.database.status import Status
from roost.database.transaction import Transaction

__all__ = [
    "DEFAULT_LIMITS",
    "BadArgument",
    "BadDeclaration",
    "BadKey",
    "BadOpening",
    "BadValue",
    "Conflict",
    "KeyTooLarge",
    "KeyUndecodable",
    "Limits",
    "MemberEnded",
    "MemberLost",
    "NotYourTree",
    "OnceTaken",
    "Operation",
    "OperationFailed",
    "Operations",
    "OtherCodec",
    "Refused",
    "Status",
    "Transaction",
    "TransactionOver",
    "UnknownOperation",
    "ValueTooLarge",
    "ValueUndecodable",
    "WriteSetTooLarge",
    "WrongLoop",
]
