"""What a store tells its partners: what it has changed since a position, or all that it has.

Only what is durable is told: what a partner holds can never be newer than what its owner holds
after a crash.

A link that relays tells of another owner, too, what is here of it; by the same versions, which are
that owner's: so it does not matter by how many ways, and in which order, something comes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from roost.counters import rows
from roost.counters.algebra import FOLD_VERSION, Counter
from roost.counters.errors import CounterStoreCorrupt
from roost.counters.messages import Changes, Head, Page, Purpose
from roost.counters.passing import place_of
from roost.counters.rows import PART, Rows
from roost.counters.store import Store

# Names looked at for one page, of which only some are the owner's that is asked for.
NAMES_LOOKED_AT_MAX = 1024


def durable_version(store: Store, owner: int | None = None) -> int:
    """Up to which version an owner is heard here, durably; no owner = the store's own."""
    if owner is not None and store.owners.is_fold(owner):
        return FOLD_VERSION if store.owners.is_forgotten(owner) else 0
    return store.durable_heard.get(store.own if owner is None else owner, 0)


def durable_level(store: Store, owner: int | None = None) -> int:
    """The newest version at which all that an owner had was here; likewise."""
    if owner is None or store.owners.is_fold(owner):
        return durable_version(store, owner)
    return store.durable_levels.get(owner, 0)


def told_since(store: Store, owner: int | None = None) -> int:
    """Who has heard an owner less far is told all of it; likewise."""
    if owner is None:
        return store.swept_at
    return FOLD_VERSION if store.owners.is_fold(owner) else store.passing.since(owner)


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


def changes_after(store: Store, position: int, owner: int | None = None) -> Changes | None:
    """What an owner has changed behind a version, as much as one message holds.

    None = nothing; no owner = the store's own.  A register that has changed again since is told as
    it is now, once.

    Raises:
        CounterStoreError: it cannot be read.

    """
    end = durable_version(store, owner)
    if position >= end:
        return None
    number = store.own if owner is None else owner
    found = Rows(store.owners.epochs)
    last, is_all = end, False
    for it in _changed(store, position, end, owner):
        if found.is_full:
            break
        counter = durable_counter(store, it.key)
        part, tombstone = counter.parts.get(number), counter.tombstones.get(number)
        register = part if it.is_part else tombstone
        if register is None or register.version != it.version:
            raise CounterStoreCorrupt(f"version {it.version} is not that of {it.key!r}")
        if it.is_part and part is not None:
            found.add_part(it.key, number, part)
        elif tombstone is not None:
            found.add_tombstone(it.key, number, tombstone)
        last = it.version
    else:
        last, is_all = end, durable_level(store, owner) >= end
    return Changes(
        epoch=store.owners.epochs[number],
        first=position,
        last=last,
        is_all=is_all,
        is_relayed=owner is not None,
        epochs=found.epochs,
        parts=found.parts,
        tombstones=found.tombstones,
        keys=store.requests.carried(position, last) if owner is None else [],
    )


@dataclass(frozen=True, slots=True)
class _Changed:
    """A register of a name, by the version that it has."""

    version: int
    is_part: bool
    key: bytes


def _changed(store: Store, position: int, end: int, owner: int | None) -> Iterator[_Changed]:
    """Registers of an owner behind a position, up to an end."""
    if owner is None:
        rows = store.trees.scan("changed", (position + 1).to_bytes(8, "big"), None)
    else:
        stop = place_of(owner, end) + b"\0"
        rows = store.trees.scan("passed", place_of(owner, position + 1), stop)
    for version, value in rows:
        yield _Changed(int.from_bytes(version[-8:], "big"), value[:1] == PART, value[1:])


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many registers a partner lacks; `is_more` = it was not counted further."""

    count: int
    is_more: bool


def backlog(store: Store, position: int, count_max: int = 10_000) -> Backlog:
    """What a partner lacks that has heard up to `position`: one for each register at most."""
    return backlogs(store, [position], count_max)[position]


def backlogs(store: Store, positions: Iterable[int], count_max: int) -> dict[int, Backlog]:
    """The same of many partners, by how far they have heard; of all, as much is read as of one.

    Who has heard less lacks what one lacks who has heard more, and what is between the two.
    """
    found: dict[int, Backlog] = {}
    count, is_more = 0, False
    stop: bytes | None = None
    for position in sorted(set(positions), reverse=True):
        first = (position + 1).to_bytes(8, "big")
        if not is_more:
            for _row in store.trees.scan("changed", first, stop):
                if count == count_max:
                    is_more = True
                    break
                count += 1
        found[position] = Backlog(count, is_more)
        stop = first
    return found


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
