"""Transactions as values: what must hold, what is done then, what otherwise.

    await client.txn(
        when=[Key("stock/7").value == "1", Key("sold/7").version == 0],
        then=[Put("stock/7", "0"), Put("sold/7", "ada")],
        otherwise=[Get("stock/7")],
    )

Comparisons are made by the operators of Python, on what is known of a key; a `Key` may stand for
every key of a range (etcd api: rpc.proto Compare).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Union

from roost.client.shapes import Data, Item, Span, bytes_of
from roost.proto import rpc_pb2


class Sign(Enum):
    """How two things are compared."""

    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    LESS = "LESS"
    GREATER = "GREATER"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Something that holds of a key, or of each key of a range, or not."""

    span: Span
    target: str
    sign: Sign
    operand: int | bytes

    def message(self) -> rpc_pb2.Compare:
        """As etcd has it."""
        made = rpc_pb2.Compare(
            key=self.span.key,
            range_end=self.span.range_end,
            target=self.target,
            result=self.sign.value,
        )
        setattr(made, _FIELDS[self.target], self.operand)
        return made


_FIELDS = {
    "VALUE": "value",
    "VERSION": "version",
    "CREATE": "create_revision",
    "MOD": "mod_revision",
    "LEASE": "lease",
}


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A number that is known of a key; comparing it makes a `Comparison`."""

    span: Span
    target: str

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]  # it makes a condition
        return self._compared(Sign.EQUAL, other)

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]  # it makes a condition
        return self._compared(Sign.NOT_EQUAL, other)

    def __lt__(self, other: int) -> Comparison:
        return self._compared(Sign.LESS, other)

    def __gt__(self, other: int) -> Comparison:
        return self._compared(Sign.GREATER, other)

    __hash__ = None  # type: ignore[assignment]  # equality makes a condition

    def _compared(self, sign: Sign, other: object) -> Comparison:
        if not isinstance(other, int):
            raise TypeError(f"a {self.target.lower()} is compared with an int, not {other!r}")
        return Comparison(self.span, self.target, sign, other)


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """The value of a key; comparing it makes a `Comparison`, which a key without one fails."""

    span: Span

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]  # it makes a condition
        return self._compared(Sign.EQUAL, other)

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]  # it makes a condition
        return self._compared(Sign.NOT_EQUAL, other)

    def __lt__(self, other: Data) -> Comparison:
        return self._compared(Sign.LESS, other)

    def __gt__(self, other: Data) -> Comparison:
        return self._compared(Sign.GREATER, other)

    __hash__ = None  # type: ignore[assignment]  # equality makes a condition

    def _compared(self, sign: Sign, other: object) -> Comparison:
        if not isinstance(other, str | bytes):
            raise TypeError(f"a value is compared with str or bytes, not {other!r}")
        return Comparison(self.span, "VALUE", sign, bytes_of(other))


class Key:
    """What is known of a key, to be compared; a key that is not there has zeros."""

    def __init__(self, key: Data, range_end: Data = b"", *, prefix: bool = False) -> None:
        """Of one key; or of each in a range, for all of which it must hold."""
        self.span = Span.of(key, range_end, prefix=prefix)

    @property
    def value(self) -> Value:
        """Its value."""
        return Value(self.span)

    @property
    def version(self) -> Number:
        """How often it was put since it was created; 0 when it is not there."""
        return Number(self.span, "VERSION")

    @property
    def create_revision(self) -> Number:
        """When it was created."""
        return Number(self.span, "CREATE")

    @property
    def mod_revision(self) -> Number:
        """When it was last put."""
        return Number(self.span, "MOD")

    @property
    def lease(self) -> Number:
        """Its lease."""
        return Number(self.span, "LEASE")


@dataclass(frozen=True, slots=True)
class Put:
    """Set a key."""

    key: Data
    value: Data
    lease: int = 0

    def message(self) -> rpc_pb2.RequestOp:
        """As etcd has it."""
        put = rpc_pb2.PutRequest(
            key=bytes_of(self.key), value=bytes_of(self.value), lease=self.lease
        )
        return rpc_pb2.RequestOp(request_put=put)


@dataclass(frozen=True, slots=True)
class Get:
    """Read a key or range."""

    key: Data
    range_end: Data = b""
    prefix: bool = False
    limit: int = 0

    def message(self) -> rpc_pb2.RequestOp:
        """As etcd has it."""
        span = Span.of(self.key, self.range_end, prefix=self.prefix)
        asked = rpc_pb2.RangeRequest(key=span.key, range_end=span.range_end, limit=self.limit)
        return rpc_pb2.RequestOp(request_range=asked)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key or range."""

    key: Data
    range_end: Data = b""
    prefix: bool = False

    def message(self) -> rpc_pb2.RequestOp:
        """As etcd has it."""
        span = Span.of(self.key, self.range_end, prefix=self.prefix)
        asked = rpc_pb2.DeleteRangeRequest(key=span.key, range_end=span.range_end)
        return rpc_pb2.RequestOp(request_delete_range=asked)


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction; as an operation of another one it is decided within it."""

    when: Sequence[Comparison] = ()
    then: Sequence["Operation"] = ()
    otherwise: Sequence["Operation"] = ()

    def request(self) -> rpc_pb2.TxnRequest:
        """As etcd has it."""
        return rpc_pb2.TxnRequest(
            compare=[it.message() for it in self.when],
            success=[it.message() for it in self.then],
            failure=[it.message() for it in self.otherwise],
        )

    def message(self) -> rpc_pb2.RequestOp:
        """As etcd has it, within another one."""
        return rpc_pb2.RequestOp(request_txn=self.request())


Operation = Put | Get | Delete | Txn


@dataclass(frozen=True, slots=True)
class TxnAnswer:
    """Which branch was taken, at which revision, and an outcome for each operation of it.

    An outcome is: of `Put` None, of `Get` the items, of `Delete` how many were there, of `Txn` an
    answer.
    """

    succeeded: bool
    revision: int
    outcomes: "tuple[Outcome, ...]"

    @classmethod
    def of(cls, answer: rpc_pb2.TxnResponse, revision: int = 0) -> "TxnAnswer":
        """What a message says; one within another has the revision of the whole."""
        revision = revision or answer.header.revision
        outcomes = tuple(_outcome(it, revision) for it in answer.responses)
        return cls(answer.succeeded, revision, outcomes)

    def items(self, position: int) -> tuple[Item, ...]:
        """What the `Get` at a position found."""
        found = self.outcomes[position]
        if not isinstance(found, tuple):
            raise TypeError(f"the operation at {position} is no Get")
        return found

    def item(self, position: int) -> Item | None:
        """The first that the `Get` at a position found."""
        return next(iter(self.items(position)), None)


Outcome = Union[None, int, tuple[Item, ...], TxnAnswer]  # noqa: UP007 - None | int is no type


def _outcome(said: rpc_pb2.ResponseOp, revision: int) -> Outcome:
    match said.WhichOneof("response"):
        case "response_range":
            return tuple(Item.of(it) for it in said.response_range.kvs)
        case "response_delete_range":
            return said.response_delete_range.deleted
        case "response_txn":
            return TxnAnswer.of(said.response_txn, revision)
        case _:
            return None
