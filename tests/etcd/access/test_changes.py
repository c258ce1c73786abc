"""Changes of users, roles and permissions, against dictionaries (etcd: server/auth/store.go)."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.store import Long
from tests.etcd.access.states import State
from tests.steps import slices_of, steps_of

P = auth_pb2.Permission
NAMES = st.sampled_from(["root", "ann", "bob", ""])
ROLES = st.sampled_from(["root", "reader", "writer", ""])
RANGES = st.sampled_from([(b"a", b""), (b"a", b"b"), (b"c", b"\0"), (b"", b"\0")])
KINDS = st.sampled_from([P.READ, P.WRITE, P.READWRITE])

NO_USER = "etcdserver: user name not found"
NO_ROLE = "etcdserver: role name not found"
MANAGED = "etcdserver: invalid auth management"


class Changes(RuleBasedStateMachine):
    """Every rule does the same to the state and to dictionaries, refusals included."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.users: dict[str, set[str]] = {}
        self.roles: dict[str, dict[tuple[bytes, bytes], int]] = {}
        self.is_on = False
        self.revision = self.state.revision

    def change(self, name: str, request: Message, refusal: str, *, counts: bool = True) -> bool:
        """Ask for a change that must go as the model says; whether it was made."""
        assert self.state.run(name, request) == refusal
        self.revision += not refusal and counts
        return not refusal

    @rule(name=NAMES)
    def add_user(self, name: str) -> None:
        taken = "etcdserver: user name already exists" if name in self.users else ""
        refusal = taken if name else "etcdserver: user name is empty"
        if self.change("user_add", pb.AuthUserAddRequest(name=name), refusal):
            self.users[name] = set()

    @rule(name=NAMES)
    def delete_user(self, name: str) -> None:
        refusal = "" if name in self.users else NO_USER
        if name == "root" and self.is_on:
            refusal = MANAGED
        if self.change("user_delete", pb.AuthUserDeleteRequest(name=name), refusal):
            del self.users[name]

    @rule(name=ROLES)
    def add_role(self, name: str) -> None:
        taken = "etcdserver: role name already exists" if name in self.roles else ""
        refusal = taken if name else "etcdserver: role name is empty"
        if self.change("role_add", pb.AuthRoleAddRequest(name=name), refusal):
            self.roles[name] = {}

    @rule(name=ROLES)
    def delete_role(self, name: str) -> None:
        refusal = "" if name in self.roles else NO_ROLE
        if name == "root" and self.is_on:
            refusal = MANAGED
        if self.change("role_delete", pb.AuthRoleDeleteRequest(role=name), refusal):
            del self.roles[name]
            for held in self.users.values():
                held.discard(name)

    @rule(user=NAMES, role=ROLES)
    def grant_role(self, user: str, role: str) -> None:
        refusal = "" if role in self.roles or role == "root" else NO_ROLE
        if user not in self.users:
            refusal = NO_USER
        has_it = role in self.users.get(user, ())
        request = pb.AuthUserGrantRoleRequest(user=user, role=role)
        if self.change("user_grant", request, refusal, counts=not has_it):
            self.users[user].add(role)

    @rule(user=NAMES, role=ROLES)
    def revoke_role(self, user: str, role: str) -> None:
        has_it = role in self.users.get(user, ())
        refusal = "" if has_it else "etcdserver: role is not granted to the user"
        if user not in self.users:
            refusal = NO_USER
        if user == role == "root" and self.is_on:
            refusal = MANAGED
        request = pb.AuthUserRevokeRoleRequest(name=user, role=role)
        if self.change("user_revoke", request, refusal):
            self.users[user].remove(role)

    @rule(role=ROLES, range_=RANGES, kind=KINDS)
    def grant_permission(self, role: str, range_: tuple[bytes, bytes], kind: P.Type) -> None:
        permission = P(permType=kind, key=range_[0], range_end=range_[1])
        request = pb.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        if self.change("role_grant", request, "" if role in self.roles else NO_ROLE):
            self.roles[role][range_] = kind

    @rule(role=ROLES, range_=RANGES)
    def revoke_permission(self, role: str, range_: tuple[bytes, bytes]) -> None:
        has_it = range_ in self.roles.get(role, {})
        refusal = "" if has_it else "etcdserver: permission is not granted to the role"
        if role not in self.roles:
            refusal = NO_ROLE
        key, range_end = range_
        request = pb.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=range_end)
        if self.change("role_revoke", request, refusal):
            del self.roles[role][range_]

    @rule()
    def turn_on(self) -> None:
        refusal = ""
        if not self.is_on and "root" not in self.users:
            refusal = "etcdserver: root user does not exist"
        elif not self.is_on and "root" not in self.users["root"]:
            refusal = "etcdserver: root user does not have root role"
        self.is_on |= self.change("auth_enable", pb.AuthEnableRequest(), refusal, counts=False)

    @rule()
    def turn_off(self) -> None:
        self.change("auth_disable", pb.AuthDisableRequest(), "", counts=self.is_on)
        self.is_on = False

    @invariant()
    def what_is_written_is_the_model(self) -> None:
        state, view = self.state, self.state.replica.view
        auth = state.auth
        assert auth.is_enabled(view) is self.is_on
        assert auth.revision(view) == self.revision
        assert state.user_names() == sorted(self.users)
        assert state.role_names() == sorted(self.roles)
        for name, roles in self.users.items():
            assert auth.known_user(view, name).roles == sorted(roles)
        for name, permissions in self.roles.items():
            held = auth.known_role(view, name).keyPermission
            assert {(it.key, it.range_end): it.permType for it in held} == permissions
            assert [it.key for it in held] == sorted(it.key for it in held)

    def teardown(self) -> None:
        self.state.replica.close()


