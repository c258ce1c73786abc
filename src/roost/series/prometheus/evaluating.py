"""What a plan comes to, when all that its leaves read is there.  No device, no clock of its own.

Leaves and subqueries are vectors here already (`loading`, `subqueries`), so the rest is arithmetic
on numpy's arrays and can run on a thread.
"""

from collections.abc import Callable, Mapping
from typing import assert_never

from roost.series.extra import Floats, Ints, np
from roost.series.prometheus.aggregating import aggregated
from roost.series.prometheus.functions import Value, called
from roost.series.prometheus.operators import operated
from roost.series.prometheus.plan import (
    Aggregate,
    Binary,
    Call,
    Leaf,
    Negative,
    Number,
    Plan,
    Source,
    Subquery,
    Text,
)
from roost.series.prometheus.vectors import Vector, unnamed


def evaluated(
    plan: Plan, steps: Ints, sources: Mapping[Source, Vector], look: Callable[[], None]
) -> Value:
    """What a plan comes to at each step; `look` is called now and then, and may raise.

    Raises:
        BadQuery, NotInSubset, QueryFailed: it has no value.

    """

    def of(plan: Plan) -> Value:
        look()
        match plan:
            case Leaf() | Subquery():
                return sources[plan]
            case Number(value):
                return np.full(len(steps), value)
            case Text(value):
                return value
            case Negative(inner):
                return _negative(of(inner))
            case Call(name, arguments):
                return called(name, [of(it) for it in arguments], steps, arguments)
            case Aggregate(of=inner, parameter=parameter):
                held = None if parameter is None else of(parameter)
                assert not isinstance(held, Vector | str), "the parser asks for a number"
                return aggregated(plan, _vector(of(inner)), held)
            case Binary(left=left, right=right):
                return operated(plan, _operand(of(left)), _operand(of(right)))
            case _:
                assert_never(plan)

    return of(plan)


def _vector(value: Value) -> Vector:
    assert isinstance(value, Vector), "the parser asks for a vector"
    return value


def _operand(value: Value) -> Vector | Floats:
    assert not isinstance(value, str), "the parser asks for a vector or a number"
    return value


def _negative(value: Value) -> Value:
    if isinstance(value, Vector):
        return unnamed(Vector(value.labels, -value.values, value.is_there))
    assert not isinstance(value, str), "the parser asks for a vector or a number"
    return -value
