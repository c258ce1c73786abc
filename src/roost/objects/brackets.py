"""What only blocking objects can have: square brackets, `in`, `len`, and so on.

They call the methods of the class that is derived from them.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, MutableSequence, MutableSet
from typing import Any, Generic, Self, TypeVar, overload

from roost.faces import KeyedWrite
from roost.objects.machine import Command

K = TypeVar("K")
V = TypeVar("V")


class CountBrackets(KeyedWrite[K, int]):
    """As `collections.Counter`: what is not there counts 0, and removing it is no error."""

    def __getitem__(self, key: K) -> int:
        """The count of a key, 0 when there is none."""
        found: int = self._tree.get(key, 0)
        return found

    def __delitem__(self, key: K) -> None:
        """Remove a key, if it is there."""
        self._tree.delete(key)


class SetBrackets(MutableSet[V]):
    """As `set`; what combines two of them makes a plain set."""

    @property
    def _face(self) -> Any:  # Any: the class that is derived from this one
        return self

    @classmethod
    def _from_iterable(cls, members: Iterable[Any]) -> Any:
        """What operators make."""
        return set(members)

    def __contains__(self, member: object) -> bool:
        """Whether it is in."""
        return bool(self._face.has(member))

    def __iter__(self) -> Iterator[V]:
        """All members, in order, of one state."""
        found: Iterator[V] = self._face.members()
        return found

    def __len__(self) -> int:
        """How many there are; one row."""
        return int(self._face.count())

    def __ior__(self, other: Iterable[V]) -> Self:  # type: ignore[override,misc]  # takes any
        """Put all in at once."""
        self._face.update(other)
        return self

    def __isub__(self, other: Iterable[Any]) -> Self:
        """Take all out at once."""
        self._face.difference_update(other)
        return self

    def __iand__(self, other: Iterable[Any]) -> Self:
        """Take out all that are not in the other one."""
        self._face.intersection_update(other)
        return self

    def __ixor__(self, other: Iterable[V]) -> Self:  # type: ignore[override,misc]  # takes any
        """Take out those that are in both, and put in those that are in the other one only."""
        self._face.symmetric_difference_update(other)
        return self


class SequenceBrackets(Generic[V]):
    """What a list and a deque have alike."""

    @property
    def _face(self) -> Any:  # Any: the class that is derived from this one
        return self

    def __len__(self) -> int:
        """How many values there are; one row."""
        return int(self._face.length())

    def __contains__(self, value: object) -> bool:
        """Whether it is there; it walks over the values."""
        return bool(self._face.has(value))

    def __iter__(self) -> Iterator[V]:
        """All values, in order, of one state."""
        found: Iterator[V] = self._face.values()
        return found

    def __reversed__(self) -> Iterator[V]:
        """All values, from the end."""
        found: Iterator[V] = self._face.values(reverse=True)
        return found

    def __iadd__(self, values: Iterable[V]) -> Self:
        """Put values at the end."""
        self._face.extend(values)
        return self


class DequeBrackets(SequenceBrackets[V]):
    """As `collections.deque`."""

    def __getitem__(self, position: int) -> V:
        """The value at a position."""
        found: V = self._face.get(position)
        return found

    def __setitem__(self, position: int, value: V) -> None:
        """Set the value at a position."""
        self._face.put(position, value)

    def __delitem__(self, position: int) -> None:
        """Take out the value at a position."""
        self._face.delete(position)


MutableSequence.register(DequeBrackets)


class ListBrackets(SequenceBrackets[V]):
    """As `list`."""

    @overload
    def __getitem__(self, place: int) -> V: ...
    @overload
    def __getitem__(self, place: slice) -> list[V]: ...
    def __getitem__(self, place: int | slice) -> Any:
        """The value at a position, or a plain list of those of a slice."""
        if isinstance(place, slice):
            return self._face.slice(place.start, place.stop, place.step)
        return self._face.get(place)

    @overload
    def __setitem__(self, place: int, value: V) -> None: ...
    @overload
    def __setitem__(self, place: slice, value: Iterable[V]) -> None: ...
    def __setitem__(self, place: int | slice, value: Any) -> None:
        """Set the value at a position, or the values of a slice."""
        if isinstance(place, slice):
            self._face.put_slice(value, place.start, place.stop, place.step)
        else:
            self._face.put(place, value)

    def __delitem__(self, place: int | slice) -> None:
        """Take out the value at a position, or those of a slice."""
        if isinstance(place, slice):
            self._face.delete_slice(place.start, place.stop, place.step)
        else:
            self._face.delete(place)


MutableSequence.register(ListBrackets)


class NamedCommands:
    """Commands and queries of a machine as methods."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        face: Any = self  # the class that is derived from this one
        found = face.named(name)
        return functools.partial(face.run if isinstance(found, Command) else face.ask, found)
