"""An operation that could not travel is refused where it is declared, with the reason."""

# mypy: disable-error-code="arg-type, no-untyped-def, misc, type-var, no-any-return"
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from roost.database import BadArgument, BadDeclaration, Operations, Transaction
from roost.database.operations import by_name


class Order(msgspec.Struct, frozen=True):
    """An argument."""

    what: str
    count: int = 1


def fresh() -> Operations:
    return Operations("shop")


def test_arguments_travel_by_their_annotations() -> None:
    seen: list[object] = []
    shop = fresh()

    @shop.operation
    def order(txn: Transaction, order: Order, *, tags: tuple[str, ...] = (), urgent: bool = False
              ) -> dict[str, int]:  # fmt: skip
        seen.append((order, tags, urgent))
        return {order.what: order.count}

    body = order.encode((Order("tea", 2),), {"urgent": True})
    assert order.result(order.run(None, body)) == {"tea": 2}
    assert seen == [(Order("tea", 2), (), True)]
    assert order.name == "shop.order"


def test_an_operation_is_a_part_of_another_one_as_a_function() -> None:
    shop = fresh()

    @shop.operation
    def one(txn: Transaction, number: int) -> int:
        return number + 1

    @shop.operation
    def two(txn: Transaction, number: int) -> int:
        return one(txn, one(txn, number))

    assert two.result(two.run(None, two.encode((1,), {}))) == 3


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("text",), {}), ((), {}), ((1, 2), {}), ((1,), {"more": 1}), ((1.5,), {}), ((1 << 70,), {})],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    shop = fresh()

    @shop.operation
    def count(txn: Transaction, number: int) -> int:
        return number

    with pytest.raises(BadArgument, match=r"shop.count\(number: int\)"):
        count.encode(args, kwargs)


def no_annotation(txn: Transaction, a) -> int:
    return a


def no_result(txn: Transaction, a: int):
    return a


def no_transaction() -> int:
    return 1


def starred(txn: Transaction, *a: int) -> int:
    return len(a)


def named(txn: Transaction, **a: int) -> int:
    return len(a)


def takes_once(txn: Transaction, once: str) -> int:
    return len(once)


def not_to_be_carried(txn: Transaction, a: Callable[[], int]) -> int:
    return a()


def two_of_a_kind(txn: Transaction, a: dict[str, int] | Order) -> int:
    return len(a)


def unknown_name(txn: Transaction, a: "Unheard") -> int:  # type: ignore[name-defined]  # noqa: F821 - that is the point
    return 1


async def waits(txn: Transaction, a: int) -> int:
    return a


def yields(txn: Transaction, a: int) -> Any:
    yield a


async def waits_and_yields(txn: Transaction, a: int) -> Any:
    yield a


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_annotation, "the argument 'a' has no annotation"),
        (no_result, "its result has no annotation"),
        (no_transaction, "the first argument of an operation is the transaction"),
        (starred, "no types to travel by"),
        (named, "no types to travel by"),
        (takes_once, "`once` is an argument of `run` itself"),
        (not_to_be_carried, "msgspec cannot carry that"),
        (two_of_a_kind, "msgspec cannot carry that"),
        (unknown_name, "Unheard"),
        (waits, "use a plain `def`"),
        (yields, "use a plain `def`"),
        (waits_and_yields, "use a plain `def`"),
        (partial(no_result, a=1), "no function with a name"),
        ("order", "no function with a name"),
    ],
)
def test_what_cannot_travel_is_refused_when_it_is_declared(
    function: Callable[..., Any], words: str
) -> None:
    with pytest.raises(BadDeclaration, match=words):
        fresh().operation(function)


def test_a_name_is_declared_once() -> None:
    shop = fresh()

    def order(txn: Transaction) -> None:
        return None

    shop.operation(order)
    with pytest.raises(BadDeclaration, match="declared twice"):
        shop.operation(order)
    other = fresh()
    other.operation(order)
    with pytest.raises(BadDeclaration, match="declared twice"):
        by_name([shop, other])
    assert list(by_name([shop, shop])) == ["shop.order"]


@pytest.mark.parametrize("name", ["roost", "", "a.b", "class", "no name", "é", "x" * 129])
def test_a_group_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(BadDeclaration):
        Operations(name)


def test_only_groups_of_operations_are_opened_with() -> None:
    with pytest.raises(BadDeclaration, match=r"roost\.Operations"):
        by_name([order_of := "shop"])  # type: ignore[list-item]  # that is the point
    assert order_of
