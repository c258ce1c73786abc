"""The gateway makes calls of posts, and posts' answers of what calls say: no sockets, a fake route.

grpc-gateway v1 is what etcd's clients know: its names, its statuses, its lines of a stream.
"""

import asyncio
import base64
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from starlette.types import Message as Event

from roost.call import Call, Code, Route, Unary
from roost.memory import Memory
from roost.memory_limit import Limit, Taken
from roost.proto import rpc_pb2 as pb
from roost.server.admission import Admission
from roost.server.app import make_app
from roost.server.bodies import FULL, Bodies
from roost.server.gateway import JsonMethod, make_routes
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from tests.server.posts import (
    BODY_BYTES_MAX,
    PUT,
    Client,
    Headers,
    Service,
    beside,
    message_bytes,
    put_method,
    watch_method,
)
from tests.server.test_app import Source


def ask(
    handle: Callable[[Call, bytes], None], *parts: bytes, headers: Headers | None = None
) -> tuple[int, dict[str, Any]]:
    """What a put is answered whose body comes in parts."""

    async def story() -> tuple[int, dict[str, Any]]:
        client = Client(put_method(handle), headers)
        for part in parts[:-1]:
            client.post(part, is_last=False)
        client.post(parts[-1])
        await client.talk()
        return client.answer()

    return run_virtually(story())


TEXT = "too little memory is left: a test"


def answer(call: Call, _message: bytes) -> None:
    call.reply(b"")


def test_a_post_is_the_request_and_the_answer_is_json_as_the_schema_has_it() -> None:
    service = Service()

    def handle(call: Call, message: bytes) -> None:
        service.handle(call, message)
        held = pb.PutResponse(prev_kv={"key": b"k\xff", "mod_revision": 7, "version": 0})
        call.reply(message_bytes(held))

    status, said = ask(handle, b'{"key": "a/8=", "prevKv": true, "lease": "9"}')
    assert service.messages == [message_bytes(pb.PutRequest(key=b"k\xff", prev_kv=True, lease=9))]
    # Bytes in base64, names of the schema, 64-bit numbers as strings, defaults left out.
    key = base64.b64encode(b"k\xff").decode()
    assert (status, said) == (200, {"prev_kv": {"key": key, "mod_revision": "7"}})


def test_no_body_is_an_empty_request() -> None:
    service = Service()
    for body in (b"", b"{}"):

        def handle(call: Call, message: bytes) -> None:
            service.handle(call, message)
            call.reply(b"")

        assert ask(handle, body) == (200, {})
    assert service.messages == [b"", b""]


def test_a_body_is_the_same_request_wherever_it_is_cut() -> None:
    body = '{"key": "Zm9v", "not known": "Vögel"}'.encode()
    for cut in range(len(body) + 1):
        got: list[bytes] = []

        def handle(call: Call, message: bytes, got: list[bytes] = got) -> None:
            got.append(message)
            call.reply(b"")

        assert ask(handle, body[:cut], body[cut:])[0] == 200
        assert got == [message_bytes(pb.PutRequest(key=b"foo"))], cut


def test_a_body_at_the_bound_is_taken_and_a_byte_more_is_refused_before_anybody_is_asked() -> None:
    for more in (0, 1):
        service = Service()

        def handle(call: Call, message: bytes, service: Service = service) -> None:
            service.handle(call, message)
            call.reply(b"")

        parts = b"{}".ljust(600), b"".ljust(BODY_BYTES_MAX - 600 + more)
        status, said = ask(handle, *parts)
        assert (status, len(service.calls)) == ((200, 1), (429, 0))[more]
    text = "request body is larger than 1000 bytes"
    assert said == {"error": text, "message": text, "code": Code.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"{} {}", b'{"key": 1}', b'{"key": "\xff"}', b'{"lease": 1.5}', b"\xc3"]
)
def test_what_is_no_request_is_refused_and_nobody_is_asked(body: bytes) -> None:
    service = Service()
    status, said = ask(service.handle, body)
    assert (status, said["code"], service.calls) == (400, Code.INVALID_ARGUMENT, [])
    assert said["error"] == said["message"] != ""


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({b"authorization": b"abc"}, "abc"),
        ({b"authorization": b"Bearer abc"}, "abc"),
        ({b"grpc-metadata-token": b"abc"}, "abc"),
        ({b"x-token": b"abc"}, ""),
    ],
)
def test_a_call_says_who_sent_it_but_a_certificate_makes_nobody_somebody(
    headers: Headers, token: str
) -> None:
    """CVE-2018-16886: behind a proxy the certificate is the proxy's."""
    service = Service()

    def handle(call: Call, message: bytes) -> None:
        service.handle(call, message)
        call.reply(b"")

    ask(handle, b"", headers=headers)
    [call] = service.calls
    assert (call.token, call.address, call.certificate_name) == (token, "10.0.0.9", "")


