"""One gRPC call, from the bytes of its request to its status (grpc: doc/PROTOCOL-HTTP2.md)."""

import gzip
from collections.abc import Callable, Sequence
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.call import Call as AnyCall
from roost.call import Code, StreamCall
from roost.flow import flow_of
from roost.server.bodies import Bodies
from roost.server.calls import Call, UnaryCall
from roost.server.h2 import Answer, Connection, Stream
from roost.server.h2.hpack import Decoder
from roost.server.methods import Head
from roost.server.streaming import StreamingCall
from roost.server.unread import Unread

MESSAGE_BYTES_MAX = 64
# What HTTP/2, percent-encoding and UTF-8 each have a rule for.
LETTERS = 'aZ 9%~"\\/\0\n\x7fé…𝄞'
BROKEN = "grpc: failed to decompress the received message"


class Nobody:
    """Hears of no stream: calls are made and fed by hand."""

    def make_head(self, fields: list[tuple[bytes, bytes]]) -> object:
        raise NotImplementedError

    def make_large_head(self) -> object:
        raise NotImplementedError

    def on_headers(self, stream: Stream, head: object) -> None:
        raise NotImplementedError

    def on_request(self, stream: Stream, head: object, data: bytes) -> None:
        raise NotImplementedError

    def on_data(self, stream: Stream, data: bytes) -> None:
        raise NotImplementedError

    def on_reset(self, stream: Stream) -> None:
        raise NotImplementedError

    def on_drain(self, stream: Stream) -> None:
        raise NotImplementedError


class Paper(Connection):
    """Keeps what is said on a stream, instead of making frames of it."""

    def __init__(self) -> None:
        super().__init__(Nobody())
        self.said: list[tuple[str, bytes]] = []
        self.trailers: dict[str, str] = {}

    def send_answer(self, stream: Stream, answer: Answer, data: bytes) -> None:
        assert not stream.is_local_closed
        stream.is_local_closed = True
        self.said.append(("answer", data))
        self._note(answer.headers + answer.trailers)

    def send_headers(self, stream: Stream, block: bytes) -> None:
        assert not stream.is_local_closed
        self.said.append(("headers", block))

    def send_data(self, stream: Stream, data: bytes) -> None:
        assert not stream.is_local_closed
        self.said.append(("data", data))

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        assert not stream.is_local_closed, "a stream ends once"
        stream.is_local_closed = True
        self.said.append(("trailers", b""))
        self._note(block)

    def _note(self, block: bytes) -> None:
        fields, _ = Decoder().decode(block)
        assert fields is not None
        self.trailers = {name.decode(): value.decode() for name, value in fields}


class Wire:
    """Carries one call, whose request comes by hand."""

    certificate_name = "cn"
    address = "10.0.0.9"
    flow = flow_of("10.0.0.9", 7)
    received_s = 0.0
    message_bytes_max = MESSAGE_BYTES_MAX
    unread_bytes = 0
    unsent_bytes = 0

    def __init__(self) -> None:
        self.paper = Paper()
        self.h2: Connection = self.paper
        self.stream = Stream(1)
        self.head = Head()
        self.is_flush_due = False
        self.was_given_up = False
        self.unread = Unread(1 << 20, [self])
        self.bodies = Bodies(1 << 20)
        self.left: StreamingCall | None = None

    def schedule_flush(self) -> None:
        self.is_flush_due = True

    def give_up(self) -> None:
        self.was_given_up = True

    def hold(self, call: StreamingCall) -> None:
        self.left = call

    def feed(self, call: Call, *parts: bytes, is_whole: bool = True) -> None:
        """Bytes come; with the last of them the client's side is closed, or stays open."""
        for number, part in enumerate(parts):
            self.stream.is_remote_closed = is_whole and number == len(parts) - 1
            call.feed(part)
            while self.left is not None:
                left, self.left = self.left, None
                left.go_on()

    @property
    def status(self) -> tuple[int, str] | None:
        """How the call has ended; None while it goes on."""
        if not self.stream.is_local_closed:
            return None
        told = self.paper.trailers
        return int(told["grpc-status"]), unquote(told.get("grpc-message", ""))


def framed(message: bytes, *, is_compressed: bool = False) -> bytes:
    return bytes([is_compressed]) + len(message).to_bytes(4, "big") + message


