"""What a store tells its partners: what it has changed since a position, or all that it has.

Only what is durable is told: what a partner holds can never be newer than what its owner holds
after a crash.
"""

from dataclasses import dataclass

from roost.counters import rows
from roost.counters.algebra import Counter
from roost.counters.errors import CounterStoreCorrupt
from roost.counters.messages import Changes, Head, Page, Purpose
from roost.counters.rows import PART, Rows
from roost.counters.store import Store

# Names looked at for one page, of which only some are the owner's that is asked for.
NAMES_LOOKED_AT_MAX = 1024


def durable_version(store: Store) -> int:
    """The newest of the store's own versions that is durable."""
    return store.durable_heard.get(store.own, 0)


def durable_counter(store: Store, key: bytes) -> Counter:
    """A counter as it is durable.

    Raises:
        CounterStoreError: it cannot be read.

    """
    parts, tombstones = store.trees.get("parts", key), store.trees.get("tombstones", key)
    return Counter(
        {} if parts is None else rows.decode_parts(parts),
        {} if tombstones is None else rows.decode_tombstones(tombstones),
    )


def changes_after(store: Store, position: int) -> Changes | None:
    """What this store has changed behind a version of its own, as much as one message holds.

    None = nothing.  A register that has changed again since is told as it is now, once.

    Raises:
        CounterStoreError: it cannot be read.

    """
    end = durable_version(store)
    if position >= end:
        return None
    found = Rows(store.owners.epochs)
    last, is_all = end, False
    for version, value in store.trees.scan("changed", (position + 1).to_bytes(8, "big"), None):
        number, kind, key = int.from_bytes(version, "big"), value[:1], value[1:]
        if found.is_full:
            break
        counter = durable_counter(store, key)
        part, tombstone = counter.parts.get(store.own), counter.tombstones.get(store.own)
        register = part if kind == PART else tombstone
        if register is None or register.version != number:
            raise CounterStoreCorrupt(f"version {number} is not that of {key!r}")
        if kind == PART and part is not None:
            found.add_part(key, store.own, part)
        elif tombstone is not None:
            found.add_tombstone(key, store.own, tombstone)
        last = number
    else:
        last, is_all = end, True
    return Changes(
        epoch=store.epoch,
        first=position,
        last=last,
        is_all=is_all,
        epochs=found.epochs,
        parts=found.parts,
        tombstones=found.tombstones,
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many registers a partner lacks; `is_more` = it was not counted further."""

    count: int
    is_more: bool


def backlog(store: Store, position: int, count_max: int = 10_000) -> Backlog:
    """What a partner lacks that has heard up to `position`: one for each register at most."""
    count = 0
    for _row in store.trees.scan("changed", (position + 1).to_bytes(8, "big"), None):
        if count == count_max:
            return Backlog(count, is_more=True)
        count += 1
    return Backlog(count, is_more=False)


def heads_of(store: Store) -> list[Head]:
    """How far every owner has been heard here, durably."""
    found = store.durable_heard
    return [Head(store.owners.epochs[it], version) for it, version in sorted(found.items())]


def page(
    store: Store, purpose: Purpose, after: bytes, heads: list[Head], epoch: bytes = b""
) -> Page:
    """All registers of the names behind `after`, as many as one message holds; maybe of one owner.

    `heads` is what `heads_of` said before the first page.  Of one owner, its tombstones are told,
    and those that others have for the names of its parts.

    Raises:
        CounterStoreError: it cannot be read.

    """
    found = Rows(store.owners.epochs)
    owner = store.owners.numbers.get(epoch)
    until = after
    # Of somebody who is not known here there is nothing.
    keys = [] if epoch and owner is None else _durable_names(store, after)
    for looked_at, key in enumerate(keys):
        if found.is_full or looked_at == NAMES_LOOKED_AT_MAX:
            break
        _add_counter(found, key, durable_counter(store, key), owner if epoch else None)
        until = key
    else:
        until = b""
    return Page(
        purpose=purpose,
        names_count=store.trees.count("parts"),
        after=after,
        until=until,
        heads=heads,
        epoch=epoch,
        epochs=found.epochs,
        parts=found.parts,
        tombstones=found.tombstones,
    )


def _add_counter(found: Rows, key: bytes, counter: Counter, owner: int | None) -> None:
    for number, part in counter.parts.items():
        if owner in (None, number):
            found.add_part(key, number, part)
    for number, tombstone in counter.tombstones.items():
        if owner in (None, number) or owner in counter.parts:
            found.add_tombstone(key, number, tombstone)


def _durable_names(store: Store, after: bytes) -> list[bytes]:
    """The next names, in order, of which anything is durable."""
    names: set[bytes] = set()
    for tree in ("parts", "tombstones"):
        for count, (key, _value) in enumerate(store.trees.scan(tree, after + b"\0", None)):
            if count > NAMES_LOOKED_AT_MAX:
                break
            names.add(key)
    return sorted(names)[: NAMES_LOOKED_AT_MAX + 1]
