"""What observers are told: changes of trees, in the order of the log.

A `Change` is of one key: a put, or a key that went away, by itself or with a range.  Operations
that ran in one turn share an index, and their changes come in the order in which they ran.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from roost.database import declared
from roost.database.bounds import Range, Shape
from roost.database.declared import Declared
from roost.database.errors import BadArgument
from roost.store import CATALOG_ID, METADATA_ID, View

K = TypeVar("K")
V = TypeVar("V")


class Unknown(Enum):
    """Nobody knows it any more."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an operation said by `Transaction.annotate`."""

    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Change(Generic[K, V]):
    """One key, as an operation left it.

    `index` is the position in the log.  `value` is None when the key went away, `before` when it
    was not there; `before` is UNKNOWN for what was read back from the log (`since=`).
    `annotations` are those of the operation.  One that only annotated is a change without a tree,
    of the key b"", for those who observe all trees.
    """

    index: int
    tree: str
    key: K
    value: V | None
    before: V | Unknown | None
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Overrun:
    """Some of what was written up to `index` was not told; what was written after it will be.

    Whoever needs all of it reads the trees again, now.
    """

    index: int


class Wanted(Generic[K, V]):
    """Which changes somebody wants, and as what."""

    def __init__(self, tree: str | None, key: type[K], value: type[V], prefix: Any) -> None:
        """Those of a tree whose keys begin with `prefix`, or of all trees.

        Raises:
            BadTreeName, BadKey, BadValue: as `Shape`.
            BadArgument: there is no tree, and what is one tree's.

        """
        self.tree = tree
        self._shape: Shape[K, V] | None = None
        self._range = Range(b"", None)
        # Bytes are what a tree has, whatever they are for others.
        self._keys, self._values = key is not bytes, value is not bytes
        if tree is not None:
            self._shape = Shape(tree, key, value)
            self._range = self._shape.range(None, None, prefix)
        elif prefix is not None or self._keys or self._values:
            raise BadArgument("a prefix and types are those of one tree: name it")

    def covers(self, key: bytes) -> bool:
        """Whether it is a key that is wanted, of a tree that is."""
        stop = self._range.stop
        return self._range.first <= key and (stop is None or key < stop)

    def meets(self, first: bytes, stop: bytes | None) -> bool:
        """Whether a range has a key that is wanted."""
        ours = self._range
        return (stop is None or ours.first < stop) and (ours.stop is None or first < ours.stop)

    def trees_of(self, names: Mapping[int, str]) -> dict[int, str]:
        """Those of the trees that are wanted."""
        if self.tree is None:
            return dict(names)
        return {tree_id: name for tree_id, name in names.items() if name == self.tree}

    def check(self, row: Declared | None) -> None:
        """See that the tree holds what is wanted.

        Raises:
            OtherCodec: it holds something else.

        """
        if self._shape is not None and row is not None:
            keys = self._shape.keys.name if self._keys else row.key
            values = self._shape.values.name if self._values else row.value
            declared.check_codecs(self._shape.name, row, keys, values)

    def typed(self, change: Change[bytes, bytes]) -> Change[K, V]:
        """A change as whoever wants it knows its keys and values.

        Raises:
            KeyUndecodable, ValueUndecodable: something else stands in the tree.

        """
        if self._shape is None or not (self._keys or self._values):
            return change  # type: ignore[return-value]  # K and V are bytes
        decode, before = self._shape.values.decode, change.before
        return Change(
            change.index,
            change.tree,
            self._shape.keys.decode(change.key),
            None if change.value is None else decode(change.value),
            decode(before) if isinstance(before, bytes) else before,
            change.annotations,
        )


def names_of(view: View) -> dict[int, str]:
    """The trees of programs, by their ids."""
    names = {}
    for name, tree_id in view.scan(CATALOG_ID):
        text = name.decode()
        if not text.startswith("$") and view.get(METADATA_ID, declared.row_name(text)) is not None:
            names[int.from_bytes(tree_id, "big")] = text
    return names


def annotations_of(said: tuple[tuple[int, bytes], ...]) -> tuple[Annotation, ...]:
    """Annotations by name."""
    return tuple(Annotation(kind, data) for kind, data in said)
