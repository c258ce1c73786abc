"""What clients change: increments and deletes, each request as a whole or not at all.

A request of thousands takes many turns of the loop (D14): `increment_steps` and `delete_steps` do a
slice with each step, and come to the answer with the last.  Meanwhile nothing else may change what
this member owns, and no step of the store may be taken: whoever drives it sees to both.  All is
looked at before anything is changed, so what is refused has changed nothing.
"""

from collections.abc import Generator, Sequence
from typing import Final

from roost.counters import algebra
from roost.counters.algebra import Counter, Part
from roost.counters.errors import BadChange
from roost.counters.names import key_of
from roost.counters.requests import KEY_BYTES_MAX, Answered, Request
from roost.counters.store import Answer, Store

# Changes of a slice.
SLICE_CHANGES: Final = 64
# So many registers of a counter that is read cost as much as a change.
_REGISTERS_A_CHANGE: Final = 16
Steps = Generator[None, None, Answer]


class _ReadOfSlice:
    """What counters that are read have cost of a slice, each by its registers."""

    __slots__ = ("_cost",)

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._cost = 0

    def is_full_with(self, counter: Counter) -> bool:
        """Whether a counter was the last of its slice; the next one begins another."""
        self._cost += 1 + counter.register_count // _REGISTERS_A_CHANGE
        if self._cost < SLICE_CHANGES:
            return False
        self._cost = 0
        return True


def increment(
    store: Store, changes: Sequence[tuple[str, int]], request: Request | None = None
) -> Answer:
    """Change counters, all of them or none; the new values, in the order of the changes.

    A request that was done before is answered as it was, and changes nothing.

    Raises:
        BadCounterName, BadChange, CounterOverflow, KeyReused: nothing was changed.
        Overloaded, CounterStoreError: likewise.

    """
    return run(increment_steps(store, changes, request))


def delete(store: Store, names: Sequence[str], request: Request | None = None) -> Answer:
    """Delete counters, all of them; what they read before, None = it was not there.

    Raises:
        BadCounterName, BadChange, KeyReused: nothing was changed.
        Overloaded, CounterStoreError: likewise.

    """
    return run(delete_steps(store, names, request))


def run(steps: Steps) -> Answer:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


def increment_steps(
    store: Store, changes: Sequence[tuple[str, int]], request: Request | None = None
) -> Steps:
    """`increment`, a slice with each step."""
    done = _begin(store, len(changes), request)
    if done is not None:
        told = done.values or (yield from _read_now(store, changes))
        return Answer(_as_many(told, len(changes)), store.step)
    version = store.version
    after: dict[bytes, Part] = {}
    keys = []
    for at, (name, change) in enumerate(changes, 1):
        key = key_of(name)
        keys.append(key)
        held = after.get(key) or store.layers.parts(key).get(store.own)
        version += 1
        after[key] = algebra.incremented(held, change, version, buried_at=store.buried_at)
        if not at % SLICE_CHANGES:
            yield
    # Nothing can be refused any more.
    store.heard_of(store.own).version = version
    for at, (key, part) in enumerate(after.items(), 1):
        store.stage_part(key, store.own, part, store.layers.parts(key))
        if not at % SLICE_CHANGES:
            yield
    values: dict[bytes, int | None] = {}
    of_slice = _ReadOfSlice()
    for key in after:
        counter = store.counter(key)
        values[key] = algebra.reading(counter)
        if of_slice.is_full_with(counter):
            yield
    return _answer(store, [values[key] for key in keys], request)


def _as_many(values: list[int | None], count: int) -> list[int | None]:
    """So many values, whatever a partner has said that it answered."""
    return [*values, *[None] * (count - len(values))][:count]


def _read_now(
    store: Store, changes: Sequence[tuple[str, int]]
) -> Generator[None, None, list[int | None]]:
    """What counters read that a partner has changed, as this member knows them."""
    values: list[int | None] = []
    of_slice = _ReadOfSlice()
    for name, _change in changes:
        counter = store.counter(key_of(name))
        values.append(algebra.reading(counter) or 0)
        if of_slice.is_full_with(counter):
            yield
    return values


def delete_steps(store: Store, names: Sequence[str], request: Request | None = None) -> Steps:
    """`delete`, a slice with each step."""
    done = _begin(store, len(names), request)
    if done is not None:
        return Answer(_as_many(done.values or [], len(names)), store.step)
    keys = [key_of(it) for it in names]
    values = []
    of_slice = _ReadOfSlice()
    for key in keys:
        counter = store.counter(key)
        values.append(algebra.reading(counter))
        folds = store.owners.folds_named()
        found = algebra.deleted(counter, store.own, store.version + 1, folds)
        if found is not None:
            store.next_version()
            store.stage_tombstone(key, store.own, found, counter.tombstones)
        if of_slice.is_full_with(counter):
            yield
    return _answer(store, values, request, is_delete=True)


def _begin(store: Store, count: int, request: Request | None) -> Answered | None:
    """What was answered to a request before; None = it is new."""
    store.refuse_when_broken()
    if count > (most := store.limits.changes_max):
        raise BadChange(f"{count} changes; {most} at most at a time")
    if request is None:
        return None
    if not 1 <= len(request.key) <= KEY_BYTES_MAX:
        raise BadChange(f"an idempotency key has 1 to {KEY_BYTES_MAX} bytes")
    return store.requests.find(request)


def _answer(
    store: Store, values: list[int | None], request: Request | None, *, is_delete: bool = False
) -> Answer:
    if request is not None:
        store.requests.keep(request, values, store.version, is_delete=is_delete)
    return Answer(values, store.step)
