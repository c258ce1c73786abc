"""What roles permit, and when requests are judged."""

from collections.abc import Iterator

import pytest

from roost.etcd.v2 import nodes, users
from roost.etcd.v2.user_changes import (
    DeleteUser,
    PutRole,
    PutUser,
    SetEnabled,
    Told,
    UserChange,
    UserOperations,
    decode_told,
    encode,
)
from roost.etcd.v2.users import ROLES_MAX, ROW_BYTES_MAX, Patterns, Users, Wanted
from roost.store import Txn
from tests.etcd.replica import LocalReplica


class Base:
    """Users of one store, changed as the leader changes them."""

    def __init__(self, replica: LocalReplica) -> None:
        self.replica = replica
        trees = nodes.trees_of(replica.store)
        self.users = Users(trees, replica.view)
        self.operations = UserOperations(trees, self.users, alarms=Silent())  # type: ignore[arg-type]  # says no more of them

    def change(self, asked: UserChange, txn: Txn | None = None) -> Told:
        own = txn or self.replica.store.begin()
        told = decode_told(self.operations.change(own, encode(asked)))
        if txn is None and not own.is_empty:
            self.replica.store.apply(self.replica.store.applied_index + 1, own.encode())
            self.users.look()
        return told

    def may(self, name: str, key: bytes, *, writes: bool = False, recursive: bool = False) -> bool:
        return self.users.may(self.replica.view, name, Wanted(key, writes, recursive))


class Silent:
    """Nothing is wrong."""

    raised = frozenset[object]()

    def take_space(self, _bytes: int) -> None:
        pass


@pytest.fixture
def base() -> Iterator[Base]:
    made = LocalReplica()
    yield Base(made)
    made.close()


def make(base: Base, name: str, *roles: str) -> None:
    assert base.change(PutUser(name, b"#pw", roles or None)).status in (200, 201)


@pytest.mark.parametrize(
    ("pattern", "key", "alone", "below"),
    [
        ("/a", b"/a", True, False),
        ("/a", b"/a/", False, False),
        ("/a", b"/a/b", False, False),
        ("/a/*", b"/a/b", True, True),
        ("/a/*", b"/a/", True, True),
        ("/a/*", b"/a", False, False),
        ("/a*", b"/ab", True, True),
        ("*", b"", True, True),
        ("/*", b"", False, False),
        ("", b"", False, False),
    ],
)
def test_a_pattern_is_a_path_or_the_beginning_of_paths(
    base: Base, pattern: str, key: bytes, *, alone: bool, below: bool
) -> None:
    base.change(PutRole("r", Patterns(read=(pattern,), write=())))
    make(base, "bob", "r", "gone")
    assert base.may("bob", key) is alone
    assert base.may("bob", key, recursive=True) is below
    assert not base.may("bob", key, writes=True)
    assert not base.may("bobby", key)
    assert not base.may("", key), "the guest has a role of its own"


def test_root_may_do_everything_and_a_guest_what_its_role_says(base: Base) -> None:
    make(base, "root")
    make(base, "bob")
    assert base.change(SetEnabled(is_on=True)).status == 200
    assert base.may("root", b"", writes=True, recursive=True)
    assert base.users.is_root(base.replica.view, "root")
    for name in ("", "bob", "nobody"):
        assert not base.users.is_root(base.replica.view, name)
    assert base.may("", b"/x", writes=True, recursive=True)
    assert not base.may("bob", b"/x")


def test_whoever_asks_behind_a_change_that_is_not_applied_yet_is_judged(base: Base) -> None:
    make(base, "root")
    txn = base.replica.store.begin()
    base.change(SetEnabled(is_on=True), txn)
    assert base.users.may_be_on
    assert not base.users.is_on
    make(base, "bob")  # another change is applied before
    assert base.users.may_be_on
    assert base.users.is_enabled(txn)
    assert not base.users.is_enabled(base.replica.view)


def test_what_is_applied_says_whether_requests_are_judged(base: Base) -> None:
    make(base, "root")
    assert not base.users.look(), "nothing is new"
    base.change(SetEnabled(is_on=True))
    assert base.users.is_on
    assert base.change(DeleteUser("root")).status == 403
    base.change(SetEnabled(is_on=False))
    assert not base.users.may_be_on
    assert base.change(DeleteUser("root")).status == 200


def test_a_user_is_known_by_the_hash_that_it_was_checked_against(base: Base) -> None:
    make(base, "bob")
    view = base.replica.view
    assert base.users.knows(view, "bob", b"#pw")
    assert not base.users.knows(view, "bob", b"#old")
    assert not base.users.knows(view, "nobody", b"")
    assert base.users.knows(view, "", b"")


def test_rows_have_a_bound(base: Base) -> None:
    long = Patterns(read=("/" + "x" * ROW_BYTES_MAX,))
    assert base.change(PutRole("r", long)).status == 400
    many = tuple(map(str, range(ROLES_MAX + 1)))
    assert base.change(PutUser("bob", b"#pw", many)).status == 400
    assert base.users.user(base.replica.view, "bob") is None
    assert users.ROLES_MAX * ROW_BYTES_MAX <= 1 << 20
