"""What is changed and not durable yet: a layer being assembled, and one being written.

Registers stand in a layer as objects, so that a counter that is changed a thousand times in one
step is encoded and written once.
"""

from dataclasses import dataclass, field

from roost.counters import rows
from roost.counters.algebra import Part, Tombstone
from roost.counters.environment import TREES, Trees


@dataclass(slots=True)
class Layer:
    """Rows that are to be written in one step."""

    parts: dict[bytes, dict[int, Part]] = field(default_factory=dict)
    tombstones: dict[bytes, dict[int, Tombstone]] = field(default_factory=dict)
    # Rows of the other trees, as bytes; None removes one.
    rows: dict[str, dict[bytes, bytes | None]] = field(
        default_factory=lambda: {it: {} for it in TREES[2:]}
    )
    # Whether anything was heard, although nothing was changed by it.
    is_touched: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        has_rows = self.parts or self.tombstones or any(self.rows.values())
        return not has_rows and not self.is_touched

    @property
    def count(self) -> int:
        """How many counters it is about, and requests."""
        return len(self.parts) + len(self.tombstones) + len(self.rows["requests"])

    @property
    def rows_count(self) -> int:
        """How many rows it writes."""
        return len(self.parts) + len(self.tombstones) + sum(map(len, self.rows.values()))

    def move(self, old: int, new: int, kind: bytes, key: bytes) -> None:
        """An own register has another version now; 0 = it had none, or has none any more."""
        changed = self.rows["changed"]
        if old:
            before = old.to_bytes(8, "big")
            if changed.get(before) is not None:
                del changed[before]  # made in this step, and never written
            else:
                changed[before] = None
        if new:
            changed[new.to_bytes(8, "big")] = kind + key

    def writes(self) -> dict[str, dict[bytes, bytes | None]]:
        """All of it as bytes."""
        parts = {key: rows.encode_parts(it) if it else None for key, it in self.parts.items()}
        tombstones = {
            key: rows.encode_tombstones(it) if it else None for key, it in self.tombstones.items()
        }
        return {"parts": parts, "tombstones": tombstones, **self.rows}


class Layers:
    """The newest state of everything, durable or not."""

    def __init__(self, trees: Trees) -> None:
        """Nothing is on its way."""
        self.trees = trees
        self.assembling = Layer()
        self.writing: Layer | None = None
        # While nothing is deleted nobody looks for tombstones.
        self.has_tombstones = trees.count("tombstones") > 0

    def parts(self, key: bytes) -> dict[int, Part]:
        """All parts of a counter; whoever changes them makes a dictionary of its own."""
        found = self.assembling.parts.get(key)
        if found is None and self.writing is not None:
            found = self.writing.parts.get(key)
        if found is None:
            value = self.trees.get("parts", key)
            return {} if value is None else rows.decode_parts(value)
        return found

    def tombstones(self, key: bytes) -> dict[int, Tombstone]:
        """All tombstones of a counter; likewise."""
        if not self.has_tombstones:
            return {}
        found = self.assembling.tombstones.get(key)
        if found is None and self.writing is not None:
            found = self.writing.tombstones.get(key)
        if found is None:
            value = self.trees.get("tombstones", key)
            return {} if value is None else rows.decode_tombstones(value)
        return found

    def get(self, tree: str, key: bytes) -> bytes | None:
        """A row of another tree."""
        for layer in (self.assembling, self.writing):
            if layer is not None and key in layer.rows[tree]:
                return layer.rows[tree][key]
        return self.trees.get(tree, key)

    def names(self, after: bytes, count: int) -> list[bytes]:
        """The next names of which anything is known, at most so many."""
        first = after + b"\0"
        found: set[bytes] = set()
        for tree in ("parts", "tombstones"):
            for number, (key, _value) in enumerate(self.trees.scan(tree, first, None)):
                if number == count:
                    break
                found.add(key)
        for layer in (self.assembling, self.writing):
            if layer is not None:
                found.update(it for it in layer.parts if it > after)
                found.update(it for it in layer.tombstones if it > after)
        return sorted(found)[:count]