# grpc-gateway v1: HTTPStatusFromCode.
STATUSES = {
    Code.CANCELLED: HTTPStatus.REQUEST_TIMEOUT,
    Code.UNKNOWN: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DATA_LOSS: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
}


@pytest.mark.parametrize("code", [it for it in Code if it is not Code.OK])
def test_a_refusal_has_the_status_of_its_code_and_its_words(code: Code) -> None:
    status, said = ask(lambda call, _: call.fail(code, "why"), b"")
    assert (status, said) == (STATUSES[code], {"error": "why", "message": "why", "code": code})


def test_the_first_answer_counts() -> None:
    def handle(call: Call, _message: bytes) -> None:
        call.reply(b"")
        call.fail(Code.INTERNAL, "too late")
        call.reply(b"\xff")

    assert ask(handle, b"") == (200, {})


def test_who_leaves_within_a_body_has_asked_nothing() -> None:
    service = Service()

    async def story() -> Client:
        client = Client(put_method(service.handle))
        client.post(b"{", is_last=False)
        client.leave()
        await client.talk()
        return client

    client = run_virtually(story())
    assert (client.status, client.body, service.calls) == (0, b"", [])


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"1500m", 1.5),
        (b"5000u", 0.005),
        (b"90000000n", 0.09),
    ],
)
def test_a_call_ends_when_its_client_waits_no_more_and_an_answer_behind_that_is_dropped(
    timeout: bytes, seconds: float
) -> None:
    service = Service()
    client = Client(put_method(service.handle), {b"grpc-timeout": timeout})
    client.post(b"")

    async def work(client: Client) -> None:
        await pass_time(seconds * 0.9)
        assert not client.is_answered
        await pass_time(seconds * 0.1 + 1e-3)
        assert client.answer()[0] == 504
        service.calls[0].reply(b"")

    beside(work, client)
    text = "context deadline exceeded"
    said = {"error": text, "message": text, "code": Code.DEADLINE_EXCEEDED}
    assert client.answer() == (504, said)


@pytest.mark.parametrize("timeout", [b"", b"0S", b"999999999999999999H"])
def test_no_timeout_and_none_that_counts_is_for_as_long_as_it_takes(timeout: bytes) -> None:
    service = Service()
    client = Client(put_method(service.handle), {b"grpc-timeout": timeout})
    client.post(b"")

    async def work(client: Client) -> None:
        await pass_time(9000)
        assert not client.is_answered
        service.calls[0].reply(b"")

    beside(work, client)
    assert client.answer() == (200, {})


@pytest.mark.parametrize(
    ("timeout", "status"),
    [
        (b"S", 400),
        (b"1", 400),
        (b"1s", 400),
        (b"1.5S", 400),
        (b"1" * 19 + b"S", 400),
        (b"-1S", 504),
    ],
)
def test_a_timeout_that_is_none_is_refused_and_nobody_is_asked(timeout: bytes, status: int) -> None:
    service = Service()
    assert ask(service.handle, b"", headers={b"grpc-timeout": timeout})[0] == status
    for method in (watch_method(service), put_method(service.handle)):
        client = Client(method, {b"grpc-timeout": timeout})
        client.post(b"")
        run_virtually(client.talk())
        assert client.answer()[0] == status
    assert (service.calls, service.streams) == ([], [])


def test_a_method_is_at_its_path_under_every_name_of_the_version_and_never_by_get() -> None:
    routes: dict[bytes, Route] = {b"/etcdserverpb.KV/Put": Unary(answer)}
    made = make_routes(
        routes,
        {"kv/put": "etcdserverpb.KV/Put"},
        [pb.DESCRIPTOR],
        body_bytes_max=BODY_BYTES_MAX,
    )
    app = make_app(Source(), server_version="3.5.1", calls=made)

    async def ask(method: str, path: str) -> int:
        statuses: list[int] = []

        async def receive() -> Event:
            return {"type": "http.request", "body": b"{}"}

        async def send(event: Event) -> None:
            statuses.append(event.get("status", 0))

        scope = {"type": "http", "method": method, "path": path, "headers": []}
        await app(scope, receive, send)
        return statuses[0]

    for version in ("v3", "v3beta", "v3alpha"):
        assert run_virtually(ask("POST", f"/{version}/kv/put")) == 200
        assert run_virtually(ask("GET", f"/{version}/kv/put")) == 405
    for path in ("/v2/kv/put", "/kv/put", "/v3/kv/range"):
        assert run_virtually(ask("POST", path)) == 404


