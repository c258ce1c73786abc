"""Who may, by one state: against the set of keys that roles permit; the default is no."""

from collections.abc import Iterator
from functools import partial
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.errors import Refused
from roost.etcd.access.judge import Judge, anybody, root, somebody
from roost.etcd.errors import status_of
from roost.etcd.model.costs import Costs, at_once
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.store import View
from tests.etcd.access.states import State

P = auth_pb2.Permission
DENIED = (7, "etcdserver: permission denied")
BYTES = [bytes(it) for size in range(3) for it in product(b"ab", repeat=size)]
EDGES = st.sampled_from([*BYTES, b"c"])
# All keys of up to four letters: whatever is between two edges has some of them.
KEYS = [bytes(it) for size in range(5) for it in product(b"\0abc", repeat=size)]
KINDS = st.sampled_from([P.READ, P.WRITE, P.READWRITE])


class Permitted:
    """A user with roles, of which each permits some ranges."""

    def __init__(self, *roles: list[P]) -> None:
        self.state = State()
        self.state.run("user_add", pb.AuthUserAddRequest(name="ann", hashedPassword="#"))
        for number, permissions in enumerate(roles):
            self.state.run("role_add", pb.AuthRoleAddRequest(name=f"role{number}"))
            for it in permissions:
                asked = pb.AuthRoleGrantPermissionRequest(name=f"role{number}", perm=it)
                self.state.run("role_grant", asked)
            granted = pb.AuthUserGrantRoleRequest(user="ann", role=f"role{number}")
            self.state.run("user_grant", granted)

    @property
    def view(self) -> View:
        return self.state.replica.view

    def judge(self, name: str = "ann") -> Judge:
        return Judge(self.state.auth, self.view, name)

    def may(self, needed: str, key: bytes, range_end: bytes = b"") -> bool:
        try:
            at_once(getattr(self.judge(), needed)(key, range_end))
        except Refused as refusal:
            return status_of(refusal) != DENIED
        return True

    def may_all(self, needed: str, keys: list[bytes]) -> bool:
        """However many there are: what is asked is where there may be none."""

        def first_of(first: bytes) -> Costs[bytes | None]:
            yield 1
            return next((it for it in keys if it >= first), None)

        try:
            at_once(getattr(self.judge(), f"{needed}_all")(first_of))
        except Refused as refusal:
            return status_of(refusal) != DENIED
        return True


@pytest.fixture
def nobodys() -> Iterator[Permitted]:
    made = Permitted()
    yield made
    made.state.replica.close()


def holds(key: bytes, begin: bytes, end: bytes) -> bool:
    """Whether a range as etcd writes it has a key."""
    if not end:
        return key == begin
    return begin <= key and (end == b"\0" or key < end)


ROWS = st.lists(st.tuples(EDGES, st.one_of(EDGES, st.just(b"\0")), KINDS), max_size=4)


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=2), st.lists(st.tuples(EDGES, EDGES), min_size=1, max_size=8))
def test_what_is_permitted_is_what_each_key_is(
    roles: list[list[tuple[bytes, bytes, P.Type]]], asked: list[tuple[bytes, bytes]]
) -> None:
    """Roles add up, ranges that touch are one, and a right to read is none to write."""
    rows = [{(key, end): kind for key, end, kind in role} for role in roles]  # the last one counts
    user = Permitted(
        *([P(permType=kind, key=k, range_end=e) for (k, e), kind in it.items()] for it in rows)
    )
    for needed, kinds in (
        ("need_read", (P.READ, P.READWRITE)),
        ("need_write", (P.WRITE, P.READWRITE)),
    ):
        ranges = [row for role in rows for row, kind in role.items() if kind in kinds]
        for first, stop in asked:
            # An empty range is judged by its first key.
            wanted = [it for it in KEYS if holds(it, first, stop)] or [first]
            permitted = all(any(holds(key, *row) for row in ranges) for key in wanted)
            assert user.may(needed, first, stop) is permitted, (first, stop)
        some = sorted({first for first, _ in asked})
        assert user.may_all(needed, some) is all(user.may(needed, it) for it in some)
    user.state.replica.close()


