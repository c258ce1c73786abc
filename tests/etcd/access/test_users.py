"""What is written of users and roles, and when nobody has to look at it.

That it is what the operations say is held against dictionaries in `test_changes.py`.
"""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from roost.errors import Refused
from roost.etcd.access.users import FIRST_REVISION, Auth
from roost.etcd.errors import status_of
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from tests.etcd.access.states import State

NO_USER = "etcdserver: user name not found"
NO_ROLE = "etcdserver: role name not found"


@pytest.fixture
def state() -> Iterator[State]:
    made = State()
    yield made
    made.replica.close()


def change(state: State, name: str, request: Message) -> None:
    assert state.run(name, request) == ""


def enable(state: State) -> None:
    """Root exists, and authentication is on."""
    change(state, "user_add", pb.AuthUserAddRequest(name="root", hashedPassword="#"))
    change(state, "user_grant", pb.AuthUserGrantRoleRequest(user="root", role="root"))
    change(state, "auth_enable", pb.AuthEnableRequest())


def disable(state: State) -> None:
    change(state, "auth_disable", pb.AuthDisableRequest())


def test_an_empty_store_has_nobody_and_is_at_the_first_revision(state: State) -> None:
    view, auth = state.replica.view, state.auth
    assert (auth.is_enabled(view), auth.revision(view)) == (False, FIRST_REVISION)
    assert (state.user_names(), state.role_names()) == ([], [])


def test_who_is_not_there_is_nobody(state: State) -> None:
    view, auth = state.replica.view, state.auth
    for name in ("", "ann"):
        assert (auth.user(view, name), auth.role(view, name)) == (None, None)
        for known, text in ((auth.known_user, NO_USER), (auth.known_role, NO_ROLE)):
            with pytest.raises(Refused) as refusal:
                known(view, name)
            assert status_of(refusal.value) == (9, text)
        with pytest.raises(Refused):
            auth.get_user(view, pb.AuthUserGetRequest(name=name))
        with pytest.raises(Refused):
            auth.get_role(view, pb.AuthRoleGetRequest(role=name))


def test_nobody_has_no_name(state: State) -> None:
    """Even where a row has got there: who says no name is never somebody."""
    store, auth = state.replica.store, state.auth
    txn = store.begin()
    txn.put(auth.users, b"", auth_pb2.User(roles=["root"]).SerializeToString())
    txn.put(auth.roles, b"", auth_pb2.Role().SerializeToString())
    store.apply(store.applied_index + 1, txn.encode())
    assert (auth.user(store.view, ""), auth.role(store.view, "")) == (None, None)


def test_a_user_is_shown_with_its_roles_and_never_with_its_password(state: State) -> None:
    change(state, "user_add", pb.AuthUserAddRequest(name="ann", hashedPassword="#secret"))
    for role in ("writer", "reader"):
        change(state, "role_add", pb.AuthRoleAddRequest(name=role))
        change(state, "user_grant", pb.AuthUserGrantRoleRequest(user="ann", role=role))
    view = state.replica.view
    shown = state.auth.get_user(view, pb.AuthUserGetRequest(name="ann"))
    assert pb.AuthUserGetResponse.FromString(shown).roles == ["reader", "writer"]
    assert b"#secret" not in shown
    assert state.auth.known_user(view, "ann").password == b"#secret"


def test_a_role_is_shown_with_what_it_permits(state: State) -> None:
    change(state, "role_add", pb.AuthRoleAddRequest(name="reader"))
    permission = auth_pb2.Permission(permType=auth_pb2.Permission.READ, key=b"a", range_end=b"b")
    granted = pb.AuthRoleGrantPermissionRequest(name="reader", perm=permission)
    change(state, "role_grant", granted)
    shown = state.auth.get_role(state.replica.view, pb.AuthRoleGetRequest(role="reader"))
    assert list(pb.AuthRoleGetResponse.FromString(shown).perm) == [permission]


def test_a_user_and_a_role_of_one_name_are_two(state: State) -> None:
    change(state, "user_add", pb.AuthUserAddRequest(name="both", hashedPassword="#"))
    assert state.auth.role(state.replica.view, "both") is None
    change(state, "role_add", pb.AuthRoleAddRequest(name="both"))
    change(state, "user_delete", pb.AuthUserDeleteRequest(name="both"))
    assert state.auth.role(state.replica.view, "both") is not None


def test_every_change_is_counted_and_seen_by_whoever_looks(state: State) -> None:
    """Tokens of another kind, and readers of rights, go by this number."""
    said = [state.revision]
    change(state, "user_add", pb.AuthUserAddRequest(name="ann", hashedPassword="#"))
    said.append(state.revision)
    assert state.run("user_add", pb.AuthUserAddRequest(name="ann", hashedPassword="#"))
    said.append(state.revision)
    assert said == [FIRST_REVISION, FIRST_REVISION + 1, FIRST_REVISION + 1]
    auth = state.auth
    assert auth.trees == {auth.tree, auth.users, auth.roles}, "tokens are not rights"


def test_requests_are_looked_at_from_before_the_first_could_be_refused_until_none_can(
    state: State,
) -> None:
    """`may_be_enabled` false spares every request a look: it must never be false too early."""
    change(state, "user_add", pb.AuthUserAddRequest(name="root", hashedPassword="#"))
    change(state, "user_grant", pb.AuthUserGrantRoleRequest(user="root", role="root"))
    auth, store = state.auth, state.replica.store
    state.replica.observe(lambda _index, changes: auth.on_applied(changes))
    said = [auth.may_be_enabled]
    for name in ("auth_enable", "auth_disable"):
        txn = store.begin()
        state.operations[f"etcd.{name}"](txn, b"")
        said.append(auth.may_be_enabled)
        store.apply(store.applied_index + 1, txn.encode())
        said.append(auth.may_be_enabled)
        assert Auth(store).may_be_enabled is auth.may_be_enabled, "a restart finds the same"
    # On as soon as it may be proposed; off when the opposite has been applied.
    assert said == [False, True, True, True, False]


def test_another_key_of_that_name_turns_nothing_on(state: State) -> None:
    """A user may be called as the switch is."""
    state.replica.observe(lambda _index, changes: state.auth.on_applied(changes))
    change(state, "user_add", pb.AuthUserAddRequest(name="enabled", hashedPassword="#"))
    assert not state.auth.may_be_enabled


def test_a_snapshot_may_have_turned_it_on_or_off(state: State) -> None:
    late = Auth(state.replica.store)
    said = []
    for make in (enable, disable):
        make(state)
        said.append(late.may_be_enabled)
        late.read_again()
        said.append(late.may_be_enabled)
    assert said == [False, True, True, False], "nobody had told it"
