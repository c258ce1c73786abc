"""What is decided of counters for all members at once: one row of the replicated store.

    tree `$counters`    `facts` -> MessagePack `Facts`

The tree is made by the first operation that writes there: a cluster that does not count has none.
Operations decide by `registry`, and every member carries out what it finds written, whenever it
looks: so there is nothing to be missed.

    counters.admit    a member counts under a name from now on
    counters.introduce  one that others have heard of has counted, and may never ask: it is known by
                      the name that it has told them, so that it can be retired
    counters.purge    what everybody has heard up to these versions is purged; what was proven
                      before is written over, for proofs only grow
    counters.retire   a member is away for good: nobody takes its changes any more
    counters.fold     what it has counted becomes another owner's, stage by stage (`Stage`)

Each says by which `edition` of the facts it was made, where that matters: an operation of another
one is refused.  Links to other clusters are in the same row (`linking`).
"""

from collections.abc import Callable
from enum import Enum, IntEnum
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
INTRODUCE = "counters.introduce"
RETIRE, FOLD = "counters.retire", "counters.fold"
NAME_CHARACTERS_MAX = 128
OWNERS_MAX = 1 << 12
INVALID, PRECONDITION = 3, 9
# Why a fold waits.
LINKED = (
    "counters are or were linked with another cluster, whose deletes name parts as they were"
    " counted: they stay so, and count"
)


class Standing(Enum):
    """What is decided of an owner."""

    COUNTS = "counts"
    RETIRED = "retired"


class Stage(IntEnum):
    """How far the parts of an owner that is away for good have become its fold's."""

    # All who are left send each other what they have of it.
    UNITING = 1
    # All have the same; deletes name it, and the fold.
    FOLDING = 2
    # All have heard every delete from before; its parts become the fold's, name by name.
    ENDING = 3
    # That has happened everywhere.
    ENDED = 4


