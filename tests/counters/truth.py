"""What counters must read: every increment that became durable, and what each delete had seen."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from roost.counters.algebra import VERSION_MAX
from roost.counters.names import key_of
from roost.counters.store import Store


@dataclass(frozen=True, slots=True)
class Increment:
    key: bytes
    epoch: bytes
    version: int
    change: int


@dataclass(frozen=True, slots=True)
class Delete:
    key: bytes
    epoch: bytes
    version: int
    seen: Mapping[bytes, int]


@dataclass(slots=True)
class Truth:
    """What is durable with its owner; what nobody has left of the dead is taken out again."""

    increments: set[Increment] = field(default_factory=set)
    deletes: list[Delete] = field(default_factory=list)

    def add(self, facts: Iterable[Increment | Delete]) -> None:
        for fact in facts:
            if isinstance(fact, Increment):
                self.increments.add(fact)
            else:
                self.deletes.append(fact)

    def readings(self, owners: Container[bytes]) -> dict[bytes, int]:
        """Every counter that exists to whom hears of these owners only, and its value."""
        killed: dict[tuple[bytes, bytes], int] = {}
        for delete in [it for it in self.deletes if it.epoch in owners]:
            for epoch, version in delete.seen.items():
                place = (delete.key, epoch)
                killed[place] = max(killed.get(place, 0), version)
        found: dict[bytes, int] = {}
        for it in self.increments:
            if it.epoch in owners and it.version > killed.get((it.key, it.epoch), 0):
                found[it.key] = found.get(it.key, 0) + it.change
        return found

    def lose(self, epoch: bytes, survivors: list[Store], known: int) -> None:
        """An owner is away for good: what no survivor has of it, has not been."""
        number = [(it, it.owners.numbers.get(epoch, 0)) for it in survivors]
        lost = set()
        for it in self.increments:
            if it.epoch == epoch:
                parts = [store.counter(it.key).parts.get(owner) for store, owner in number]
                last = max((part.version for part in parts if part is not None), default=0)
                if it.version > last and it.version > known:
                    lost.add(it)
        self.increments -= lost
        kept = []
        for delete in self.deletes:
            has = [store.counter(delete.key).tombstones.get(owner) for store, owner in number]
            last = max((it.version for it in has if it is not None), default=0)
            if delete.epoch != epoch or delete.version <= max(last, known):
                kept.append(delete)
        self.deletes = kept


def increments_of(store: Store, before: int, changes: list[tuple[str, int]]) -> list[Increment]:
    """What a request has counted; nothing, if it was answered as before."""
    if store.version == before:
        return []
    assert store.version == before + len(changes), "each change takes a version"
    return [
        Increment(key_of(name), store.epoch, before + 1 + at, change)
        for at, (name, change) in enumerate(changes)
    ]


def delete_of(
    store: Store, name: str, folds: Mapping[bytes, list[bytes]]
) -> tuple[bytes, dict[bytes, int]]:
    """What a delete is about to see; of a fold, all that it is of."""
    key = key_of(name)
    seen: dict[bytes, int] = {}
    for owner, part in store.counter(key).parts.items():
        epoch = store.owners.epochs[owner]
        if epoch in folds:
            seen.update(dict.fromkeys(folds[epoch], VERSION_MAX))
        elif not part.is_gone:
            seen[epoch] = part.version
    return key, seen