class LongChanges(Changes):
    """All that looks at more than a row takes more than a turn."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("roost.etcd.model.costs.INLINE_ROWS_MAX", 0)
        self.patch.setattr("roost.etcd.access.changes.STEP_ROWS", 1)

    def teardown(self) -> None:
        self.patch.undo()
        super().teardown()


LongChanges.TestCase.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
test_changes_of_many_turns_are_the_same = pytest.mark.slow(LongChanges.TestCase)
Changes.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
test_users_and_roles_are_dictionaries = pytest.mark.slow(Changes.TestCase)


@pytest.fixture
def empty() -> Iterator[State]:
    made = State()
    yield made
    made.replica.close()


@pytest.fixture
def state(empty: State) -> State:
    """Root and Ann, each with a token."""
    for name in ("root", "ann"):
        empty.run("user_add", pb.AuthUserAddRequest(name=name, hashedPassword=f"#{name}"))
    empty.run("user_grant", pb.AuthUserGrantRoleRequest(user="root", role="root"))
    store = empty.replica.store
    txn = store.begin()
    for owner in (b"root", b"ann"):
        txn.put(empty.auth.tokens, b"digest of " + owner, owner)
    store.apply(store.applied_index + 1, txn.encode())
    return empty


COUNT = 2000
# Lines that run in one slice of what looks at that many: about two milliseconds.
SLICE_STEPS_MAX = 24_000


def fill(state: State, roles: list[str]) -> None:
    """Many users who have some roles, and a token each of Ann's."""
    store = state.replica.store
    txn = store.begin()
    for number in range(COUNT):
        name = b"u%05d" % number
        user = auth_pb2.User(name=name, roles=roles)
        txn.put(state.auth.users, name, user.SerializeToString())
        txn.put(state.auth.tokens, b"%05d" % number, b"ann" if number % 2 else b"root")
    store.apply(store.applied_index + 1, txn.encode())


