"""What clients read: values, parts, names; of what is durable here."""

from collections.abc import Iterable
from dataclasses import dataclass

from roost.counters import algebra, names
from roost.counters.sending import durable_counter
from roost.counters.store import Store

# As much as is looked for in one step of the loop (D14); clients get pages of several.
PAGE_ROWS_MAX = 250
# Names of a page that are looked at: deleted counters have names, too.
LOOKED_AT_MAX = 500
# Registers that are looked at in one step, of however many counters: each owner has one in each.
REGISTERS_A_STEP = 2000


def read(store: Store, wanted: Iterable[str]) -> list[int | None]:
    """Values of counters; None = there is none of that name.

    Raises:
        BadCounterName: a name may not be one.
        CounterStoreError: they cannot be read.

    """
    return [algebra.reading(durable_counter(store, names.key_of(it))) for it in wanted]


def read_some(store: Store, wanted: Iterable[str]) -> list[int | None]:
    """As `read`, of the first of them, as many as a step has room for; of one at least."""
    found: list[int | None] = []
    left = REGISTERS_A_STEP
    for name in wanted:
        counter = durable_counter(store, names.key_of(name))
        found.append(algebra.reading(counter))
        left -= 1 + counter.register_count
        if left <= 0:
            break
    return found


def read_nothing(wanted: Iterable[str]) -> list[int | None]:
    """Values where nobody has counted yet: there is none.

    Raises:
        BadCounterName: a name may not be one.

    """
    return [None for it in wanted if names.key_of(it)]


def read_raw(store: Store, name: str) -> dict[bytes, int]:
    """What each owner's part counts for, by its epoch; empty = there is no such counter.

    Raises:
        BadCounterName, CounterStoreError: as `read`.

    """
    found = algebra.amounts(durable_counter(store, names.key_of(name)))
    return {store.owners.epochs[owner]: it for owner, it in found.items()}


@dataclass(frozen=True, slots=True)
class Listed:
    """Names and values, sorted by name; `after` = from where to go on, None = that was all."""

    rows: list[tuple[str, int]]
    after: str | None


def search(store: Store, prefix: str = "", after: str = "", limit: int = PAGE_ROWS_MAX) -> Listed:
    """Counters whose names begin with `prefix`, behind the name `after`.

    A page may have fewer than `limit` rows and not be the last: then many were deleted there, or
    many have counted.

    Raises:
        CounterStoreError: they cannot be read.

    """
    first = names.encode(prefix)
    stop = names.stop_of(first)
    if after:
        first = max(first, names.encode(after) + b"\0")
    found: list[tuple[str, int]] = []
    name = None
    left = REGISTERS_A_STEP
    rows = store.trees.scan("parts", first, stop)
    for looked_at, (key, _value) in enumerate(rows):
        if left <= 0 or len(found) == min(limit, PAGE_ROWS_MAX) or looked_at == LOOKED_AT_MAX:
            return Listed(found, name)
        name = names.decode(key)
        counter = durable_counter(store, key)
        left -= 1 + counter.register_count
        value = algebra.reading(counter)
        if value is not None:
            found.append((name, value))
    return Listed(found, None)