def cuts(data: bytes) -> list[list[bytes]]:
    """The bytes in one piece, in two at every place, and one by one, the end by itself or not."""
    two = [[data[:at], data[at:]] for at in range(len(data) + 1)]
    return [[data], *two, [data[at : at + 1] for at in range(len(data))]]


class Unary:
    """A unary call and what its handler was given."""

    def __init__(self, answers: Callable[[AnyCall], None] | None = None) -> None:
        self.wire = Wire()
        self.messages: list[bytes] = []
        self._answers = answers
        self.call = UnaryCall(self.wire, self.wire.stream, self.wire.head, self._handle)

    def _handle(self, call: AnyCall, message: bytes) -> None:
        self.messages.append(message)
        if self._answers is not None:
            self._answers(call)


class Streaming:
    """A stream and what its handler heard."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.heard: list[bytes | str] = []
        self.ends_at = b"\0never"
        self.call = StreamingCall(self.wire, self.wire.stream, self.wire.head, self._open)

    def _open(self, call: StreamCall) -> "Streaming":
        self.given = call
        return self

    def on_message(self, message: bytes) -> None:
        self.heard.append(message)
        if message == self.ends_at:
            self.call.finish(Code.ABORTED, "enough")

    def on_half_close(self) -> None:
        self.heard.append("half close")

    def on_cancel(self) -> None:
        self.heard.append("cancel")


@pytest.mark.parametrize("message", [b"", b"x", b"four", bytes(MESSAGE_BYTES_MAX)])
def test_a_request_is_handled_once_it_is_whole_wherever_it_is_cut(message: bytes) -> None:
    for parts in cuts(framed(message)):
        for ending in ([], [b""]):  # with the last byte, or behind it
            unary = Unary()
            unary.wire.feed(unary.call, *parts, *ending)
            assert (unary.messages, unary.wire.status) == ([message], None), parts


def test_nothing_is_handled_before_the_client_has_closed_its_side() -> None:
    unary = Unary()
    unary.wire.feed(unary.call, framed(b"m"), is_whole=False)
    assert unary.messages == []
    unary.wire.feed(unary.call, b"")
    assert unary.messages == [b"m"]


def test_a_unary_call_has_one_message() -> None:
    sent = framed(b"one") + framed(b"two")
    for parts in cuts(sent):
        unary = Unary()
        unary.wire.feed(unary.call, *parts)
        assert unary.wire.status == (Code.INTERNAL, "grpc: a unary call has one message"), parts
        assert unary.messages == []


def test_a_request_that_ends_within_its_message_is_refused() -> None:
    sent = framed(b"four")
    for at in range(len(sent)):
        unary, streaming = Unary(), Streaming()
        unary.wire.feed(unary.call, sent[:at])
        text = "grpc: the request ended within a message"
        assert unary.wire.status == (Code.INTERNAL, text)
        assert unary.messages == []
        if at:
            streaming.wire.feed(streaming.call, sent[:at])
            assert streaming.wire.status == (Code.INTERNAL, text)
            assert streaming.heard == ["cancel"]


def test_a_message_larger_than_max_is_refused_by_its_prefix_before_any_of_it_has_come() -> None:
    prefix = framed(bytes(MESSAGE_BYTES_MAX + 1))[:5]
    text = "grpc: received message larger than max (65 vs. 64)"
    unary, streaming = Unary(), Streaming()
    for one in (unary, streaming):
        one.wire.feed(one.call, prefix, is_whole=False)
        assert one.wire.status == (Code.RESOURCE_EXHAUSTED, text)
        one.wire.feed(one.call, bytes(MESSAGE_BYTES_MAX + 1))  # what is on its way is dropped
    assert (unary.messages, streaming.heard) == ([], ["cancel"])


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        (gzip.compress(bytes(MESSAGE_BYTES_MAX)), Code.OK, ""),
        (
            gzip.compress(bytes(MESSAGE_BYTES_MAX + 1)),
            Code.RESOURCE_EXHAUSTED,
            "grpc: received message after decompression larger than max (64)",
        ),
        (
            gzip.compress(b"x")[:-1],
            Code.INTERNAL,
            f"{BROKEN}: it does not end where the message does",
        ),
    ],
    ids=["fits", "larger", "cut"],  # gzip's bytes have the time in them
)
def test_a_compressed_message_is_as_large_as_what_comes_out(
    sent: bytes, code: Code, text: str
) -> None:
    unary, streaming = Unary(), Streaming()
    for one in (unary, streaming):
        one.wire.head.is_compressed = True
        one.wire.feed(one.call, framed(sent, is_compressed=True))
        assert one.wire.status == (None if code is Code.OK else (code, text))
    taken = [] if code else [bytes(MESSAGE_BYTES_MAX)]
    assert unary.messages == taken
    assert streaming.heard == [*taken, "cancel" if code else "half close"]


def test_a_compressed_flag_needs_an_encoding_and_an_encoding_no_flag() -> None:
    """grpc: doc/compression.md, case 5 and "Compression Method Asymmetry"."""
    unary = Unary()
    unary.wire.feed(unary.call, framed(b"m", is_compressed=True))
    text = "grpc: compressed flag set with identity or empty encoding"
    assert (unary.wire.status, unary.messages) == ((Code.INTERNAL, text), [])
    plain = Unary()
    plain.wire.head.is_compressed = True
    plain.wire.feed(plain.call, framed(b"m"))
    assert plain.messages == [b"m"]


def test_a_call_is_answered_once_whatever_is_tried_later() -> None:
    ways: list[Callable[[UnaryCall], None]] = [
        lambda it: it.reply(b"answer"),
        lambda it: it.fail(Code.ABORTED, "why"),
        lambda it: it.expire(),
        lambda it: it.cancel(),
    ]
    for first in range(len(ways)):
        unary = Unary()
        unary.wire.feed(unary.call, framed(b""))
        ways[first](unary.call)
        told = list(unary.wire.paper.said)
        for way in ways:
            way(unary.call)
        unary.call.feed(framed(b"more"))
        assert unary.wire.paper.said == told
        assert len(told) == (0 if first == 3 else 1)  # who has left is told nothing
        assert unary.messages == [b""]


def test_how_a_call_ended_is_counted_once_by_its_status() -> None:
    for end, code in (
        (lambda it: it.reply(b""), Code.OK),
        (lambda it: it.fail(Code.ABORTED, ""), Code.ABORTED),
        (lambda it: it.expire(), Code.DEADLINE_EXCEEDED),
        (lambda it: it.cancel(), Code.CANCELLED),
        (lambda it: it.abandon(), Code.CANCELLED),
    ):
        unary = Unary(end)
        unary.wire.feed(unary.call, framed(b""))
        unary.call.fail(Code.INTERNAL, "too late")
        unary.call.cancel()
        figures = unary.wire.head.figures
        assert {it: count for it, count in figures.ended.items() if count} == {code: 1}
        assert list(figures.handling.buckets())[-1] == ("+Inf", 1)


def test_an_answer_is_counted_as_unread_and_whoever_keeps_too_much_is_given_up() -> None:
    unary = Unary(lambda it: it.reply(b"answer"))
    unary.wire.feed(unary.call, framed(b""))
    assert unary.wire.paper.said == [("answer", framed(b"answer"))]
    assert unary.wire.unread.bytes == unary.wire.unread_bytes == len(framed(b"answer"))
    assert not unary.wire.was_given_up
    greedy = Unary(lambda it: it.reply(b"answer"))
    greedy.wire.unread.bytes_max = len(framed(b"answer")) - 1
    greedy.wire.feed(greedy.call, framed(b""))
    assert greedy.wire.was_given_up
    assert greedy.wire.unread.bytes == 0


@settings(max_examples=40)
@given(st.text(LETTERS, max_size=8))
def test_a_status_text_of_any_letters_comes_through(text: str) -> None:
    """Grpc: Status-Message is percent-encoded UTF-8."""
    unary = Unary(lambda it: it.fail(Code.UNKNOWN, text))
    unary.wire.feed(unary.call, framed(b""))
    assert unary.wire.status == (Code.UNKNOWN, text)
    sent = unary.wire.paper.trailers.get("grpc-message", "")
    assert all(" " <= letter <= "~" for letter in sent)


@pytest.mark.parametrize("messages", [[b"a", b"", b"ccc"], [b""], []])
def test_messages_of_a_stream_are_delivered_in_order_wherever_they_are_cut(
    messages: Sequence[bytes],
) -> None:
    sent = b"".join(framed(it) for it in messages)
    for parts in cuts(sent):
        streaming = Streaming()
        streaming.wire.feed(streaming.call, *parts, b"")
        assert streaming.heard == [*messages, "half close"], parts
        assert streaming.wire.status is None


def test_a_message_is_delivered_when_it_is_whole_though_the_next_has_begun() -> None:
    streaming = Streaming()
    streaming.wire.feed(streaming.call, framed(b"a") + framed(b"b")[:-1], is_whole=False)
    assert streaming.heard == [b"a"]
    streaming.wire.feed(streaming.call, b"b", is_whole=False)
    assert streaming.heard == [b"a", b"b"]


def test_a_handler_that_ends_its_stream_hears_nothing_more() -> None:
    sent = framed(b"a") + framed(b"end") + framed(b"c")
    for parts in cuts(sent):
        streaming = Streaming()
        streaming.ends_at = b"end"
        streaming.wire.feed(streaming.call, *parts, b"")
        assert streaming.heard == [b"a", b"end"], parts
        assert streaming.wire.status == (Code.ABORTED, "enough")


def test_a_stream_has_headers_before_its_first_message_and_one_block_when_it_says_none() -> None:
    spoken, silent = Streaming(), Streaming()
    spoken.call.send(b"a")
    spoken.call.send_all([b"", b"c"])
    for streaming in (spoken, silent):
        streaming.call.finish(Code.OK, "")
        streaming.call.send(b"too late")
        assert streaming.wire.is_flush_due
    assert [it for it, _ in spoken.wire.paper.said] == ["headers", "data", "data", "trailers"]
    assert spoken.wire.paper.said[2] == ("data", framed(b"") + framed(b"c"))
    assert spoken.wire.paper.trailers == {"grpc-status": "0"}
    assert [it for it, _ in silent.wire.paper.said] == ["trailers"]
    assert silent.wire.paper.trailers[":status"] == "200"


def test_a_handler_hears_once_that_its_stream_is_gone() -> None:
    for ends in ("cancel", "expire"):
        streaming = Streaming()
        getattr(streaming.call, ends)()
        streaming.call.cancel()
        streaming.call.expire()
        streaming.call.feed(framed(b"late"))
        assert streaming.heard == ["cancel"]
        told = (Code.DEADLINE_EXCEEDED, "context deadline exceeded")
        assert streaming.wire.status == (told if ends == "expire" else None)


def test_what_is_pending_on_a_stream_is_what_waits_for_its_windows_and_for_the_socket() -> None:
    streaming = Streaming()
    streaming.wire.stream.pending_bytes = 30
    streaming.wire.unsent_bytes = 12
    assert streaming.given.pending_bytes == 42


def test_a_call_says_who_sent_it() -> None:
    unary = Unary()
    unary.wire.head.token = "t"
    told = unary.call.token, unary.call.certificate_name, unary.call.address
    assert told == ("t", "cn", "10.0.0.9")


def test_an_answer_in_parts_is_one_message_and_ends_with_its_last_part() -> None:
    wire = Wire()
    asked: list[AnyCall] = []
    call = UnaryCall(wire, wire.stream, wire.head, lambda it, _message: asked.append(it))
    wire.feed(call, b"\0\0\0\0\0")
    sending = asked[0].reply_in_parts(5)
    statuses = []
    for part in (b"abc", b"de"):
        sending.send(part)
        statuses.append(wire.status)
    assert statuses == [None, (Code.OK, "")]
    names = [name for name, _ in wire.paper.said]
    assert names == ["headers", "data", "data", "data", "trailers"]
    assert b"".join(data for name, data in wire.paper.said if name == "data") == b"\0\0\0\0\5abcde"
    assert wire.unread.bytes == 5, "counted until it has left"


def test_an_answer_in_parts_may_end_early_and_who_sends_is_told() -> None:
    for how in ("fail", "cancel", "expire"):
        wire = Wire()
        call = UnaryCall(wire, wire.stream, wire.head, lambda _call, _message: None)
        wire.feed(call, b"\0\0\0\0\0")
        sending = call.reply_in_parts(5)
        told: list[bool] = []
        sending.on_drain = lambda told=told, call=call: told.append(call.is_over)
        sending.send(b"abc")
        if how == "fail":
            call.fail(Code.UNAVAILABLE, "the state is gone")
            assert wire.status == (Code.UNAVAILABLE, "the state is gone")
        elif how == "cancel":
            call.cancel()
        else:
            call.expire()
            assert wire.status == (Code.DEADLINE_EXCEEDED, "context deadline exceeded")
        assert told == [True]
        sending.send(b"de")
        assert [name for name, _ in wire.paper.said].count("headers") == 1
        assert [name for name, _ in wire.paper.said].count("data") == 2