def slices_in(state: State, name: str, request: Message) -> list[int]:
    """How much work each slice of a change is, its first attempt among them."""
    txn = state.replica.store.begin()
    found: list[bytes | Long] = []
    body = request.SerializeToString()
    first = steps_of(lambda: found.append(state.operations[f"etcd.{name}"](txn, body)))
    assert isinstance(found[0], Long), "it does not fit into a turn"
    counts, _ = slices_of(found[0].run(txn))
    return [first, *counts]


def test_what_looks_at_everybody_takes_turns_and_is_done_as_a_whole(state: State) -> None:
    """Issue 14: a role of many users, and a password of one with many tokens, were a step each."""
    fill(state, ["r1", "r2"])
    assert not state.run("role_add", pb.AuthRoleAddRequest(name="r1"))
    changes: dict[str, Message] = {
        "role_delete": pb.AuthRoleDeleteRequest(role="r1"),
        "user_password": pb.AuthUserChangePasswordRequest(name="ann", hashedPassword="#new"),
        "user_delete": pb.AuthUserDeleteRequest(name="ann"),
    }
    for name, request in changes.items():
        revision = state.revision
        assert not state.run(name, request)
        assert state.revision == revision + 1
    assert state.long_count == len(changes)
    roles = [
        auth_pb2.User.FromString(row).roles
        for _, row in state.replica.view.iterate(state.auth.users)
    ]
    assert roles == [["root"], *[["r2"]] * COUNT]
    assert state.token_names() == [b"root"] * (COUNT // 2 + 1)


@pytest.mark.parametrize("name", ["role_delete", "user_password", "user_delete"])
def test_no_slice_of_a_change_is_long_however_many_there_are(state: State, name: str) -> None:
    fill(state, [f"r{number}" for number in range(20)])
    assert not state.run("role_add", pb.AuthRoleAddRequest(name="r1"))
    requests: dict[str, Message] = {
        "role_delete": pb.AuthRoleDeleteRequest(role="r1"),
        "user_password": pb.AuthUserChangePasswordRequest(name="ann", hashedPassword="#new"),
        "user_delete": pb.AuthUserDeleteRequest(name="ann"),
    }
    counts = slices_in(state, name, requests[name])
    assert len(counts) > 4
    assert max(counts) < SLICE_STEPS_MAX


def test_a_new_password_takes_the_tokens_that_the_old_one_bought(state: State) -> None:
    asked = pb.AuthUserChangePasswordRequest(name="ann", hashedPassword="#new")
    assert state.run("user_password", asked) == ""
    assert state.token_names() == [b"root"]
    user = state.auth.known_user(state.replica.view, "ann")
    assert user.password == b"#new"


def test_a_user_that_is_gone_takes_its_tokens_along(state: State) -> None:
    assert state.run("user_delete", pb.AuthUserDeleteRequest(name="ann")) == ""
    assert state.token_names() == [b"root"]
    assert state.run("user_add", pb.AuthUserAddRequest(name="ann")) == ""
    assert state.token_names() == [b"root"], "another of that name is another"


def test_nobody_has_a_token_once_authentication_is_off(state: State) -> None:
    state.run("auth_disable", pb.AuthDisableRequest())
    assert len(state.token_names()) == 2, "it was not on"
    state.run("auth_enable", pb.AuthEnableRequest())
    state.run("auth_disable", pb.AuthDisableRequest())
    assert state.token_names() == []


def test_who_has_no_password_gets_none(state: State) -> None:
    options = auth_pb2.UserAddOptions(no_password=True)
    asked = pb.AuthUserAddRequest(name="cert", hashedPassword="#kept", options=options)
    state.run("user_add", asked)
    change = pb.AuthUserChangePasswordRequest(name="cert", hashedPassword="#new")
    assert state.run("user_password", change) == ""
    user = state.auth.known_user(state.replica.view, "cert")
    assert (user.password, user.options.no_password) == (b"", True)


def test_a_password_is_somebodys(state: State) -> None:
    asked = pb.AuthUserChangePasswordRequest(name="bob", hashedPassword="#new")
    assert state.run("user_password", asked) == NO_USER


def test_a_permission_is_given(state: State) -> None:
    asked = pb.AuthRoleGrantPermissionRequest(name="nobody's")
    assert state.run("role_grant", asked) == "etcdserver: permission not given"


def test_a_role_permits_so_many_ranges_and_a_user_has_so_many_roles(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are written anew with each grant, and every request is held against them."""
    monkeypatch.setattr("roost.etcd.access.changes.PERMISSIONS_OF_ROLE_MAX", 2)
    monkeypatch.setattr("roost.etcd.access.changes.ROLES_OF_USER_MAX", 2)
    assert not state.run("user_add", pb.AuthUserAddRequest(name="zoe"))

    def grant(key: bytes) -> str:
        asked = pb.AuthRoleGrantPermissionRequest(name="r0", perm=P(key=key))
        return state.run("role_grant", asked)

    for number in range(3):
        assert not state.run("role_add", pb.AuthRoleAddRequest(name=f"r{number}"))
    granted = [
        state.run("user_grant", pb.AuthUserGrantRoleRequest(user="zoe", role=f"r{number}"))
        for number in range(3)
    ]
    assert granted == ["", "", "etcdserver: too many roles of a user: there may be 2"]
    full = "etcdserver: too many permissions of a role: there may be 2"
    assert [grant(it) for it in (b"a", b"b", b"c", b"b")] == ["", "", full, ""]


def test_a_role_and_a_user_have_rows_that_can_be_read_in_a_step(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys have no bound of their own: four thousand ranges of the largest were 6 GB."""
    monkeypatch.setattr("roost.etcd.access.changes.ROW_BYTES_MAX", 1000)
    assert not state.run("user_add", pb.AuthUserAddRequest(name="zoe"))
    assert not state.run("role_add", pb.AuthRoleAddRequest(name="r"))

    def grant(key: bytes) -> str:
        asked = pb.AuthRoleGrantPermissionRequest(name="r", perm=P(key=key))
        return state.run("role_grant", asked)

    full = "etcdserver: too many bytes of a role's permissions: there may be 1000"
    assert [grant(it * 400) for it in (b"a", b"b", b"c")] == ["", "", full]
    long_name = pb.AuthRoleAddRequest(name="x" * 997)
    assert not state.run("role_add", long_name)
    granted = pb.AuthUserGrantRoleRequest(user="zoe", role=long_name.name)
    full = "etcdserver: too many bytes of a user and its roles: there may be 1000"
    assert state.run("user_grant", granted) == full
    longer = pb.AuthUserAddRequest(name="x" * 1001)
    assert state.run("user_add", longer) == full


def test_a_change_of_a_role_or_a_users_roles_costs_what_is_written_anew(state: State) -> None:
    """They cost nothing, so one batch had as many as came: 18 of a role of 4,000 ranges."""
    keys = [P(key=b"%04d" % it) for it in range(300)]
    role = auth_pb2.Role(name=b"r", keyPermission=keys)
    user = auth_pb2.User(name=b"zoe", roles=[f"r{it:04}" for it in range(300)])
    txn = state.replica.store.begin()
    txn.put(state.auth.roles, b"r", role.SerializeToString())
    txn.put(state.auth.users, b"zoe", user.SerializeToString())
    changes: dict[str, Message] = {
        "role_grant": pb.AuthRoleGrantPermissionRequest(name="r", perm=P(key=b"z")),
        "role_revoke": pb.AuthRoleRevokePermissionRequest(role="r", key=b"0007"),
        "user_grant": pb.AuthUserGrantRoleRequest(user="zoe", role="r"),
        "user_revoke": pb.AuthUserRevokeRoleRequest(name="zoe", role="r0007"),
    }
    for name, request in changes.items():
        before = txn.cost
        state.operations[f"etcd.{name}"](txn, request.SerializeToString())
        assert txn.cost - before >= 300, name
