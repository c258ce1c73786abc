"""Purging and folding, a slice at a time; whether it may be done, `registry` decides."""

from collections.abc import Mapping
from typing import NamedTuple

from roost.counters import algebra
from roost.counters.algebra import Counter
from roost.counters.messages import Reported
from roost.counters.registry import Report
from roost.counters.standing import Digest
from roost.counters.store import Store

SLICE_NAMES = 250


class Slice(NamedTuple):
    """How many names were looked at, and from where to go on; None = that was all."""

    after: bytes | None
    name_count: int


def purge_slice(store: Store, known: Mapping[bytes, int], after: bytes = b"") -> Slice:
    """Purge some names behind `after`.

    `known` has, for each owner's epoch, the version up to which everybody has heard it.  The first
    time a part that is dead becomes gone, and the second time, when all know that, it is removed.

    Raises:
        CounterStoreError: the store cannot be read.

    """
    numbers = {store.owners.number_of(epoch): version for epoch, version in known.items()}
    forgotten = store.owners.forgotten()
    keys = store.layers.names(after, SLICE_NAMES)
    for key in keys:
        counter = store.counter(key)
        gone = algebra.buried(counter, store.own, store.version + 1, numbers)
        if gone is not None:
            store.buried_at = store.next_version()
            store.stage_part(key, store.own, gone, counter.parts)
            counter = store.counter(key)
        left = algebra.swept(counter, numbers, forgotten)
        if left != counter:
            _replace(store, key, left)
    return Slice(keys[-1] if len(keys) == SLICE_NAMES else None, len(keys))


def _replace(store: Store, key: bytes, left: Counter) -> None:
    """Have a counter's registers be those that are left, or became another."""
    counter = store.counter(key)
    own = [counter.parts.get(store.own), left.parts.get(store.own)]
    for owner in counter.parts.keys() | left.parts.keys():
        if counter.parts.get(owner) != left.parts.get(owner):
            part = left.parts.get(owner)
            store.stage_part(key, owner, part, store.layers.parts(key))
    if own[0] is not None and own[1] is None:
        store.swept_at = max(store.swept_at, own[0].version)
    for deleter, tombstone in counter.tombstones.items():
        other = left.tombstones.get(deleter)
        if tombstone != other:
            store.stage_tombstone(key, deleter, other, store.layers.tombstones(key))
            if deleter == store.own and other is None:
                store.swept_at = max(store.swept_at, tombstone.version)


def begin_fold(store: Store, fold: bytes, members: list[bytes]) -> None:
    """From now on a delete that names one of these owners names the fold, too."""
    assert store.epoch not in members, "who is away for good is not here"
    number = store.owners.begin_fold(fold, members)
    store.heard_of(number)  # what changes owners is written with a step
    store.fold_steps[number] = store.step


def end_fold_slice(store: Store, fold: bytes) -> bool:
    """Have the fold's part stand for its owners' in some more names; whether that was all.

    Raises:
        CounterStoreError: the store cannot be read.

    """
    number = store.owners.number_of(fold)
    cursor = store.owners.cursor_of(number)
    if cursor is None:
        return True
    folds = store.owners.folds_begun()
    keys = store.layers.names(cursor, SLICE_NAMES)
    for key in keys:
        counter = store.counter(key)
        left = algebra.folded(counter, number, folds)
        if left != counter:
            _replace(store, key, left)
    is_last = len(keys) < SLICE_NAMES
    store.owners.move_cursor(number, None if is_last else keys[-1])
    store.heard_of(number)
    if is_last:
        store.fold_steps[number] = store.step
    return is_last


def forget_fold(store: Store, fold: bytes) -> None:
    """A fold has ended everywhere: deletes need not name its owners, and purges remove them."""
    store.owners.forget_fold(fold)
    store.heard_of(store.owners.number_of(fold))


def report(store: Store) -> Report:
    """What this member says of itself: what is durable."""
    epochs = store.owners.epochs
    heard = {epochs[it]: version for it, version in store.durable_levels.items()}
    return Report(
        epoch=store.epoch,
        heard=heard | {store.epoch: store.durable_heard[store.own]},
        digests={epoch: store.digest(epoch) for epoch in epochs.values()},
        folds=durable_folds(store),
        folds_ended=durable_ends(store),
    )


def said_of(report: Report) -> Reported:
    """A report as it is sent."""
    digests = {epoch: [it.count, it.values, it.versions] for epoch, it in report.digests.items()}
    return Reported(
        epoch=report.epoch,
        heard=dict(report.heard),
        digests=digests,
        folds=sorted(report.folds),
        folds_ended=sorted(report.folds_ended),
        unions=sorted(report.unions),
    )


def report_of(said: Reported) -> Report:
    """What a member has said of itself."""
    return Report(
        epoch=said.epoch,
        heard=said.heard,
        digests={epoch: Digest(*it) for epoch, it in said.digests.items()},
        folds=frozenset(said.folds),
        folds_ended=frozenset(said.folds_ended),
        unions=frozenset(said.unions),
    )


def durable_folds(store: Store) -> frozenset[bytes]:
    """Folds whose beginning is durable here, and with it every delete from before."""
    begun = set(store.owners.folds_begun().values())
    return frozenset(store.owners.epochs[it] for it in begun if _is_durable(store, it))


def durable_ends(store: Store) -> frozenset[bytes]:
    """Folds whose end is durable here."""
    ended = store.owners.folds_ended()
    return frozenset(store.owners.epochs[it] for it in ended if _is_durable(store, it))


def _is_durable(store: Store, fold: int) -> bool:
    return store.fold_steps.get(fold, 0) <= store.durable_step
