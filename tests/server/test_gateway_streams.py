"""What lasts longer than an answer, through the gateway: streams, and methods that may take long.

A stream is a line for each answer, as grpc-gateway v1 has it; requests follow each other in the
body.  A method that may take long has one of each, by a stream of its service's.
"""

import asyncio
import base64
import logging
from contextlib import suppress

import pytest
from starlette.types import Message as Event

from roost.call import Code, Stream
from roost.proto import lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.server.gateway import JsonMethod
from roost.server.json_calls import PENDING_BYTES_MAX
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from tests.server.posts import (
    BODY_BYTES_MAX,
    LOCK,
    Client,
    Handler,
    Headers,
    Service,
    beside,
    message_bytes,
    watch_method,
)


def lock_client(service: Service, headers: Headers | None = None) -> Client:
    method = JsonMethod(LOCK, Stream(service.open), body_bytes_max=BODY_BYTES_MAX)
    client = Client(method, headers)
    client.post(b'{"name": "bmFtZQ=="}')
    return client


def test_a_long_method_answers_with_its_one_message() -> None:
    service = Service()
    client = lock_client(service)

    async def work(_client: Client) -> None:
        await pass_time(1000)
        service.streams[0].send(message_bytes(lock_pb2.LockResponse(key=b"name/1")))
        service.streams[0].finish(Code.OK, "")

    beside(work, client)
    assert client.answer() == (200, {"key": base64.b64encode(b"name/1").decode()})
    assert service.handler.messages == [message_bytes(lock_pb2.LockRequest(name=b"name"))]
    assert service.handler.news == []


def test_a_long_method_is_cancelled_when_its_client_leaves() -> None:
    service = Service()

    async def work(client: Client) -> None:
        client.leave()

    beside(work, lock_client(service))
    assert service.handler.news == ["cancel"]


def test_a_long_method_is_cancelled_when_its_client_waits_no_more() -> None:
    service = Service()
    client = lock_client(service, {b"grpc-timeout": b"5S"})

    async def work(_client: Client) -> None:
        await pass_time(6)

    beside(work, client)
    assert (client.answer()[0], service.handler.news) == (504, ["cancel"])


def watch_event(key: bytes) -> bytes:
    return message_bytes(pb.WatchResponse(watch_id=3, events=[{"kv": {"key": key}}]))


def test_each_answer_of_a_stream_is_a_line_and_the_stream_lasts_until_its_end() -> None:
    service = Service()
    client = Client(watch_method(service))
    client.post(b"{}")

    async def work(client: Client) -> None:
        call = service.streams[0]
        call.send_all([watch_event(b"a"), watch_event(b"b")])
        await until_idle()
        assert (client.status, len(client.lines()), client.is_answered) == (200, 2, False)
        call.send(watch_event(b"c"))
        call.finish(Code.OK, "")
        call.send(watch_event(b"d"))  # nothing comes behind the end

    beside(work, client)
    keys = [it["result"]["events"][0]["kv"]["key"] for it in client.lines()]
    assert [base64.b64decode(it) for it in keys] == [b"a", b"b", b"c"]
    assert client.lines()[0]["result"]["watch_id"] == "3"
    assert client.is_answered


@pytest.mark.parametrize(
    ("heartbeat_s", "said", "count"), [(10.0, b"", 2), (10.0, b" OFF", 0), (0.0, b"", 0)]
)
def test_a_stream_that_says_nothing_sends_newlines_where_that_is_asked_for(
    heartbeat_s: float, said: bytes, count: int
) -> None:
    service = Service()
    client = Client(watch_method(service, heartbeat_s), {b"x-roost-heartbeat": said})
    client.post(b"{}")

    async def work(client: Client) -> None:
        call = service.streams[0]
        await pass_time(100)
        assert client.body == b"", "the head has the status, which is not known yet"
        call.send(watch_event(b"a"))
        await pass_time(25)
        assert client.body.count(b"\n") == 1 + count
        call.send(watch_event(b"b"))
        call.finish(Code.OK, "")

    beside(work, client)
    lines = [it for it in client.body.splitlines() if it]
    assert len(lines) == 2, "nothing is lost"
    assert client.is_answered


@pytest.mark.parametrize("is_begun", [False, True])
def test_an_error_is_the_last_line_and_the_status_too_when_nothing_was_said_before(
    *, is_begun: bool
) -> None:
    service = Service()
    client = Client(watch_method(service))
    client.post(b"{}")

    async def work(_client: Client) -> None:
        if is_begun:
            service.streams[0].send(watch_event(b"a"))
        service.streams[0].finish(Code.UNAVAILABLE, "no leader")
        service.streams[0].finish(Code.INTERNAL, "too late")

    beside(work, client)
    said = {"grpc_code": 14, "http_code": 503, "message": "no leader"}
    assert client.lines()[is_begun:] == [{"error": {**said, "http_status": "Service Unavailable"}}]
    assert client.status == (200 if is_begun else 503)


def test_the_requests_of_a_stream_are_the_same_wherever_its_body_is_cut() -> None:
    rows = '{"create_request": {"key": "Zm9v"}}', '{"?": "Vögel {"}', '{"cancel_request": {}}'
    body = "\n ".join(rows).encode() + b"\n"
    wanted = [
        message_bytes(pb.WatchRequest(create_request={"key": b"foo"})),
        b"",
        message_bytes(pb.WatchRequest(cancel_request={})),
    ]
    cuts = [[body[:cut], body[cut:]] for cut in range(len(body) + 1)]
    for parts in [*cuts, [body[at : at + 1] for at in range(len(body))]]:
        service = Service()
        client = Client(watch_method(service))
        for number, part in enumerate(parts):
            client.post(part, is_last=number == len(parts) - 1)

        async def work(_client: Client, service: Service = service) -> None:
            service.streams[0].finish(Code.OK, "")

        beside(work, client)
        assert service.handler.messages == wanted, parts
        assert service.handler.news == ["half close", "cancel"], parts