class Owner(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who counts, or has counted; `member_id` is where its directory was last.

    `is_ready` = it has what the others have, and clients are sent there.
    """

    name: str
    epoch: bytes
    member_id: int
    is_ready: bool
    standing: Standing = Standing.COUNTS


class Fold(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What an owner that is away for good has counted, as an owner of its own.

    `proof` says up to which version of each member everybody had heard it when it began to end.
    """

    epoch: bytes
    owner: bytes
    stage: Stage = Stage.UNITING
    proof: dict[bytes, int] = {}


class Link(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A one-way link to a member of another cluster, of one member here, or of each.

    `number` is never another link's; `source` is a name, empty = of everybody.
    """

    number: int
    url: str
    source: str = ""
    is_relay: bool = False

    def is_of(self, name: str) -> bool:
        """Whether who counts under that name has it."""
        return self.source in ("", name)


class Foreigner(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who counts in another cluster, and what it is called there."""

    name: str
    epoch: bytes


class Facts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that is decided; `edition` counts changes of who counts."""

    edition: int = 0
    owners: tuple[Owner, ...] = ()
    purge_number: int = 0
    purge: dict[bytes, int] = {}
    folds: tuple[Fold, ...] = ()
    links: tuple[Link, ...] = ()
    # Of the newest link; there may have been some that are gone.
    link_number: int = 0
    foreigners: tuple[Foreigner, ...] = ()

    @property
    def is_linked(self) -> bool:
        """Whether others delete what was counted here, or must hear that it is deleted."""
        return bool(self.links) or bool(self.link_number and self.foreigners)

    def foreigner(self, epoch: bytes) -> Foreigner | None:
        """Who counts in another cluster."""
        return next((it for it in self.foreigners if it.epoch == epoch), None)

    def of_epoch(self, epoch: bytes) -> Owner | None:
        """The owner of an epoch."""
        return next((it for it in self.owners if it.epoch == epoch), None)

    def of_name(self, name: str) -> Owner | None:
        """The owner of a name."""
        return next((it for it in self.owners if it.name == name), None)

    def fold_of(self, owner: bytes) -> Fold | None:
        """The fold of an owner that is away for good."""
        return next((it for it in self.folds if it.owner == owner), None)

    @property
    def current_fold(self) -> Fold | None:
        """The fold that is being worked at: one after the other."""
        return next((it for it in self.folds if it.stage is not Stage.ENDED), None)

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
        """The name of an owner, or its epoch in hexadecimal digits when it has none.

        A fold has the name of the owner whose it is.
        """
        folded = next((it.owner for it in self.folds if it.epoch == epoch), epoch)
        owner: Owner | Foreigner | None = self.of_epoch(folded) or self.foreigner(epoch)
        return epoch.hex() if owner is None else owner.name

    def named(self, text: str) -> str:
        """A text with the names of owners before their epochs."""
        known: list[Owner | Foreigner] = [*self.owners, *self.foreigners]
        for it in known:
            text = text.replace(it.epoch.hex(), f"{it.name} ({it.epoch.hex()})")
        return text


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


class Retirement(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who is away for good; `fold` is the epoch of what it becomes."""

    name: str
    fold: bytes


class FoldStep(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The next stage of a fold, by which edition, and with what proof."""

    edition: int
    fold: bytes
    stage: Stage
    proof: dict[bytes, int] = {}


def is_of(owner: Owner, asked: Admission) -> bool:
    """Whether an owner is known as it wants to be."""
    known = (owner.name, owner.epoch, owner.member_id, owner.is_ready)
    return known == (asked.name, asked.epoch, asked.member_id, asked.is_ready)


NOTHING = Facts()
encode = msgspec.msgpack.Encoder().encode
_decode_facts = msgspec.msgpack.Decoder(Facts).decode
_Asked = TypeVar("_Asked", bound=msgspec.Struct)


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
    return {ADMIT: _admit, INTRODUCE: _introduce, PURGE: _purge, RETIRE: _retire, FOLD: _fold}


def read_asked(body: bytes, kind: type[_Asked]) -> _Asked:
    """What an operation is asked.

    Raises:
        ModelRefused: it is something else.

    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except UNDECODABLE as error:
        raise ModelRefused(INVALID, f"counters: not what is asked: {error}") from error


def write(txn: Txn, facts: Facts) -> bytes:
    """Have them be decided."""
    row = encode(facts)
    txn.put(txn.tree(TREE).id, KEY, row)
    return row


def held_by(txn: Txn) -> Facts:
    """What is decided, as an operation sees it."""
    return decode(txn.get(txn.tree(TREE).id, KEY))


def _admit(txn: Txn, body: bytes) -> bytes:
    """Operation: have a member count under a name."""
    asked = read_asked(body, Admission)
    facts = held_by(txn)
    if len(asked.epoch) != EPOCH_BYTES or not 0 < len(asked.name) <= NAME_CHARACTERS_MAX:
        raise ModelRefused(INVALID, f"counters: nobody counts as {asked.name!r}")
    try:
        registry.admit(facts.registered(), asked.name, asked.epoch)
    except OwnerRefused as refusal:
        raise ModelRefused(PRECONDITION, str(refusal)) from refusal
    if (elsewhere := facts.foreigner(asked.epoch)) is not None:
        text = f"{asked.epoch.hex()} counts in another cluster, as {elsewhere.name!r}: a copy"
        raise ModelRefused(PRECONDITION, text)
    if len(facts.owners) >= OWNERS_MAX:
        raise ModelRefused(PRECONDITION, f"counters: {OWNERS_MAX} have counted here; no more may")
    owner = Owner(
        name=asked.name, epoch=asked.epoch, member_id=asked.member_id, is_ready=asked.is_ready
    )
    if owner in facts.owners:
        return b""
    others = tuple(it for it in facts.owners if it.epoch != asked.epoch)
    is_new = len(others) == len(facts.owners)
    return write(
        txn,
        msgspec.structs.replace(facts, edition=facts.edition + is_new, owners=(*others, owner)),
    )


def _introduce(txn: Txn, body: bytes) -> bytes:
    """Operation: have somebody known of whom others have heard; who is known stays as it is.

    Who is known comes after it: of one member the last is the one that counts there.
    """
    asked = read_asked(body, Admission)
    facts = held_by(txn)
    if len(asked.epoch) != EPOCH_BYTES or not 0 < len(asked.name) <= NAME_CHARACTERS_MAX:
        raise ModelRefused(INVALID, f"counters: nobody counts as {asked.name!r}")
    if facts.of_epoch(asked.epoch) is not None or facts.foreigner(asked.epoch) is not None:
        return b""
    if len(facts.owners) >= OWNERS_MAX:
        raise ModelRefused(PRECONDITION, f"counters: {OWNERS_MAX} have counted here; no more may")
    name = asked.name
    if facts.of_name(name) is not None:  # a directory that was lost, and its name used again
        mark = f"#{asked.epoch.hex()[:8]}"
        name = name[: NAME_CHARACTERS_MAX - len(mark)] + mark
    owner = Owner(name=name, epoch=asked.epoch, member_id=asked.member_id, is_ready=False)
    return write(
        txn,
        msgspec.structs.replace(facts, edition=facts.edition + 1, owners=(owner, *facts.owners)),
    )


def _purge(txn: Txn, body: bytes) -> bytes:
    """Operation: have everybody purge what everybody knows."""
    asked = read_asked(body, Purge)
    facts = held_by(txn)
    _check_edition(facts, asked.edition)
    proof = {
        epoch: max(version, facts.purge.get(epoch, 0)) for epoch, version in asked.proof.items()
    }
    return write(
        txn, msgspec.structs.replace(facts, purge_number=facts.purge_number + 1, purge=proof)
    )


def _retire(txn: Txn, body: bytes) -> bytes:
    """Operation: a member is away for good."""
    asked = read_asked(body, Retirement)
    facts = held_by(txn)
    owner = facts.of_name(asked.name)
    if owner is None:
        raise _retire_refused(f"nobody counts, or has counted, under the name {asked.name!r}")
    if owner.standing is Standing.RETIRED:
        return b""
    if len(facts.counting()) == 1:
        raise _retire_refused(f"{asked.name!r} is the last one that counts")
    if len(asked.fold) != EPOCH_BYTES or facts.of_epoch(asked.fold) is not None:
        raise ModelRefused(INVALID, "counters: a fold has an epoch of its own")
    gone = msgspec.structs.replace(owner, standing=Standing.RETIRED, is_ready=False)
    return write(
        txn,
        msgspec.structs.replace(
            facts,
            edition=facts.edition + 1,
            owners=tuple(gone if it is owner else it for it in facts.owners),
            folds=(*facts.folds, Fold(epoch=asked.fold, owner=owner.epoch)),
        ),
    )


def _retire_refused(text: str) -> ModelRefused:
    return ModelRefused(PRECONDITION, f"RetireRefused: {text}")


def _fold(txn: Txn, body: bytes) -> bytes:
    """Operation: the next stage of a fold; asked twice it is taken once."""
    asked = read_asked(body, FoldStep)
    facts = held_by(txn)
    _check_edition(facts, asked.edition)
    held = facts.current_fold
    if held is None or held.epoch != asked.fold or asked.stage != held.stage + 1:
        return b""
    if facts.is_linked and asked.stage is Stage.FOLDING:
        raise _retire_refused(LINKED)
    proof = asked.proof or held.proof
    moved = msgspec.structs.replace(held, stage=asked.stage, proof=proof)
    folds = tuple(moved if it is held else it for it in facts.folds)
    return write(txn, msgspec.structs.replace(facts, folds=folds))


def _check_edition(facts: Facts, edition: int) -> None:
    if facts.edition != edition:
        refusal: Refused = FactsChanged("who counts has changed meanwhile: ask again")
        raise ModelRefused(PRECONDITION, str(refusal)) from refusal
