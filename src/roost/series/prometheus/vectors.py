"""Vectors: for each step of a query, one number of each of some series, or none.

    labels   by their names, in order; the name of a metric is the label `__name__`
    values   `values[s][t]` is the number of series s at step t
    is_there whether it has one; NaN is a number of PromQL as any other

What comes of two series with the same labels is one, where they have no step in common.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from roost.series.extra import Floats, Ints, Mask, np
from roost.series.prometheus.errors import QueryFailed
from roost.series.prometheus.plan import NAME

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Vector:
    """See the module."""

    labels: Sequence[Labels]
    values: Floats
    is_there: Mask

    def __len__(self) -> int:
        """How many series it has."""
        return len(self.labels)

    def at(self, chosen: "Ints | Mask") -> "Vector":
        """Some of the series."""
        places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        labels = [self.labels[it] for it in places.tolist()]
        return Vector(labels, self.values[places], self.is_there[places])

    def at_all(self, steps: Ints) -> "Vector":
        """Of one step: the same at all of them."""
        count = len(steps)
        return Vector(
            self.labels, self.values.repeat(count, axis=1), self.is_there.repeat(count, axis=1)
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """Which series belong together: `places[s]` is the number of the group of series s."""

    labels: Sequence[Labels]
    places: Ints
    # Series by their groups, each group's in their order, and where each group begins.
    order: Ints
    begins: Ints


def empty(step_count: int) -> Vector:
    """No series."""
    return Vector([], np.empty((0, step_count)), np.empty((0, step_count), np.bool_))


def without(labels: Labels, names: Iterable[str]) -> Labels:
    """Labels but those."""
    gone = frozenset(names)
    return tuple(it for it in labels if it[0] not in gone)


def only(labels: Labels, names: Iterable[str]) -> Labels:
    """Those labels."""
    kept = frozenset(names)
    return tuple(it for it in labels if it[0] in kept)


def labels_text(labels: Labels) -> str:
    """Labels as PromQL writes them."""
    name = dict(labels).get(NAME, "")
    rest = ", ".join(f'{key}="{value}"' for key, value in labels if key != NAME)
    return f"{name}{{{rest}}}"


def grouped(all_labels: Sequence[Labels], key: Callable[[Labels], Labels]) -> Groups:
    """Series by what `key` makes of their labels; groups are in the order of their first ones."""
    numbers: dict[Labels, int] = {}
    places = np.array([numbers.setdefault(key(it), len(numbers)) for it in all_labels], np.int64)
    order = np.argsort(places, kind="stable")
    begins = np.searchsorted(places[order], np.arange(len(numbers)))
    return Groups(list(numbers), places, order, begins)


def outside(shares: Floats, found: Floats) -> Floats:
    """What was found, but where a share is none: then what that says of itself."""
    found = np.where(shares < 0, -np.inf, np.where(shares > 1, np.inf, found))
    return np.where(np.isnan(shares), np.nan, found)


def unnamed(vector: Vector) -> Vector:
    """Without the names of metrics: what was computed is no longer what they name.

    Raises:
        QueryFailed: two series are the same then, and have a step in common.

    """
    return united(relabelled(vector, lambda it: without(it, (NAME,))))


def relabelled(vector: Vector, change: Callable[[Labels], Labels]) -> Vector:
    """With other labels."""
    return Vector([change(it) for it in vector.labels], vector.values, vector.is_there)


def united(vector: Vector) -> Vector:
    """Series with the same labels as one.

    Raises:
        QueryFailed: two of them have a step in common.

    """
    groups = grouped(vector.labels, lambda it: it)
    if len(groups.labels) == len(vector):
        return vector
    values, is_there = vector.values[groups.order], vector.is_there[groups.order]
    counts = np.add.reduceat(is_there, groups.begins, axis=0, dtype=np.int64)
    twice = np.flatnonzero((counts > 1).any(axis=1))
    if len(twice):
        text = labels_text(groups.labels[int(twice[0])])
        raise QueryFailed(f"vector cannot contain metrics with the same labelset: {text}")
    found = np.add.reduceat(np.where(is_there, values, 0.0), groups.begins, axis=0)
    return Vector(groups.labels, found, counts == 1)