def test_bodies_share_a_room_and_give_it_back_whatever_becomes_of_them() -> None:
    bodies = Bodies(790)  # half for beginnings; who is alone has half of these
    method = JsonMethod(PUT, Unary(answer), bodies=bodies, body_bytes_max=BODY_BYTES_MAX)

    async def story() -> None:
        large, small, gone = (Client(method) for _ in range(3))
        large.post(b"{}".ljust(150), is_last=False)
        large.post(b" " * 100)
        await large.talk()
        assert large.answer()[0] == HTTPStatus.TOO_MANY_REQUESTS
        assert large.answer()[1]["message"] == FULL.text
        gone.post(b"{}".ljust(150), is_last=False)
        gone.leave()
        await gone.talk()
        small.post(b"{}".ljust(200))
        await small.talk()
        assert small.answer()[0] == HTTPStatus.OK

    run_virtually(story())
    assert bodies.bytes == 0
    assert bodies.refused_count == 1


def test_while_memory_is_short_a_post_is_refused_unread_and_a_light_one_is_not() -> None:
    taken = 0
    memory = Memory(
        [Limit(1 << 30, "a test", lambda it: it.anonymous_bytes)],
        lambda: Taken(anonymous_bytes=taken),
    )
    admission = Admission(memory, light=frozenset((b"/light",)))

    def post(path: bytes, handle: Callable[[Call, bytes], None]) -> tuple[int, dict[str, Any]]:
        method = JsonMethod(
            PUT, Unary(handle), path=path, admission=admission, body_bytes_max=BODY_BYTES_MAX
        )

        async def story() -> tuple[int, dict[str, Any]]:
            client = Client(method)
            client.post(b"{}")
            await client.talk()
            return client.answer()

        return run_virtually(story())

    def starve(_call: Call, _message: bytes) -> None:
        raise MemoryError

    refused = (429, {"error": TEXT, "message": TEXT, "code": 8})
    assert post(b"/heavy", answer) == (200, {})
    assert post(b"/heavy", starve) == refused
    assert post(b"/heavy", answer) == refused, "until somebody has looked"
    memory.look()
    taken = 1 << 30
    memory.look()
    assert post(b"/heavy", answer) == refused
    assert post(b"/light", answer) == (200, {})


def test_a_call_whose_connection_is_gone_is_waited_for_by_nobody() -> None:
    """What it asked for and has not begun is dropped then."""
    service = Service()
    client = Client(put_method(service.handle))
    client.post(b"{}")

    async def work(client: Client) -> None:
        [call] = service.calls
        said = [call.is_over]
        client.is_gone = True
        said.append(call.is_over)
        assert said == [False, True]
        call.reply(b"")

    beside(work, client)


def test_a_long_request_is_made_over_turns_of_the_loop_and_one_of_too_many_objects_is_refused() -> (
    None
):
    text = b'{"key": "Zm9v", "not known": [' + b", ".join([b"{}"] * 20) + b"]}"
    for objects_max in (20, 21):
        service = Service()

        async def story(service: Service = service, objects_max: int = objects_max) -> int:
            method = JsonMethod(
                PUT, Unary(service.handle), body_bytes_max=BODY_BYTES_MAX, objects_max=objects_max
            )
            client = Client(method)
            client.post(text)
            talking = asyncio.ensure_future(client.talk())
            await until_idle()
            for call in service.calls:
                call.reply(b"")
            await talking
            return client.answer()[0]

        assert run_virtually(story()) == (400 if objects_max == 20 else 200)

    turns: list[int] = []

    async def in_turns() -> None:
        service = Service()
        method = JsonMethod(PUT, Unary(service.handle), body_bytes_max=1 << 20)
        client = Client(method)
        client.post(b'{"key": "Zm9v"' + b', "key": "Zm9v"' * 10 + b"}")
        talking = asyncio.ensure_future(client.talk())
        while not service.calls:
            turns.append(1)
            await asyncio.sleep(0)
        service.calls[0].reply(b"")
        await talking

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("roost.server.json_request.FIELDS_A_STEP", 1)
        run_virtually(in_turns())
    assert len(turns) > 1
    turns.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("roost.server.json_text.WHOLE_CHARS", 10)
        patch.setattr("roost.server.json_text.PIECE_CHARS", 10)
        patch.setattr("roost.server.json_text.UNITS_A_STEP", 1)
        run_virtually(in_turns())
    assert len(turns) > 10, "it is read in turns, too"


@pytest.mark.parametrize("body", [b'{"key": "Zm9v"} {}', b'{"key": "Zm9v"', b'{"key": "Zm9v",}'])
def test_a_long_body_that_is_not_one_object_is_refused_as_a_short_one(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr("roost.server.json_text.WHOLE_CHARS", 1)
    service = Service()
    status, said = ask(service.handle, body)
    assert (status, said["code"]) == (400, Code.INVALID_ARGUMENT)
    assert service.calls == []
