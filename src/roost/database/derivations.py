"""What a derived tree is made by: a function of one row of a source tree, and its version.

    @roost.derived("ix_people_by_city", source="people", version=1)
    def by_city(name: str, person: Person) -> Iterator[tuple[tuple[str, str], int]]:
        yield (person.city, name), person.born

Its annotations say what the source holds, and what the tree will hold.  What it gives depends on
the row alone: no clock, no chance, no other tree.  So the tree can be made anew at any time, and a
row of the source that changes takes with it whatever was made of it.

A row may give any number of rows.  ROWS_MAX is the bound: a function that gives more has failed.
Beyond `rows_max` it is warned of by name, once, and counted.
"""

from collections.abc import Callable, Iterable, Iterator
from inspect import Parameter, signature
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from roost.database.bounds import DERIVED_PREFIX, Range, Shape
from roost.database.errors import BadDeclaration, BadKey, BadValue
from roost.database.limits import Limits, TreeLimits, check_key, check_value
from roost.store import BadTreeName

K = TypeVar("K")
V = TypeVar("V")
DK = TypeVar("DK")
DV = TypeVar("DV")
ROWS_MAX = 10_000
ROWS_WARNED = 100
VERSION_MAX = (1 << 63) - 1
# A derived tree has those of the database.
_NO_LIMITS = TreeLimits()


class TooManyRows(Exception):
    """A function gives more rows for one than there may be."""


class Derivation(Generic[DK, DV]):
    """One derived tree as it is declared; `derived` makes them."""

    def __init__(
        self,
        name: str,
        function: Callable[[Any, Any], Iterable[tuple[DK, DV]]],  # Any: what the source holds
        *,
        source: str,
        version: int,
        prefix: Any,
        rows_max: int,
    ) -> None:
        """Read the annotations.

        Raises:
            BadDeclaration: it cannot be; the text says why.

        """
        _check_names(name, source, version, rows_max)
        self.name, self.version, self.rows_max = name, version, rows_max
        self.function = function
        self.__doc__ = function.__doc__
        kinds = _annotations(name, function)
        try:
            self.source: Shape[Any, Any] = Shape(source, kinds[0], kinds[1])
            self.shape: Shape[DK, DV] = Shape(name, kinds[2], kinds[3], is_derived=True)
            self.range: Range = self.source.range(None, None, prefix)
        except (BadKey, BadValue, BadTreeName) as error:
            raise BadDeclaration(f"{name}: {error}") from error

    def __repr__(self) -> str:
        """As people know it."""
        return f"<derived tree {self.name} of {self.source.name}, version {self.version}>"

    def __call__(self, key: Any, value: Any) -> Iterable[tuple[DK, DV]]:
        """What it makes of a row."""
        return self.function(key, value)

    def rows(self, key: bytes, value: bytes, limits: Limits) -> dict[bytes, bytes]:
        """What it makes of a row, as bytes; of several with one key, the last.

        Raises:
            Exception: whatever the function raises, or what it gives is not what it says, or is
                too large, or the row is not what the source is said to hold.

        """
        encode_key, encode = self.shape.keys.encode, self.shape.values.encode
        key_bytes_max, value_bytes_max = limits.key_bytes_max, limits.value_bytes_max
        found: dict[bytes, bytes] = {}
        for count, (made_key, made_value) in enumerate(self.function(*self.source.row(key, value))):
            if count == ROWS_MAX:
                raise TooManyRows(f"more than {ROWS_MAX} rows for one")
            encoded, content = encode_key(made_key), encode(made_value)
            if len(encoded) > key_bytes_max or len(content) > value_bytes_max:
                check_key(encoded, self.name, _NO_LIMITS, limits)
                check_value(content, self.name, _NO_LIMITS, limits)
            found[encoded] = content
        return found

    def shown(self, key: bytes) -> str:
        """A key of the source, for people."""
        try:
            return repr(self.source.keys.decode(key))
        except Exception:  # noqa: BLE001 - it may be that very key which is wrong
            return repr(key)


def derived(
    name: str, *, source: str, version: int, prefix: Any = None, rows_max: int = ROWS_WARNED
) -> Callable[[Callable[[K, V], Iterable[tuple[DK, DV]]]], Derivation[DK, DV]]:
    """Declare a tree that each member derives from another one, for itself; a decorator.

    The function is given a key and a value of the tree `source`, and gives keys and values of the
    derived tree.  It runs on each member that asks for the tree (`Database.derived`), again
    whenever the row has changed, and for all rows when `version` is another one.  With `prefix`
    only rows whose keys begin with that count.  More than `rows_max` rows for one are warned of.

    Two rows may give the same key: what the tree shows is what the first of them gave, by the
    order of the source.  Put the source's key behind your own where both shall be seen.

    Raises:
        BadDeclaration: the name does not begin with `ix_`, the annotations say no types of keys and
            values, or those of what cannot be stored.

    """

    def declare(
        function: Callable[[K, V], Iterable[tuple[DK, DV]]],
    ) -> Derivation[DK, DV]:
        return Derivation(
            name, function, source=source, version=version, prefix=prefix, rows_max=rows_max
        )

    return declare


def _check_names(name: object, source: object, version: object, rows_max: object) -> None:
    if not isinstance(name, str) or not name.startswith(DERIVED_PREFIX):
        raise BadDeclaration(f"{name!r}: names of derived trees begin with {DERIVED_PREFIX!r}")
    if name == source:
        raise BadDeclaration(f"{name}: a tree is not its own source")
    for what, it, least in (("version", version, 0), ("rows_max", rows_max, 1)):
        if not isinstance(it, int) or isinstance(it, bool) or not least <= it <= VERSION_MAX:
            raise BadDeclaration(f"{name}: {what}={it!r} is no number from {least}")


def _annotations(name: str, function: Callable[..., Any]) -> list[Any]:
    """Types of the source's keys and values, and of the tree's own."""
    try:
        hints = get_type_hints(function)
    except NameError as error:
        text = "an annotation names what is not there when the tree is declared"
        raise BadDeclaration(f"{name}: {text}: {error}") from error
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    given = [it for it in signature(function).parameters.values() if it.default is it.empty]
    if len(given) != 2 or any(it.kind not in places for it in given):
        raise BadDeclaration(f"{name}: the function takes a key and a value of its source")
    kinds = [_hint(name, hints, it.name) for it in given]
    return [*kinds, *_row_types(name, _hint(name, hints, "return"))]


def _hint(name: str, hints: dict[str, Any], argument: str) -> Any:  # Any: an annotation
    if argument not in hints:
        raise BadDeclaration(f"{name}: {argument!r} has no annotation, so nobody knows its type")
    return hints[argument]


def _row_types(name: str, given: Any) -> Iterator[Any]:  # Any: annotations
    """The two types in `Iterator[tuple[K, V]]`, `list[tuple[K, V]]` and so on."""
    rows = get_args(given)
    pair = get_args(rows[0]) if rows else ()
    if len(pair) != 2 or pair[1] is ...:
        text = "it gives rows, Iterator[tuple[K, V]], K being its keys and V its values"
        raise BadDeclaration(f"{name}: {text}; it says {given!r}")
    yield from pair
