"""Answers leave as windows let them, in turn, a bounded part at a time."""

import random

import h2.config
import h2.connection
import h2.events
import h2.settings

from roost.server.h2 import (
    PREFACE,
    Answer,
    Connection,
    ErrorCode,
)
from roost.server.h2 import frames as f
from roost.server.h2.connection import FRAME_BYTES_SENT_MAX
from roost.server.h2.hpack import encode_literal
from roost.server.h2.outgoing import FRAMES_A_TURN_MAX
from tests.server.h2.pairs import HEADERS, Owner, Pair, opened
from tests.steps import steps_of


def test_answers_arrive_with_trailers() -> None:
    pair = Pair()
    stream_id = pair.request(b"x")
    pair.answer(stream_id, b"answer")
    assert pair.received(stream_id) == b"answer"
    assert pair.has_ended(stream_id)
    assert any(isinstance(it, h2.events.TrailersReceived) for it in pair.events)
    assert not pair.server.streams


def test_a_large_answer_waits_for_windows() -> None:
    pair = Pair()
    body = random.Random(2).randbytes(300_000)
    stream_id = pair.request(b"x")
    pair.answer(stream_id, body)
    assert len(pair.received(stream_id)) == 65_535
    for _ in range(20):
        if pair.has_ended(stream_id):
            break
        pair.client.increment_flow_control_window(30_000, stream_id)
        pair.client.increment_flow_control_window(30_000)
        pair.exchange()
    assert pair.received(stream_id) == body
    assert not pair.server.streams


def test_a_changed_initial_window_moves_open_streams() -> None:
    pair = Pair()
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    pair.exchange()
    stream_id = pair.request(b"x")
    pair.answer(stream_id, b"z" * 100)
    assert len(pair.received(stream_id)) == 10
    pair.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 60})
    pair.exchange()
    assert len(pair.received(stream_id)) == 60
    pair.client.increment_flow_control_window(100, stream_id)
    pair.exchange()
    assert pair.received(stream_id) == b"z" * 100


def test_a_stream_drains_as_windows_open() -> None:
    pair = Pair()
    stream_id = pair.request(b"x")
    stream = pair.server.streams[stream_id]
    pair.server.send_headers(stream, b"\x88")
    pair.server.send_data(stream, b"z" * 100_000)
    pair.exchange()
    assert stream.pending_bytes == 100_000 - 65_535
    assert pair.owner.drained == []
    pair.client.increment_flow_control_window(100_000, stream_id)
    pair.client.increment_flow_control_window(100_000)
    pair.exchange()
    assert (stream.pending_bytes, pair.owner.drained) == (0, [stream_id])


def test_settings_cost_their_entries_however_many_streams_are_open() -> None:
    """Issue 14: 4,000 streams and one frame of 2,700 entries held the loop for 17.5 s."""
    many = b"".join(f.SETTING.pack(f.INITIAL_WINDOW_SIZE, it & 1) for it in range(2700))
    data = f.frame(f.SETTINGS, 0, 0, many)
    few, lots = opened(10)[0], opened(1000)[0]
    cost = steps_of(lambda: few.receive(data))
    assert steps_of(lambda: lots.receive(data)) < cost + 10 * 1000
    # The last value counts, and lets each out by one byte.
    assert lots.blocked_bytes == 1000 * 100
    while lots.has_more:
        lots.take_output()
    assert lots.blocked_bytes == 1000 * 99


def test_a_window_that_opens_costs_what_it_lets_out() -> None:
    """Issue 14: 4,000 answers that were held and 5,000 WINDOW_UPDATE frames took 14 s."""
    server, streams = opened(1000)
    server.receive(f.settings({f.INITIAL_WINDOW_SIZE: 1000}))
    server.receive(f.window_update(0, 1))
    server.take_output()
    server.send_window = 0

    def open_by_one() -> None:
        server.receive(f.window_update(0, 1))
        server.take_output()

    assert steps_of(open_by_one) < 100
    assert server.blocked_bytes == sum(it.pending_bytes for it in streams)


def test_answers_leave_in_turn_and_a_bounded_part_at_a_time() -> None:
    server = Connection(Owner())
    wide = f.settings({f.INITIAL_WINDOW_SIZE: 1 << 30, f.MAX_FRAME_SIZE: 1 << 23})
    server.receive(PREFACE + wide + f.window_update(0, 1 << 30))
    plain = b"".join(encode_literal(name.encode(), value.encode()) for name, value in HEADERS)
    for stream_id in (1, 3):
        server.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream_id, plain))
    large, small = server.streams.values()
    server.send_answer(large, Answer(b"\x88", b"\x88"), bytes(8 << 20))
    server.send_answer(small, Answer(b"\x88", b"\x88"), bytes(100_000))
    sent = server.take_output()
    assert len(sent) <= FRAMES_A_TURN_MAX * FRAME_BYTES_SENT_MAX * 1.1
    assert small.is_local_closed, "it does not wait for the large one"
    while server.has_more:
        sent += server.take_output()
    assert large.is_local_closed
    assert server.blocked_bytes == 0
    assert len(sent) > (8 << 20) + 100_000


def test_held_streams_that_are_reset_leave_nothing() -> None:
    server, streams = opened(100)
    server.receive(f.settings({f.INITIAL_WINDOW_SIZE: 10}))
    for stream in streams:
        server.receive(f.rst_stream(stream.id, ErrorCode.CANCEL))
    assert (server.blocked_bytes, server.has_more, server.streams) == (0, False, {})
    assert server.take_output().count(f.head(10, f.DATA, 0, 0)[:5]) == 0
