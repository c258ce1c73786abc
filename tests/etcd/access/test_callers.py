"""Who calls: by what is applied here, after a barrier where a token is not known here yet."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from roost.errors import NoLeader, Refused, RoostError
from roost.etcd.access.callers import Callers
from roost.etcd.access.tokens import Identity, digest_of
from roost.etcd.access.users import TOKENS_TREE
from roost.etcd.errors import status_of
from roost.etcd.model.costs import at_once
from roost.flow import OWN, Flow
from roost.outcome import ReadDone
from roost.proto import rpc_pb2 as pb
from tests.etcd.guarded import BAD_TOKEN, DENIED, NOBODY, World

OLD_REVISION = (3, "etcdserver: revision of auth store is old")


@dataclass
class Call:
    """What is known of a caller."""

    token: str = ""
    certificate_name: str = ""
    address: str = ""
    flow: Flow = OWN


class Asked:
    """One question, and what came of it."""

    def __init__(self, callers: Callers, call: Call) -> None:
        self.identities: list[Identity | None] = []
        self.refusals: list[RoostError] = []
        callers.identify(call, self.identities.append, self.refusals.append)

    @property
    def text(self) -> tuple[int, str]:
        [refusal] = self.refusals
        return status_of(refusal)


class Door:
    """The callers of a world with authentication on; barriers stand until the test opens them."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.callers: Callers = world.services.watches.desk.border.callers
        self.barriers: list[ReadDone] = []
        patch.setattr(world.replica, "read_nowait", self._wait)

    def _wait(self, done: ReadDone, flow: Flow = OWN) -> None:
        assert flow is OWN
        self.barriers.append(done)

    def ask(self, call: Call) -> Asked:
        return Asked(self.callers, call)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    world = World()
    yield Door(world, monkeypatch)
    world.replica.close()


def may_read(door: Door, identity: Identity, key: bytes) -> bool:
    try:
        judge = door.callers.judge(door.world.replica.view, identity)
        at_once(judge.need_read(key, b""))
    except Refused:
        return False
    return True


def test_a_token_that_is_known_here_needs_no_barrier(door: Door) -> None:
    token = door.world.tokens["reader"]
    asked = door.ask(Call(token, certificate_name="root"))
    assert asked.identities == [Identity("reader", digest_of(token))], "and counts before a name"
    assert door.barriers == []


def test_who_has_no_token_is_whom_the_certificate_names(door: Door) -> None:
    assert door.ask(Call(certificate_name="reader")).identities == [Identity("reader")]
    assert door.ask(Call()).identities == [Identity("")], "nobody; whoever judges says so"
    assert door.barriers == []


def test_a_token_that_is_newer_than_this_member_is_looked_up_again(door: Door) -> None:
    """Another member made it: it is applied here when the barrier has been passed."""
    token = "token of reader, made elsewhere"
    asked = door.ask(Call(token))
    assert (asked.identities, asked.refusals) == ([], [])
    store = door.world.replica.store
    txn = store.begin()
    txn.put(store.tree(TOKENS_TREE).id, digest_of(token), b"reader")
    store.apply(store.applied_index + 1, txn.encode())
    [done] = door.barriers
    done(None)
    assert (asked.identities, asked.refusals) == ([Identity("reader", digest_of(token))], [])


def test_a_token_that_is_nobodys_is_refused_after_the_barrier_and_once(door: Door) -> None:
    asked = door.ask(Call("made up"))
    assert asked.refusals == [], "it may be newer than what is applied here"
    [done] = door.barriers
    done(None)
    assert (asked.identities, asked.text) == ([], BAD_TOKEN)
    assert len(door.barriers) == 1


def test_where_no_barrier_can_be_passed_that_is_said(door: Door) -> None:
    """Not that the token is wrong: a client would log in again, for nothing."""
    asked, error = door.ask(Call("made up")), NoLeader("there is none")
    door.barriers[0](error)
    assert (asked.identities, asked.refusals) == ([], [error])


def test_nobody_has_to_be_anybody_while_authentication_is_off(door: Door) -> None:
    asked = door.ask(Call("made up"))
    door.world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
    door.barriers[0](None)
    assert asked.identities == [None], "also where it ended while somebody waited"
    for call in (Call("made up"), Call(certificate_name="reader"), Call()):
        assert door.ask(call).identities == [None]
    assert len(door.barriers) == 1


def test_rights_are_those_of_now_and_of_a_token_that_is_still_there(door: Door) -> None:
    identity = Identity("reader", digest_of(door.world.tokens["reader"]))
    assert may_read(door, identity, b"r")
    assert not may_read(door, identity, b"x")
    door.world.run_as_root("etcd.role_delete", pb.AuthRoleDeleteRequest(role="reading"))
    assert not may_read(door, identity, b"r")
    root = Identity("root", digest_of(door.world.tokens["root"]))
    assert may_read(door, root, b"r")
    password = pb.AuthUserChangePasswordRequest(name="root", hashedPassword="#new")
    door.world.run_as_root("etcd.user_password", password)
    assert not may_read(door, root, b"r"), "its token went with its password"


def refused(door: Door, identity: Identity) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        door.callers.judge(door.world.replica.view, identity)
    return status_of(caught.value)


def test_a_token_judges_for_its_own_user_alone(door: Door) -> None:
    """The name came with the request, perhaps from another member: it is not believed."""
    token = digest_of(door.world.tokens["reader"])
    assert door.callers.judge(door.world.replica.view, Identity("reader", token)).name == "reader"
    assert refused(door, Identity("root", token)) == BAD_TOKEN
    assert refused(door, Identity("reader", digest_of("made up"))) == BAD_TOKEN


def test_a_signed_name_holds_until_users_or_roles_change(door: Door) -> None:
    """A JWT has no row that could go: its revision is what grows old."""
    view = door.world.replica.view
    now = door.callers._auth.revision(view)
    for revision in (now, now + 1):
        assert door.callers.judge(view, Identity("reader", revision=revision)).name == "reader"
    assert refused(door, Identity("reader", revision=now - 1)) == OLD_REVISION
    door.world.run_as_root("etcd.role_add", pb.AuthRoleAddRequest(name="another"))
    assert refused(door, Identity("reader", revision=now)) == OLD_REVISION


def test_nobody_and_a_stranger_are_judged_as_such(door: Door) -> None:
    assert refused(door, Identity("")) == NOBODY
    assert refused(door, Identity("stranger")) == DENIED
