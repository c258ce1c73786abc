"""As much of a member as derived trees see, and a dumb model of what they have to hold."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from roost.database import Limits, derived
from roost.database import derived_rows as layout
from roost.database.derivations import Derivation
from roost.database.deriving import Deriving
from roost.database.deriving_tree import DerivingTree
from roost.database.rows import TxnRows
from roost.database.transaction import Transaction
from roost.memory import Memory
from roost.raft import Entry, EntryKind
from roost.store import InlineKeeper, Keeper, Store, StoreConfig

NAME = "ix_letters"
Step = tuple[str, str, bytes, bytes]
Rows = dict[bytes, bytes]


def in_memory(directory: Path) -> Keeper:
    """A keeper that does not wait for the disk: nobody cuts the power here."""
    return InlineKeeper(directory, is_synced=False)


def read_all(parts: layout.Parts) -> list[tuple[bytes, bytes]]:
    """All keys of a range, a few at a time."""
    found: list[tuple[bytes, bytes]] = []
    while not parts.is_done:
        found += parts.take(3)
    return found


class Place:
    """What is around a member, and what of it may fail."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.make_keeper: Callable[[Path], Keeper] = in_memory

    def clock_s(self) -> float:
        return 0.0

    def spent_s(self) -> float:
        return 0.0

    async def start_keeper(self, directory: Path) -> Keeper:
        return self.make_keeper(directory)

    async def remove_tree(self, directory: Path) -> None:
        shutil.rmtree(directory)


class Alone:
    """A member's store and log; what was committed comes again after a crash."""

    def __init__(self, path: Path) -> None:
        self.data_dir = path
        self.config = self
        self.cluster_id = 7
        (path / "db").mkdir()
        self.entries: dict[int, Entry] = {}
        self.term = 1
        self._open()
        self.store.bootstrap(lambda _txn: None, guid=uuid.UUID(int=7))
        self.first_index = self.store.applied_index + 1
        self._bootstrap_index = self.store.applied_index

    def _open(self) -> None:
        self.store = Store.open(config=StoreConfig(), keeper=in_memory(self.data_dir / "db"))
        self.view = self.store.view

    def crash(self) -> None:
        """What was not flushed is to be applied again."""
        self.store.abandon()
        self._open()

    def lose(self) -> None:
        """And the log behind that is gone."""
        self.crash()
        for index in [it for it in self.entries if it > self.store.applied_index]:
            del self.entries[index]
        self.term += 1

    @property
    def committed_index(self) -> int:
        return max(self.entries, default=self._bootstrap_index)

    def observe(self, callback: Callable[..., None]) -> None:
        self.store.observe(callback)

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        self.store.observe_switch(prepare)

    def every(self, _interval_s: float, _work: Callable[[], None]) -> None:
        """The story calls it."""

    def term_at(self, index: int) -> int | None:
        if index == self._bootstrap_index:
            return 1
        found = self.entries.get(index)
        return None if found is None or index < self.first_index - 1 else found.term

    def applied_entries(self, first: int, bytes_max: int) -> tuple[Entry, ...]:
        found: list[Entry] = []
        for index in range(first, self.store.applied_index + 1):
            if found and sum(len(it.payload) for it in found) > bytes_max:
                break
            found.append(self.entries[index])
        return tuple(found)

    def apply_next(self) -> bool:
        """Apply what is committed, and not applied."""
        entry = self.entries.get(self.store.applied_index + 1)
        if entry is not None:
            self.store.apply(entry.index, entry.payload, entry.term)
        return entry is not None


def declare(version: int, prefix: bytes | None) -> Derivation[bytes, bytes]:
    """Each letter of a value; with another version the letters are large."""

    @derived(NAME, source="a", version=version, prefix=prefix, rows_max=3)
    def letters(key: bytes, value: bytes) -> Iterator[tuple[bytes, bytes]]:
        text = value.upper() if version % 2 else value
        for it in text:
            yield bytes([it, 0, it]), key + text

    return letters


class Story:
    """A member, its derived tree, and what its source held after each entry."""

    def __init__(self, path: Path) -> None:
        self.place = Place()
        self.member = Alone(path)
        self.states: dict[int, dict[str, Rows]] = {
            self.member.store.applied_index: {"a": {}, "b": {}}
        }
        self.version = 0
        self.prefix: bytes | None = None
        self.hub: Deriving
        self.tree: DerivingTree

    async def open(self) -> None:
        member: Any = self.member  # it is as much of one as is asked for
        place: Any = self.place
        self.hub = Deriving(member, place, Limits(), check=lambda: None)
        self.derivation = declare(self.version, self.prefix)
        self.tree = await self.hub.attach(self.derivation)
        self.hub._tick()

    def write(self, steps: list[Step]) -> None:
        """One operation."""
        member = self.member
        while member.apply_next():
            pass
        index, txn = member.store.applied_index + 1, member.store.begin()
        state = {name: dict(rows) for name, rows in self.states[index - 1].items()}
        rows = TxnRows(txn, Limits())
        for step, name, key, value in steps:
            tree, held = Transaction(rows).tree(name), state[name]
            match step:
                case "put":
                    tree[key] = held[key] = value
                case "delete":
                    tree.discard(key)
                    held.pop(key, None)
                case _:
                    tree.delete_range(first=key, stop=value)
                    state[name] = {it: held[it] for it in held if not key <= it < value}
        rows.finish()
        member.entries[index] = Entry(index, member.term, EntryKind.NORMAL, txn.encode())
        self.states[index] = state
        assert member.apply_next()

    def crash(self, how: Callable[[], None]) -> None:
        """All that was not durable is gone, of the member and of what is derived."""
        self.hub.abandon()
        how()
        for index in [it for it in self.states if it > self.member.committed_index]:
            del self.states[index]

    def expected(self) -> Rows:
        """What the tree has to show, made of the rows of its source."""
        held = self.states[self.member.store.applied_index]["a"]
        shown: Rows = {}
        for key in sorted(held, reverse=True):
            if key.startswith(self.prefix or b""):
                shown.update(self.derivation(key, held[key]))
        return shown

    def shown(self) -> Rows:
        """What the tree shows."""
        view, rows_id = self.hub.view, self.tree.rows_id
        rows = read_all(layout.Parts(view, rows_id, b"", None))
        back = read_all(layout.Parts(view, rows_id, b"", None, reverse=True))
        assert rows == back[::-1], "both ways are the same"
        names = read_all(layout.Parts(view, rows_id, b"", None, keys_only=True))
        assert [key for key, _ in names] == [key for key, _ in rows]
        assert [key for key, _ in rows] == sorted({key for key, _ in rows})
        assert all(layout.get(view, rows_id, key) == value for key, value in rows)
        return dict(rows)

    def check(self) -> None:
        """What was made is what is said to have been made, and what counts is right."""
        view = self.hub.view
        names = {name for name, _ in view.scan(self.tree.rows_id)}
        said = {
            layout.row_name(it, key)
            for key, held in view.scan(self.tree.back_id)
            for it in layout.decode_keys(held)
        }
        assert names == said
        if self.tree.is_ready(self.member.store.applied_index):
            assert self.shown() == self.expected()

    def finish(self) -> None:
        """Have it do all that there is to do."""
        while self.member.apply_next():
            pass
        self.tree.note_committed(self.member.store.applied_index)
        for _ in range(100_000):
            if not self.tree.has_work:
                break
            self.hub._turn()
        assert self.tree.is_ready(self.member.store.applied_index)
        self.check()