def test_a_request_is_handed_on_when_it_is_whole_while_the_body_goes_on() -> None:
    service = Service()
    client = Client(watch_method(service))
    client.post(b'{"create_request": {}} {"cancel', is_last=False)

    async def work(client: Client) -> None:
        assert service.handler.messages == [message_bytes(pb.WatchRequest(create_request={}))]
        client.post(b'_request": {}}', is_last=False)
        await until_idle()
        assert len(service.handler.messages) == 2
        assert service.handler.news == []
        client.leave()

    beside(work, client)
    assert service.handler.news == ["cancel"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"create_request": 1}', 400),
        (b'"\xff"', 400),
        (b"\xc3", 400),
        (b'{"' + b"x" * BODY_BYTES_MAX, 429),
    ],
)
def test_what_is_no_request_ends_the_stream(body: bytes, status: int) -> None:
    service = Service()
    client = Client(watch_method(service))
    client.post(body)
    run_virtually(client.talk())
    [line] = client.lines()
    assert (client.status, line["error"]["http_code"]) == (status, status)
    assert (service.handler.messages, service.handler.news) == ([], ["cancel"])


def test_a_handler_that_fails_costs_its_stream_an_answer_without_the_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_message: bytes) -> None:
        raise RuntimeError("our secret")

    service = Service()
    service.handler = Handler(fail)
    client = Client(watch_method(service))
    client.post(b"{}")
    with caplog.at_level(logging.ERROR):
        run_virtually(client.talk())
    [line] = client.lines()
    assert (client.status, line["error"]["message"]) == (500, "internal error")
    assert "our secret" in caplog.text


def test_a_stream_ends_when_its_client_waits_no_more() -> None:
    service = Service()
    client = Client(watch_method(service), {b"grpc-timeout": b"5S"})
    client.post(b"{}", is_last=False)

    async def work(client: Client) -> None:
        service.streams[0].send(watch_event(b"a"))
        await pass_time(4)
        assert not client.is_answered
        await pass_time(2)

    beside(work, client)
    assert client.lines()[1]["error"]["grpc_code"] == Code.DEADLINE_EXCEEDED
    assert service.handler.news == ["cancel"]


def test_what_is_not_taken_is_pending_and_the_service_hears_when_all_is_taken() -> None:
    service = Service()

    class Slow(Client):
        """Takes nothing until it is let."""

        def __init__(self, app: JsonMethod) -> None:
            super().__init__(app)
            self.let = asyncio.Event()

        async def _take(self, event: Event) -> None:
            await self.let.wait()
            await super()._take(event)

    async def story() -> None:
        client, drained = Slow(watch_method(service)), list[int]()
        client.post(b"{}", is_last=False)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.talk())
            await until_idle()
            call = service.streams[0]
            call.on_drain = lambda: drained.append(call.pending_bytes)
            call.send_all([watch_event(b"a")] * 3)
            sent_bytes = call.pending_bytes
            await until_idle()
            # One line is on its way, the others wait.
            assert call.pending_bytes == sent_bytes * 2 // 3
            assert drained == []
            client.let.set()
            await until_idle()
            assert (call.pending_bytes, drained) == (0, [0])
            client.leave()

    run_virtually(story())


def test_many_requests_that_come_together_are_read_one_a_turn() -> None:
    """Two megabytes of them held the loop for a second, and each copied what was behind it."""
    service = Service()
    client = Client(watch_method(service))
    client.post(b"{}" * 400 + b" " * 3000 + b'{"?":' + b"[" * 10 + b"]" * 10 + b"}", is_last=False)

    async def story() -> None:
        at, turn, talk = list[int](), 0, asyncio.ensure_future(client.talk())

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if not talk.done():
                asyncio.get_running_loop().call_soon(next_turn)

        service.handler = Handler(lambda _message: at.append(turn))
        next_turn()
        while len(at) < 401:
            await asyncio.sleep(0)
        assert max(at.count(it) for it in set(at)) == 1
        client.leave()
        await talk

    run_virtually(story())


def test_no_more_is_read_of_a_client_that_takes_no_answers() -> None:
    """What it was answered was kept, as much as it asked for."""
    service = Service()

    class Deaf(Client):
        """Takes nothing."""

        async def _take(self, event: Event) -> None:
            await asyncio.get_running_loop().create_future()

    client = Deaf(watch_method(service))
    client.post(b"{}" * 4000, is_last=False)

    async def story() -> None:
        talk = asyncio.ensure_future(client.talk())
        service.handler = Handler(lambda _message: service.streams[0].send(watch_event(b"a" * 999)))
        await until_idle()
        heard = len(service.handler.messages)
        assert 40 < heard < 80
        assert service.streams[0].pending_bytes < 2 * PENDING_BYTES_MAX
        client.leave()
        service.streams[0].finish(Code.OK, "")
        await until_idle()
        assert len(service.handler.messages) == heard
        talk.cancel()
        with suppress(asyncio.CancelledError):
            await talk

    run_virtually(story())
