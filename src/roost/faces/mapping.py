"""Square brackets for blocking classes that have a mapping's methods, and `len`."""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_MISSING = object()


class KeyedRead(Generic[K, V]):
    """`[]`, `in`, `len` and iteration, of `get`, `has`, `count`, `first` and `keys`."""

    @property
    def _tree(self) -> Any:  # Any: the class that is derived from this one
        return self

    def __getitem__(self, key: K) -> V:
        """The value of a key.

        Raises:
            KeyError: there is none.

        """
        held: V = self._tree.get(key, _MISSING)
        if held is _MISSING:
            raise KeyError(key)
        return held

    def __contains__(self, key: K) -> bool:
        """Whether there is such a key."""
        return bool(self._tree.has(key))

    def __iter__(self) -> Iterator[K]:
        """All keys, in order."""
        found: Iterator[K] = self._tree.keys()
        return found

    def __len__(self) -> int:
        """How many keys there are; it counts them."""
        return int(self._tree.count())

    def __bool__(self) -> bool:
        """Whether there is any; it does not count."""
        return self._tree.first() is not None


class KeyedWrite(KeyedRead[K, V]):
    """Assignment and `del` besides, of `put` and `delete`."""

    def __setitem__(self, key: K, value: V) -> None:
        """Set the value of a key, as `put`."""
        self._tree.put(key, value)

    def __delitem__(self, key: K) -> None:
        """Remove a key, as `delete`.

        Raises:
            KeyError: it was not there.

        """
        if not self._tree.delete(key):
            raise KeyError(key)


class WithLength:
    """`len`, of `length`."""

    def __len__(self) -> int:
        """How many there are, as `length`."""
        face: Any = self  # Any: the class that is derived from this one
        return int(face.length())


Mapping.register(KeyedRead)
