"""Tokens: whose they are, how long, and that none is ever written down."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from roost.etcd.access.users import TOKENS_TREE
from roost.proto import rpc_pb2 as pb
from tests.etcd.guarded import BAD_TOKEN, World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.replica.close()


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("etcd.user_delete", pb.AuthUserDeleteRequest(name="reader")),
        ("etcd.user_password", pb.AuthUserChangePasswordRequest(name="reader")),
    ],
    ids=["deleted", "another password"],
)
def test_tokens_go_with_their_user(world: World, operation: str, request_: Message) -> None:
    read = pb.RangeRequest(key=b"r")
    assert isinstance(world.call("/etcdserverpb.KV/Range", read, "reader"), bytes)
    world.run_as_root(operation, request_)
    assert world.call("/etcdserverpb.KV/Range", read, "reader") == BAD_TOKEN


def test_tokens_end_with_authentication_and_when_nobody_uses_them(world: World) -> None:
    tree = world.replica.store.tree(TOKENS_TREE).id
    world.services._tokens.look()  # type: ignore[attr-defined]  # simple ones
    read = pb.RangeRequest(key=b"r")
    for _ in range(400):
        world.now_s += 1
        if world.now_s % 50 == 0:
            world.call("/etcdserverpb.KV/Range", read, "reader")
        world.services._tokens.look()  # type: ignore[attr-defined]  # simple ones
    assert [user for _, user in world.replica.view.iterate(tree)] == [b"reader"]
    world.run_as_root("etcd.auth_disable", pb.AuthDisableRequest())
    assert world.replica.view.count(tree) == 0
    assert isinstance(world.call("/etcdserverpb.KV/Range", read, "nobody"), bytes)


def test_no_token_and_no_password_is_ever_written_down(world: World) -> None:
    """CVE-2021-28235: what is in the store lends nobody's rights."""
    for tree in ("$etcd.auth", "$etcd.users", "$etcd.roles", "$etcd.tokens"):
        rows = world.replica.view.iterate(world.replica.store.tree(tree).id)
        said = b"".join(key + value for key, value in rows)
        for token in world.tokens.values():
            assert not token or token.encode() not in said
