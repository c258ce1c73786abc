"""What partners tell, taken into a store.

**Changes** of an owner are taken when they begin exactly where it was heard last, and not
otherwise: what comes twice, late or out of order changes nothing, whatever was purged meanwhile.

**Pages** have all registers of a range of names, and what they mean depends on why they are sent:

    SEED     to one that joins, from a member of the operator's choice.  What was heard of an owner
             already is newer than any page; the rest is merged
    REPLACE  from an owner itself, when a partner has missed what is not there any more, or
             differs: its registers are these, and no others, as of the version in `heads`
    UNION    of an owner that is away for good: whoever knows more of it tells the others

Where two members have two states of one version (the directory of their owner was copied, or rolled
back, and has counted in both), SEED and UNION come to the same one everywhere (`algebra.agreed`);
of the owner itself such a thing is not taken.

After the last page of SEED or REPLACE what was heard is what the pages' sender had heard before the
first of them: registers that changed in between have later versions, and come as changes.
"""

from dataclasses import dataclass

import msgspec

from roost.counters import algebra, names, rows
from roost.counters.algebra import VERSION_MAX, Part, Tombstone
from roost.counters.errors import MalformedCounters, OwnerForked
from roost.counters.messages import Changes, Head, Page, Purpose
from roost.counters.store import Store

# Of a page that replaces, so many rows are taken in one step, and so many names are looked at here:
# a page of few rows may be of all names that there are.
STEP_ROWS, STEP_NAMES = 512, 512


@dataclass(frozen=True, slots=True)
class Received:
    """Up to which version an owner is heard when `step` is durable; whether by this message."""

    position: int
    step: int
    is_taken: bool


def receive_changes(store: Store, changes: Changes) -> Received:
    """Take an owner's changes.

    Raises:
        MalformedCounters: it sent what it cannot have.
        OwnerForked: it says of a version something else than before.
        Overloaded, CounterStoreError: nothing was changed.

    """
    store.refuse_when_broken()
    if changes.epoch == store.epoch:
        raise MalformedCounters("a partner sent this member's own changes")
    for key in [*(it.key for it in changes.parts), *(it.key for it in changes.tombstones)]:
        names.decode(key)
    owner = store.owners.number_of(changes.epoch)
    held = store.heard[owner].version if owner in store.heard else 0
    if held != changes.first:
        return Received(held, store.step, is_taken=False)
    numbers = [store.owners.number_of(it) for it in changes.epochs]
    for row, part in rows.parts_of(changes.parts):
        if not store.owners.is_folded(owner, row.key):
            _merge_part(store, row.key, owner, part)
    for it in changes.tombstones:
        _merge_tombstone(store, it.key, owner, rows.tombstone_of(it, numbers))
    heard = store.heard_of(owner)
    heard.version = changes.last
    if not changes.is_relayed:
        heard.told = changes.last
    if changes.is_all:
        heard.level = changes.last
    for done in changes.keys:
        store.requests.take_over(done)
    return Received(changes.last, store.step, is_taken=True)


def _merge_part(
    store: Store, key: bytes, owner: int, part: Part, *, is_owners_word: bool = True
) -> None:
    """Take the newer of two states.

    Raises:
        OwnerForked: they are two of one version, and their owner says so itself.

    """
    before = store.layers.parts(key)
    held = before.get(owner)
    if held is None or held.version < part.version:
        store.stage_part(key, owner, part, before)
    elif held.version == part.version and held != part and not store.owners.is_fold(owner):
        if is_owners_word:
            epoch = store.owners.epochs[owner].hex()
            raise OwnerForked(f"{epoch} has had two states of version {part.version}")
        if (common := algebra.agreed(held, part)) != held:
            store.stage_part(key, owner, common, before)


def _merge_tombstone(
    store: Store, key: bytes, deleter: int, tombstone: Tombstone, *, is_owners_word: bool = True
) -> None:
    before = store.layers.tombstones(key)
    held = before.get(deleter)
    if held is None or held.version < tombstone.version:
        store.stage_tombstone(key, deleter, tombstone, before)
    elif held.version == tombstone.version and not is_owners_word:
        common = algebra.agreed_tombstone(held, tombstone)
        if common != held:
            store.stage_tombstone(key, deleter, common, before)


