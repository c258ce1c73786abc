"""Whatever raises while a request is served, it is answered once, and nobody else notices."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import bcrypt
import pytest

from roost import etcd
from roost.call import Stream, Unary
from roost.flow import OWN, Flow
from roost.outcome import ReadDone
from roost.proto import auth_pb2
from roost.proto import rpc_pb2 as pb
from roost.sim.members.loop import run_virtually, until_idle
from roost.store import View
from roost.testing.patience import PATIENCE_S
from tests.etcd.access.threads import Threads
from tests.etcd.guarded import (
    ANYTHING,
    REQUESTS,
    WANTED,
    StreamAnswer,
    World,
    short,
)
from tests.etcd.replica import Answer, LocalReplica

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


# What nobody has asked for in this call: whoever is gone, a line that was joined is left.
OWN_WORK = {"etcd.token_add"}


class Unguarded:
    """A replica that lets anybody in."""

    def __init__(self) -> None:
        self.replica = LocalReplica()
        self.routes = etcd.Services(self.replica, self.replica.store).routes()
        self.tokens = {"root": ""}


@pytest.mark.parametrize("kind", [World, Unguarded])
def test_whoever_asks_for_a_write_is_who_waits_for_it(kind: type[World | Unguarded]) -> None:
    """What its client does not wait for any more must not run; see `member`'s executor."""
    its = kind()
    seen: list[tuple[str, bool]] = []

    def note(
        name: str, _body: bytes, _done: object, _flow: Flow = OWN, waiting: Any = None
    ) -> None:
        seen.append((name, waiting is not None))
        assert waiting is None or isinstance(waiting.is_over, bool)

    its.replica.transact_nowait = note  # type: ignore[method-assign, assignment]  # nothing runs

    async def ask_all() -> None:
        threads = Threads()  # for passwords
        for path, route in its.routes.items():
            body = REQUESTS.get(short(path), ANYTHING).SerializeToString()
            if isinstance(route, Unary):
                route.handle(Answer(its.tokens["root"]), body)
            elif short(path) == "Lease/LeaseKeepAlive":
                route.open(StreamAnswer(its.tokens["root"])).on_message(body)
        await threads.end_all()

    run_virtually(ask_all())
    assert len(seen) > 15
    assert [name for name, has_caller in seen if not has_caller and name not in OWN_WORK] == []
    its.replica.close()


def test_a_read_that_nobody_waits_for_any_more_is_not_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[ReadDone] = []
    monkeypatch.setattr(world.replica, "read_nowait", lambda done, _flow=OWN: held.append(done))
    route = world.routes[b"/etcdserverpb.KV/Range"]
    assert isinstance(route, Unary)
    answers = [Answer(world.tokens["root"]) for _ in range(2)]
    for answer in answers:
        route.handle(answer, pb.RangeRequest(key=b"x", range_end=b"y").SerializeToString())
    answers[0].is_gone = True

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("somebody looks at the state")

    with monkeypatch.context() as patch:
        patch.setattr(View, "get", fail)
        held[0](None)
    assert answers[0].message is None

    async def go_on() -> None:
        held[1](None)
        await until_idle()

    run_virtually(go_on())
    assert answers[1].message is not None