def test_to_the_end_of_all_keys_is_permitted_only_by_what_goes_there() -> None:
    to_z = Permitted([P(permType=P.READ, key=b"a", range_end=b"\xff" * 9)])
    to_the_end = Permitted([P(permType=P.READ, key=b"a", range_end=b"\0")])
    assert not to_z.may("need_read", b"a", b"\0")
    assert to_the_end.may("need_read", b"a", b"\0")
    assert not to_the_end.may("need_read", b"\0", b"\0"), "that is all keys"
    for user in (to_z, to_the_end):
        user.state.replica.close()


def test_ranges_that_touch_reach_to_the_end_when_one_of_them_does() -> None:
    user = Permitted(
        [P(permType=P.READ, key=b"a", range_end=b"c")],
        [P(permType=P.READ, key=b"b", range_end=b"\0")],
    )
    assert user.may("need_read", b"a", b"\0")
    assert not user.may("need_read", b"", b"\0")
    user.state.replica.close()


def test_nobody_and_a_stranger_may_nothing(nobodys: Permitted) -> None:
    with pytest.raises(Refused) as refusal:
        nobodys.judge("")
    assert status_of(refusal.value) == (3, "etcdserver: user name is empty")
    with pytest.raises(Refused) as refusal:
        nobodys.judge("bob")
    assert status_of(refusal.value) == DENIED


def test_root_is_the_role_and_not_the_name(nobodys: Permitted) -> None:
    run = nobodys.state.run
    run("user_add", pb.AuthUserAddRequest(name="root", hashedPassword="#"))
    assert not nobodys.judge("root").is_root
    run("user_grant", pb.AuthUserGrantRoleRequest(user="ann", role="root"))
    ann = nobodys.judge()
    assert ann.is_root
    nobody_looks = partial(pytest.fail, "root may, whatever there is")
    at_once(ann.need_read_all(lambda _first: nobody_looks()))
    at_once(ann.need_write_all(lambda _first: nobody_looks()))
    at_once(ann.need_write(b"", b"\0"))
    for allowed in (ann.need_root, lambda: root(ann, b"")):
        allowed()
    for check in (lambda it: it.need_root(), lambda it: root(it, b"")):
        with pytest.raises(Refused) as refusal:
            check(nobodys.judge("root"))
        assert status_of(refusal.value) == DENIED


def test_somebody_needs_no_right(nobodys: Permitted) -> None:
    somebody(nobodys.judge())
    anybody(nobodys.judge(), b"anything")
    assert not nobodys.may("need_read", b"a")


def test_a_role_that_is_named_and_not_there_permits_nothing(nobodys: Permitted) -> None:
    """A user's row may outlive a role in an old backup."""
    store, auth = nobodys.state.replica.store, nobodys.state.auth
    txn = store.begin()
    ghost = auth_pb2.User(name=b"ann", roles=["gone"])
    txn.put(auth.users, b"ann", ghost.SerializeToString())
    store.apply(store.applied_index + 1, txn.encode())
    assert not nobodys.may("need_read", b"a")


def test_the_state_that_is_seen_decides() -> None:
    """An operation is judged by what is proposed before it, applied or not (etcd #14571)."""
    user = Permitted([P(permType=P.READWRITE, key=b"a")])
    auth, store = user.state.auth, user.state.replica.store
    txn = store.begin()
    txn.put(auth.roles, b"role0", auth_pb2.Role(name=b"role0").SerializeToString())
    with pytest.raises(Refused):
        at_once(Judge(auth, txn, "ann").need_write(b"a"))
    assert user.may("need_write", b"a"), "what is not applied is nobody else's"
    user.state.replica.close()