def cut(store: Store, page: Page) -> tuple[Page, Page | None]:
    """A page that replaces, as far as a step takes it, and what is left; None = nothing.

    Raises:
        CounterStoreError: it cannot be read how many names there are.

    """
    keys = sorted([*(it.key for it in page.parts), *(it.key for it in page.tombstones)])
    known = store.layers.names(page.after, STEP_NAMES)
    bounds = [
        it[most - 1] for it, most in ((keys, STEP_ROWS), (known, STEP_NAMES)) if len(it) > most - 1
    ]
    bound = min(bounds, default=b"")
    if not bound or (page.until and bound >= page.until):
        return page, None
    first = msgspec.structs.replace(
        page,
        until=bound,
        parts=[it for it in page.parts if it.key <= bound],
        tombstones=[it for it in page.tombstones if it.key <= bound],
    )
    rest = msgspec.structs.replace(
        page,
        after=bound,
        parts=[it for it in page.parts if it.key > bound],
        tombstones=[it for it in page.tombstones if it.key > bound],
    )
    return first, rest


def receive_page(store: Store, page: Page) -> None:
    """Take a page; it is durable with `store.step`.

    Raises:
        MalformedCounters: it has what it cannot have.
        OwnerForked: this member's own registers are newer there.
        Overloaded, CounterStoreError: nothing was changed.

    """
    store.refuse_when_broken()
    purpose = page.purpose
    if (purpose is not Purpose.SEED) != bool(page.epoch) or page.epoch == store.epoch:
        raise MalformedCounters(f"a page of {purpose.value} with a wrong owner")
    for key in [*(it.key for it in page.parts), *(it.key for it in page.tombstones)]:
        names.decode(key)
    numbers = [store.owners.number_of(it) for it in page.epochs]
    if is_owners_word := purpose is Purpose.REPLACE:
        _remove_others(store, page, numbers)
    for row, part in rows.parts_of(page.parts):
        owner = numbers[row.owner]
        if _is_wanted(store, row.key, owner, part.version, purpose):
            _merge_part(store, row.key, owner, part, is_owners_word=is_owners_word)
    for it in page.tombstones:
        deleter = numbers[it.deleter]
        if _is_wanted(store, it.key, deleter, it.version, purpose):
            tombstone = rows.tombstone_of(it, numbers)
            _merge_tombstone(store, it.key, deleter, tombstone, is_owners_word=is_owners_word)


def _is_wanted(store: Store, key: bytes, owner: int, version: int, purpose: Purpose) -> bool:
    heard = store.heard[owner].version if owner in store.heard else 0
    if owner == store.own:
        store.check_echo(version)
        return False
    if store.owners.is_folded(owner, key):
        return False
    return purpose is not Purpose.SEED or version > heard


def _remove_others(store: Store, page: Page, numbers: list[int]) -> None:
    """Remove what an owner has not, or has otherwise, of the names of a page and up to its head.

    Of one that is doubted beyond its head, too: it has never had that.
    """
    owner = store.owners.number_of(page.epoch)
    is_doubted = store.owners.is_doubted(page.epoch)
    base = VERSION_MAX if is_doubted else version_in(page.heads, page.epoch)
    told = {row.key: it for row, it in rows.parts_of(page.parts) if numbers[row.owner] == owner}
    deleted = {it.key: it.version for it in page.tombstones if numbers[it.deleter] == owner}
    after = page.after
    while True:
        # One more than a step looks at: where the page ends is seen by the name behind it.
        keys = store.layers.names(after, STEP_NAMES + 1)
        for key in keys:
            if page.until and key > page.until:
                return
            parts, tombstones = store.layers.parts(key), store.layers.tombstones(key)
            part, tombstone = parts.get(owner), tombstones.get(owner)
            if part is not None and part.version <= base and told.get(key) != part:
                store.stage_part(key, owner, None, parts)
            version = 0 if tombstone is None else tombstone.version
            if 0 < version <= base and deleted.get(key) != version:
                store.stage_tombstone(key, owner, None, tombstones)
        if len(keys) <= STEP_NAMES:
            return
        after = keys[-1]


def version_in(heads: list[Head], epoch: bytes) -> int:
    """What heads say of one owner."""
    return next((it.version for it in heads if it.epoch == epoch), 0)


def adopt(store: Store, heads: list[Head], *, is_level: bool = False) -> None:
    """All pages are there: their sender's heads count here, too; `is_level` = they are its own."""
    for it in heads:
        if it.epoch == store.epoch:
            store.check_echo(it.version)
            continue
        heard = store.heard_of(store.owners.number_of(it.epoch))
        heard.version = max(heard.version, it.version)
        if is_level:
            heard.level = max(heard.level, it.version)


def believe(store: Store, epoch: bytes, version: int) -> None:
    """All that is here of an owner that was doubted is its own now, up to that version."""
    number = store.owners.number_of(epoch)
    store.owners.believe(number)
    heard = store.heard_of(number)
    heard.version = heard.level = version
