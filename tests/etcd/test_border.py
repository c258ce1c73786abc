"""Whatever raises while a request is served, it is answered once, and nobody else notices."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import bcrypt
import pytest

from roost import etcd
from roost.call import Stream, Unary
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.store import View
from roost.testing.patience import PATIENCE_S
from tests.etcd.guarded import (
    ANYTHING,
    REQUESTS,
    WANTED,
    StreamAnswer,
    World,
    short,
)
from tests.etcd.replica import Answer

INTERNAL = 13


@pytest.fixture
def world() -> Iterator[World]:
    made = World(etcd.AuthOptions(bcrypt_cost=4))
    for name in ("root", "reader"):
        made.log_in(name)
    made.tokens["anybody"] = ""
    yield made
    made.replica.close()


class Breaking:
    """Makes the n-th look at the state raise, as a bug or a claim of the wrong type would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        for name in ("get", "scan", "iterate"):
            monkeypatch.setattr(View, name, self._breaking(getattr(View, name)))

    def _breaking(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def look(view: View, *arguments: Any, **named: Any) -> Any:
            if self.left:
                self.left -= 1
                if not self.left:
                    raise OverflowError("cannot convert float NaN to integer")
            return real(view, *arguments, **named)

        return look


async def _ask(world: World, route: Unary | Stream, body: bytes) -> list[object]:
    """Everything that was said, with the server's own guard around the handler."""
    if isinstance(route, Unary):
        answer = Answer(world.tokens["root"])
        try:
            route.handle(answer, body)
        except OverflowError:
            answer.fail(INTERNAL, "internal error")
        async with asyncio.timeout(PATIENCE_S):
            while answer.error is None and answer.message is None:
                await asyncio.sleep(0)
        return [answer.error or answer.message]
    stream = StreamAnswer(world.tokens["root"])
    handler = route.open(stream)
    try:
        handler.on_message(body)
    except OverflowError:
        stream.finish(INTERNAL, "internal error")
    async with asyncio.timeout(PATIENCE_S):
        while stream.finished is None and not stream.sent:
            await asyncio.sleep(0)
    handler.on_cancel()
    return [*stream.sent, stream.finished]


# A line is left to oneself, or waits for another's turn: there is nothing to be said yet.
_WAITING = {"Election/Observe", "Lock/Lock", "Election/Campaign"}


@pytest.mark.parametrize("method", [it for it in WANTED if it not in _WAITING])
def test_every_call_is_answered_whichever_look_at_the_state_raises(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    [path] = [it for it in world.routes if short(it) == method]
    request = REQUESTS.get(method, ANYTHING)
    if method == "Auth/Authenticate":
        request = pb.AuthenticateRequest(name="reader", password="wrong")
    breaking = Breaking(monkeypatch)
    failed_count = 0
    for number in range(1, 60):
        breaking.left = number
        said = asyncio.run(_ask(world, world.routes[path], request.SerializeToString()))
        is_over, breaking.left = bool(breaking.left), 0
        assert said, (method, number)
        # With another code from a service that passes on what others refuse.
        failed_count += any(isinstance(it, tuple) and it[1] == "internal error" for it in said)
        if is_over:
            break
    else:
        pytest.fail("the request never ran without a fault")
    # The operation answers of itself in other words; the rest of the way must have been met too.
    assert failed_count or number == 1 or method.startswith("Maintenance/S"), method


@pytest.mark.parametrize("method", ["Authenticate", "UserAdd", "UserChangePassword"])
def test_a_raising_hasher_is_an_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def crash(*_arguments: object) -> bytes:
        raise RuntimeError("no entropy is left")

    monkeypatch.setattr(bcrypt, "hashpw", crash)
    monkeypatch.setattr(bcrypt, "checkpw", crash)
    request = {
        "Authenticate": pb.AuthenticateRequest(name="reader", password="x"),
        "UserAdd": pb.AuthUserAddRequest(name="x", password="x"),
        "UserChangePassword": pb.AuthUserChangePasswordRequest(name="reader", password="x"),
    }[method]
    route = world.routes[f"/etcdserverpb.Auth/{method}".encode()]
    said = asyncio.run(_ask(world, route, request.SerializeToString()))
    assert said == [(INTERNAL, "internal error")]


def test_a_user_with_a_name_longer_than_any_head_is_served(world: World) -> None:
    name = "n" * 70_000
    options = auth_pb2.UserAddOptions(no_password=True)
    world.run_as_root("etcd.user_add", pb.AuthUserAddRequest(name=name, options=options))
    world.run_as_root("etcd.user_grant", pb.AuthUserGrantRoleRequest(user=name, role="root"))
    answer = Answer(certificate_name=name)
    route = world.routes[b"/etcdserverpb.KV/Put"]
    assert isinstance(route, Unary)
    route.handle(answer, pb.PutRequest(key=b"k").SerializeToString())
    assert answer.message is not None
