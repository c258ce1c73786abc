"""CPython's own types beside ours: the same calls, the same answers and errors."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import roost

_numbers = itertools.count()
ERRORS = (KeyError, IndexError, ValueError)


class Opened:
    """One database for the machines of a module, each of which takes new names."""

    database: roost.Database | None = None


@contextmanager
def opened() -> Iterator[roost.Database]:
    """A database in memory, for `fresh`."""
    with roost.open(None) as database:
        Opened.database = database
        yield database
        Opened.database = None


def objects() -> Any:
    """`db.objects` of the database that is open."""
    assert Opened.database is not None
    return Opened.database.objects


def fresh() -> str:
    """A name that no object has."""
    return f"o{next(_numbers)}"


def outcome(ask: Callable[[], Any]) -> Any:
    """What comes of it: a value, or the class of the error."""
    try:
        return ask()
    except ERRORS as error:
        return type(error)


def same(ours: Any, theirs: Any, ask: Callable[[Any], Any]) -> None:
    """The same call of both has the same outcome."""
    assert outcome(lambda: ask(ours)) == outcome(lambda: ask(theirs))
