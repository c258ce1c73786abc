"""What a query of PromQL comes to: a tree of a few kinds of nodes, of numbers and vectors.

A vector has, for each step of a query, one number of each of some series.  What reads points is a
`Leaf`, and nothing else does; and a `Subquery` is a plan with steps of its own.  So all that a plan
is computed from is known before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

NAME, BUCKET = "__name__", "le"
RAW = "[]"


class MatchKind(Enum):
    """How a matcher looks at the value of a label; as remote read numbers them."""

    IS = 0
    IS_NOT = 1
    MATCHES = 2
    MATCHES_NOT = 3


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that is not there is an empty one."""

    name: str
    kind: MatchKind
    value: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is made of the points of a window that ends at each step, series by series.

    `function` is one of `ranges`; "" is the newest point, RAW are all points, which are not
    computed with.  `parameter` is its number, if it has one.  With `at_ns` all steps have the
    window of that moment (`@`).
    """

    matchers: tuple[Matcher, ...]
    range_ns: int
    offset_ns: int = 0
    function: str = ""
    parameter: float = 0.0
    at_ns: int | None = None

    @property
    def is_raw(self) -> bool:
        """Whether it is points, and no vector."""
        return self.function == RAW


@dataclass(frozen=True, slots=True)
class Subquery:
    """What a function of `ranges` makes of windows of a plan's numbers, `step_ns` apart."""

    function: str
    of: "Plan"
    range_ns: int
    step_ns: int
    offset_ns: int = 0
    parameter: float = 0.0
    at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number, at each step the same."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string: what functions of labels are given."""

    value: str


@dataclass(frozen=True, slots=True)
class Negative:
    """A minus sign before something."""

    of: "Plan"


@dataclass(frozen=True, slots=True)
class Call:
    """A function of vectors and numbers."""

    name: str
    arguments: "tuple[Plan, ...]"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Series that have some labels in common as one; or the top of them."""

    name: str
    of: "Plan"
    labels: tuple[str, ...] = ()
    # Whether `labels` are those that go, and not those that stay.
    is_without: bool = False
    parameter: "Plan | None" = None


class Many(Enum):
    """On which side there may be many series for one of the other side."""

    LEFT = "group_left"
    RIGHT = "group_right"


@dataclass(frozen=True, slots=True)
class Binary:
    """Two things and a sign between them; `labels` say which series belong together."""

    sign: str
    left: "Plan"
    right: "Plan"
    labels: tuple[str, ...] = ()
    # Whether `labels` are those that count, and not those that do not.
    is_on: bool = False
    is_bool: bool = False
    many: Many | None = None
    # Labels that the many take from the one.
    included: tuple[str, ...] = ()


Plan = Leaf | Subquery | Number | Text | Negative | Call | Aggregate | Binary
# What the rest of a plan is computed from.
Source = Leaf | Subquery
# Functions whose value is a number for each step, and not a vector.
SCALARS = frozenset(("time", "scalar", "pi"))


def is_scalar(plan: Plan) -> bool:
    """Whether it comes to a number for each step."""
    match plan:
        case Number():
            return True
        case Negative(of):
            return is_scalar(of)
        case Call(name):
            return name in SCALARS
        case Binary(left=left, right=right):
            return is_scalar(left) and is_scalar(right)
        case Leaf() | Subquery() | Text() | Aggregate():
            return False
    assert_never(plan)


def sources_of(plan: Plan) -> Iterator[Source]:
    """What it is computed from; what is in a subquery is not in it; one may come twice."""
    match plan:
        case Leaf() | Subquery():
            yield plan
        case Number() | Text():
            return
        case Negative(of):
            yield from sources_of(of)
        case Call(_, arguments):
            for it in arguments:
                yield from sources_of(it)
        case Aggregate(of=of, parameter=parameter):
            yield from sources_of(of)
            if parameter is not None:
                yield from sources_of(parameter)
        case Binary(left=left, right=right):
            yield from sources_of(left)
            yield from sources_of(right)
        case _:
            assert_never(plan)
