"""Signs between two things: arithmetic, comparisons, and which series belong together.

Series belong together whose labels are the same, but for the name of the metric and those that
`ignoring` says, or that have the same ones of those that `on` says.  On both sides, or with
`group_left` and `group_right` on one of them, there is one series of such labels at each step;
where there are two, nobody can say which is meant.
"""

from collections.abc import Callable
from dataclasses import dataclass

from roost.series.extra import Floats, Ints, Mask, np
from roost.series.prometheus.errors import QueryFailed
from roost.series.prometheus.plan import NAME, Binary, Many
from roost.series.prometheus.vectors import (
    Labels,
    Vector,
    grouped,
    labels_text,
    only,
    united,
    unnamed,
    without,
)

ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISONS: dict[str, Callable[[Floats, Floats], Mask]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
SETS = frozenset(("and", "or", "unless"))
Value = Vector | Floats
# Numbers that pairs of series come to.
PAIR_CELLS_MAX = 4_000_000


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of the series of both sides, and what is the same in each."""

    lefts: Ints
    rights: Ints
    labels: list[Labels]


def operated(plan: Binary, left: Value, right: Value) -> Value:
    """What comes of two sides.

    Raises:
        QueryFailed: it cannot be said which series belong together.

    """
    with np.errstate(all="ignore"):
        if isinstance(left, Vector) and isinstance(right, Vector):
            if plan.sign in SETS:
                return _set(plan, left, right)
            if plan.many is not None:
                return _many(plan, left, right)
            return _matched(plan, left, right)
        if isinstance(left, Vector):
            return _with_number(plan, left, left.values, right, left.values)
        if isinstance(right, Vector):
            return _with_number(plan, right, left, right.values, right.values)
        return _numbers(plan, left, right)


def _numbers(plan: Binary, left: Value, right: Value) -> Floats:
    assert not isinstance(left, Vector)
    assert not isinstance(right, Vector)
    if plan.sign in COMPARISONS:
        return COMPARISONS[plan.sign](left, right).astype(np.float64)
    return ARITHMETIC[plan.sign](left, right)


def _with_number(plan: Binary, vector: Vector, left: Value, right: Value, kept: Floats) -> Vector:
    """A vector and a number: a comparison keeps the vector's numbers, where it holds."""
    assert not isinstance(left, Vector)
    assert not isinstance(right, Vector)
    if plan.sign not in COMPARISONS:
        found = ARITHMETIC[plan.sign](left, right)
        return unnamed(Vector(vector.labels, found, vector.is_there))
    holds = COMPARISONS[plan.sign](left, right)
    if plan.is_bool:
        return unnamed(Vector(vector.labels, holds.astype(np.float64), vector.is_there))
    return Vector(vector.labels, kept, vector.is_there & holds)


def _key(plan: Binary) -> Callable[[Labels], Labels]:
    if plan.is_on:
        return lambda it: only(it, plan.labels)
    gone = (*plan.labels, NAME)
    return lambda it: without(it, gone)


def _title(plan: Binary) -> Callable[[Labels], Labels]:
    """What a series is called that is made of two."""
    drops_name = plan.sign in ARITHMETIC or plan.is_bool
    gone = (NAME,) if drops_name else ()
    if plan.is_on:
        return lambda it: only(without(it, gone), plan.labels)
    return lambda it: without(it, (*plan.labels, *gone))


def _groups(plan: Binary, left: Vector, right: Vector) -> _Groups:
    """The groups of the series of both sides, and the labels of the groups."""
    key = _key(plan)
    both = grouped([*left.labels, *right.labels], key)
    return _Groups(both.places[: len(left)], both.places[len(left) :], list(both.labels))


def _paired(plan: Binary, left: Floats, right: Floats, is_there: Mask) -> tuple[Floats, Mask]:
    """What comes of numbers of both sides, and where: a comparison keeps those of the left."""
    if plan.sign in ARITHMETIC:
        return ARITHMETIC[plan.sign](left, right), is_there
    holds = COMPARISONS[plan.sign](left, right)
    if plan.is_bool:
        return holds.astype(np.float64), is_there
    return left, is_there & holds


def _matched(plan: Binary, left: Vector, right: Vector) -> Vector:
    """One to one."""
    groups = _groups(plan, left, right)
    lefts, rights, keys = groups.lefts, groups.rights, groups.labels
    values, is_there = _one_a_group(right, rights, keys, "right")
    others, are_there = values[lefts], is_there[lefts] & left.is_there
    found, are_there = _paired(plan, left.values, others, are_there)
    _refuse_many(lefts, are_there, keys)
    title = _title(plan)
    return united(Vector([title(it) for it in left.labels], found, are_there))


def _many(plan: Binary, left: Vector, right: Vector) -> Vector:
    """Many to one: each pair of series that belong together, at the steps that both have."""
    groups = _groups(plan, left, right)
    lefts, rights, keys = groups.lefts, groups.rights, groups.labels
    is_left = plan.many is Many.LEFT
    many, one = (left, right) if is_left else (right, left)
    many_places, one_places = (lefts, rights) if is_left else (rights, lefts)
    _one_a_group(one, one_places, keys, "right" if is_left else "left")
    of_group: dict[int, list[int]] = {}
    for row, group in enumerate(one_places.tolist()):
        of_group.setdefault(group, []).append(row)
    pairs = [
        (row, other)
        for row, group in enumerate(many_places.tolist())
        for other in of_group.get(group, ())
    ]
    if len(pairs) * many.values.shape[1] > PAIR_CELLS_MAX:
        raise QueryFailed("too many series belong together: say more labels")
    rows, others = np.array(pairs, np.int64).reshape(-1, 2).T
    is_there = many.is_there[rows] & one.is_there[others]
    sides = many.values[rows], one.values[others]
    a, b = sides if is_left else sides[::-1]
    found, is_there = _paired(plan, a, b, is_there)
    gone = (NAME,) if plan.sign in ARITHMETIC or plan.is_bool else ()
    labels = [
        _with_included(plan, without(many.labels[row], gone), one.labels[other])
        for row, other in pairs
    ]
    return united(Vector(labels, found, is_there))


def _with_included(plan: Binary, labels: Labels, one: Labels) -> Labels:
    """The labels of one of many, with those that it takes from the one."""
    kept = without(labels, plan.included)
    taken = only(one, plan.included)
    return tuple(sorted((*kept, *taken)))


def _one_a_group(one: Vector, places: Ints, keys: list[Labels], side: str) -> tuple[Floats, Mask]:
    """The numbers of a side by their groups; each has one at each step."""
    values = np.full((len(keys), one.values.shape[1]), np.nan)
    counts = np.zeros(values.shape, np.int64)
    np.add.at(counts, places, one.is_there)
    if (counts > 1).any():
        group = int(np.flatnonzero((counts > 1).any(axis=1))[0])
        raise QueryFailed(
            f"found duplicate series for the match group {labels_text(keys[group])} on the {side} "
            "hand-side of the operation; many-to-many matching not allowed: matching labels must "
            "be unique on one side"
        )
    for place, row, there in zip(places.tolist(), one.values, one.is_there, strict=True):
        values[place, there] = row[there]
    return values, counts == 1


def _refuse_many(places: Ints, is_there: Mask, keys: list[Labels]) -> None:
    """One to one means one on the left, too."""
    counts = np.zeros((len(keys), is_there.shape[1]), np.int64)
    np.add.at(counts, places, is_there)
    if (counts > 1).any():
        group = int(np.flatnonzero((counts > 1).any(axis=1))[0])
        raise QueryFailed(
            f"multiple matches for labels {labels_text(keys[group])}: many-to-one matching must be "
            "explicit (group_left/group_right)"
        )


def _set(plan: Binary, left: Vector, right: Vector) -> Vector:
    """`and`, `unless`, `or`: by which groups the other side has, step by step."""
    groups = _groups(plan, left, right)
    lefts, rights, keys = groups.lefts, groups.rights, groups.labels
    if plan.sign == "or":
        kept = right.is_there & ~_has(lefts, left, len(keys))[rights]
        labels = [*left.labels, *right.labels]
        values = np.concatenate((left.values, right.values))
        return united(Vector(labels, values, np.concatenate((left.is_there, kept))))
    others = _has(rights, right, len(keys))[lefts]
    others = others if plan.sign == "and" else ~others
    return Vector(left.labels, left.values, left.is_there & others)


def _has(places: Ints, vector: Vector, count: int) -> Mask:
    """At which steps a group has a number."""
    found = np.zeros((count, vector.values.shape[1]), np.bool_)
    np.logical_or.at(found, places, vector.is_there)
    return found
