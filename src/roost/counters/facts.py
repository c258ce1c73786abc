"""What is decided of counters for all members at once: one row of the replicated store.

    tree `$counters`    `facts` -> MessagePack `Facts`

The tree is made by the first operation that writes there: a cluster that does not count has none.
Operations decide by `registry`, and every member carries out what it finds written, whenever it
looks: so there is nothing to be missed.

    counters.admit    a member counts under a name from now on
    counters.purge    what everybody has heard up to these versions is purged; what was proven
                      before is written over, for proofs only grow

Each says by which `edition` of the facts it was made, where that matters: an operation of another
one is refused.
"""

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import msgspec

from roost.counters import registry
from roost.counters.errors import FactsChanged, OwnerRefused
from roost.counters.registry import Registered
from roost.counters.rows import EPOCH_BYTES
from roost.database.model import Store, Txn, UnknownTree, View
from roost.errors import UNDECODABLE, ModelRefused, Refused

TREE, KEY = "$counters", b"facts"
ADMIT, PURGE = "counters.admit", "counters.purge"
NAME_CHARACTERS_MAX = 128
OWNERS_MAX = 1 << 12
_INVALID, _PRECONDITION = 3, 9


class Standing(Enum):
    """What is decided of an owner."""

    COUNTS = "counts"
    RETIRED = "retired"


class Owner(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who counts, or has counted; `member_id` is where its directory was last.

    `is_ready` = it has what the others have, and clients are sent there.
    """

    name: str
    epoch: bytes
    member_id: int
    is_ready: bool
    standing: Standing = Standing.COUNTS


class Facts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that is decided; `edition` counts changes of who counts."""

    edition: int = 0
    owners: tuple[Owner, ...] = ()
    purge_number: int = 0
    purge: dict[bytes, int] = {}

    def of_epoch(self, epoch: bytes) -> Owner | None:
        """The owner of an epoch."""
        return next((it for it in self.owners if it.epoch == epoch), None)

    def counting(self) -> list[Owner]:
        """Those who count, in the order in which they were admitted last."""
        return [it for it in self.owners if it.standing is Standing.COUNTS]

    def retired(self) -> set[bytes]:
        """Epochs of those who are away for good."""
        return {it.epoch for it in self.owners if it.standing is Standing.RETIRED}

    def registered(self) -> list[Registered]:
        """Owners, as `registry` asks for them."""
        return [
            Registered(it.name, it.epoch, it.standing is Standing.RETIRED) for it in self.owners
        ]

    def name_of(self, epoch: bytes) -> str:
        """The name of an owner, or its epoch in hexadecimal digits when it has none."""
        owner = self.of_epoch(epoch)
        return epoch.hex() if owner is None else owner.name


class Admission(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who wants to count."""

    name: str
    epoch: bytes
    member_id: int
    is_ready: bool


class Purge(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Up to which version of each owner everybody has heard it, and by which edition."""

    edition: int
    proof: dict[bytes, int]


def is_of(owner: Owner, asked: Admission) -> bool:
    """Whether an owner is known as it wants to be."""
    known = (owner.name, owner.epoch, owner.member_id, owner.is_ready)
    return known == (asked.name, asked.epoch, asked.member_id, asked.is_ready)


NOTHING = Facts()
encode = msgspec.msgpack.Encoder().encode
_decode_facts = msgspec.msgpack.Decoder(Facts).decode
_Asked = TypeVar("_Asked", Admission, Purge)


def read(store: Store, view: View) -> bytes | None:
    """The row as it lies there; None = nothing is decided."""
    try:
        tree = store.tree(TREE)
    except UnknownTree:
        return None
    return view.get(tree.id, KEY)


def decode(row: bytes | None) -> Facts:
    """What a row says."""
    return NOTHING if row is None else _decode_facts(row)


def operations() -> dict[str, Callable[[Txn, bytes], bytes]]:
    """Operations by their names."""
    return {ADMIT: _admit, PURGE: _purge}


def _asked(body: bytes, kind: type[_Asked]) -> _Asked:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNDECODABLE as error:
        raise ModelRefused(_INVALID, f"counters: not what is asked: {error}") from error


def _write(txn: Txn, facts: Facts) -> bytes:
    row = encode(facts)
    txn.put(txn.tree(TREE).id, KEY, row)
    return row


def _held(txn: Txn) -> Facts:
    return decode(txn.get(txn.tree(TREE).id, KEY))


def _admit(txn: Txn, body: bytes) -> bytes:
    """Operation: have a member count under a name."""
    asked = _asked(body, Admission)
    facts = _held(txn)
    if len(asked.epoch) != EPOCH_BYTES or not 0 < len(asked.name) <= NAME_CHARACTERS_MAX:
        raise ModelRefused(_INVALID, f"counters: nobody counts as {asked.name!r}")
    try:
        registry.admit(facts.registered(), asked.name, asked.epoch)
    except OwnerRefused as refusal:
        raise ModelRefused(_PRECONDITION, str(refusal)) from refusal
    if len(facts.owners) >= OWNERS_MAX:
        raise ModelRefused(_PRECONDITION, f"counters: {OWNERS_MAX} have counted here; no more may")
    owner = Owner(
        name=asked.name, epoch=asked.epoch, member_id=asked.member_id, is_ready=asked.is_ready
    )
    if owner in facts.owners:
        return b""
    others = tuple(it for it in facts.owners if it.epoch != asked.epoch)
    is_new = len(others) == len(facts.owners)
    return _write(
        txn,
        msgspec.structs.replace(facts, edition=facts.edition + is_new, owners=(*others, owner)),
    )


def _purge(txn: Txn, body: bytes) -> bytes:
    """Operation: have everybody purge what everybody knows."""
    asked = _asked(body, Purge)
    facts = _held(txn)
    _check_edition(facts, asked.edition)
    proof = {
        epoch: max(version, facts.purge.get(epoch, 0)) for epoch, version in asked.proof.items()
    }
    return _write(
        txn, msgspec.structs.replace(facts, purge_number=facts.purge_number + 1, purge=proof)
    )


def _check_edition(facts: Facts, edition: int) -> None:
    if facts.edition != edition:
        refusal: Refused = FactsChanged("who counts has changed meanwhile: ask again")
        raise ModelRefused(_PRECONDITION, str(refusal)) from refusal
