"""What objects answer with, where it is more than a value."""

from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Taken(Generic[V]):
    """All values of a sequence, and the version of which they are."""

    values: list[V]
    version: int


@dataclass(frozen=True, slots=True)
class Versioned(Generic[V]):
    """A value, None when there is none, and its version."""

    value: V | None
    version: int


@dataclass(frozen=True, slots=True)
class Leading:
    """Who leads: what it says of itself, and its fencing token."""

    value: str
    token: int
