"""The streamed request of points, in both forms: the same however the bytes are cut."""

import json
from collections.abc import Sequence
from itertools import pairwise
from struct import pack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.series.errors import BadPoints, BadSeries
from roost.series.frames import (
    FRAME_BYTES_MAX,
    LINE_BYTES_MAX,
    NAMES_MAX,
    PAUSE,
    STEP_LINES,
    STEP_POINTS,
    BadLine,
    ColumnFrames,
    Flush,
    Frames,
    Pause,
    TextFrames,
    _texts,
)
from roost.series.intake import Points
from roost.series.spelling import Precision, series_text

NOW = 1_700_000_000 * 10**9
Said = tuple[str, int, float] | int


def text_frames() -> TextFrames:
    return TextFrames(Precision.NS, NOW)


def said(frames: Frames, pieces: Sequence[bytes]) -> list[Said]:
    """Points one by one, and flushes as numbers."""
    found: list[Said] = []
    for piece in [*pieces, None]:
        for event in frames.end() if piece is None else frames.feed(piece):
            if isinstance(event, Flush):
                found.append(event.number)
            if not isinstance(event, Points):
                continue
            names = [series_text(it.name, it.labels) for it in event.series]
            rows = zip(event.places, event.times.tolist(), event.values.tolist(), strict=True)
            found += [(names[place], time, value) for place, time, value in rows]
    return found


def names(texts: list[str]) -> bytes:
    body = json.dumps(texts).encode()
    return pack("<BI", 1, len(body)) + body


def columns(rows: list[tuple[int, int, float]]) -> bytes:
    body = pack("<I", len(rows))
    for place, kind in ((0, "I"), (1, "q"), (2, "d")):
        body += pack(f"<{len(rows)}{kind}", *(row[place] for row in rows))
    return pack("<BI", 2, len(body)) + body


def flush(number: int) -> bytes:
    return pack("<BIQ", 3, 8, number)


TEXT = b"""a 1 1.5
cpu{host="a b"} 2024-03-01T00:00:00Z -2
# nothing

#flush 7
a b 3 4
"""
EXPECTED: list[Said] = [
    ("a", 1, 1.5), ('cpu{host="a b"}', 1_709_251_200 * 10**9, -2.0), 7, ("a b", 3, 4.0)
]  # fmt: skip
COLUMNS = (
    names(["a", 'cpu{host="a b"}'])
    + columns([(0, 1, 1.5), (1, 1_709_251_200 * 10**9, -2.0)])
    + flush(7)
    + names(["a b"])
    + columns([])
    + columns([(2, 3, 4.0)])
)


@given(st.lists(st.integers(0, max(len(TEXT), len(COLUMNS))), max_size=8))
def test_points_and_flushes_come_in_order_however_the_bytes_are_cut(cuts: list[int]) -> None:
    for frames, whole in ((text_frames(), TEXT), (ColumnFrames(), COLUMNS)):
        places = [0, *sorted(cuts), len(whole)]
        pieces = [whole[begin:end] for begin, end in pairwise(places)]
        assert said(frames, pieces) == EXPECTED


def test_the_last_line_needs_no_end() -> None:
    assert said(text_frames(), [b"a 1 2\nb 3 4"]) == [("a", 1, 2.0), ("b", 3, 4.0)]


@pytest.mark.parametrize(
    "line",
    [b"a", b"a 1", b"a x 1", b"a 1 x", b"{ 1 1", b"a 9223372036854775807 1", b"\xff 1 1",
     b"#flush ", b"#flush x", b"#flush -1", b"a\x01 1 1"],
)  # fmt: skip
def test_what_is_no_line_is_told_with_its_number_and_what_stands_before_it_is_taken(
    line: bytes,
) -> None:
    frames = text_frames()
    events = frames.feed(b"a 1 1\n\n" + line + b"\na 2 2\n")
    if not line.startswith(b"#"):
        assert len(next(events).times) == 1  # type: ignore[union-attr]  # points
    with pytest.raises(BadLine) as caught:
        list(events)
    assert caught.value.line == 3


def test_a_line_that_does_not_end_has_a_bound() -> None:
    with pytest.raises(BadLine):
        text_frames().feed(b"a" * (LINE_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "body",
    [
        pack("<BI", 2, FRAME_BYTES_MAX + 1),
        pack("<BI", 9, 0),
        pack("<BI", 3, 3) + b"abc",
        pack("<BI", 2, 0),
        pack("<BII", 2, 4, 1),
        pack("<BI", 1, 1) + b"x",
        columns([(0, 1, 1.0)]),
        names(["a"]) + columns([(1, 1, 1.0)]),
        names(["a"]) + columns([(0, 2**63 - 1, 1.0)]),
        names(["a"])[:-1],
        b"\1",
    ],
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(BadPoints):
        said(ColumnFrames(), [body])


def test_a_request_has_so_many_names_at_most() -> None:
    frames = ColumnFrames()
    for begin in range(0, NAMES_MAX, 1 << 15):
        assert said_names(frames, range(begin, begin + (1 << 15)))
    with pytest.raises(BadPoints):
        said_names(frames, range(1))


def test_a_frame_of_very_many_points_is_read_over_turns() -> None:
    """Issue 14: which series a hundred thousand points are of was found in one step, of 10 ms."""
    count = 3 * STEP_POINTS + 5
    frames = ColumnFrames()
    assert list(frames.feed(names(["a", "b"]))) == []
    events = list(frames.feed(columns([(it % 2, it, float(it)) for it in range(count)])))
    points = [it for it in events if isinstance(it, Points)]
    assert [len(it) for it in points] == [STEP_POINTS] * 3 + [5]
    assert np.concatenate([it.times for it in points]).tolist() == list(range(count))
    assert [it.name for it in points[-1].series] == ["a", "b"]


def test_lines_that_say_nothing_take_their_turns_too() -> None:
    events = list(text_frames().feed(b"\n" * (3 * STEP_LINES)))
    assert len(events) >= 2
    assert all(isinstance(it, Pause) for it in events)
    events = list(text_frames().feed(b"".join(b"s%d 1 2\n" % it for it in range(2 * STEP_LINES))))
    assert sum(len(it) for it in events if isinstance(it, Points)) == 2 * STEP_LINES
    assert max(len(it) for it in events if isinstance(it, Points)) <= STEP_LINES / 4


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"[]", []),
        (b" [ ] \n", []),
        (b'["a"]', ["a"]),
        (b' [ "a" ,\t"b{c=\\"d\\"}" ]\r\n', ["a", 'b{c="d"}']),
        (b'["\\u0061"]', ["a"]),
        (b"", None),
        (b"[", None),
        (b"]", None),
        (b'"a"', None),
        (b'["a"', None),
        (b'["a",]', None),
        (b'[,"a"]', None),
        (b'["a" "b"]', None),
        (b'["a"]x', None),
        (b'["a', None),
        (b"[1]", None),
        (b'["\xff"]', None),
        (b'[["a"]]', None),
    ],
)
def test_names_are_read_one_by_one_as_json_has_them(body: bytes, wanted: list[str] | None) -> None:
    if wanted is None:
        with pytest.raises(BadPoints):
            list(_texts(body))
    else:
        assert list(_texts(body)) == wanted == json.loads(body)


def test_thousands_of_names_are_read_over_turns() -> None:
    frames = ColumnFrames()
    assert list(frames.feed(names([f"s{it}" for it in range(1200)]))) == [PAUSE] * 4
    assert said(frames, [columns([(1199, 5, 0.5)])]) == [("s1199", 5, 0.5)]


@pytest.mark.parametrize("is_text", [True, False])
def test_names_with_many_labels_are_fewer_in_a_turn(*, is_text: bool) -> None:
    """200 names of 30 long labels each were read in one step, 58 ms."""
    labels = ",".join(f"{'k' * 50}{it}={'v' * 100}" for it in range(30))
    texts = [f"s{it}{{{labels}}}" for it in range(200)]
    if is_text:
        body = "".join(f"{it} 5 1\n" for it in texts).encode()
        turns = [it for it in text_frames().feed(body) if isinstance(it, Points)]
        assert len(turns) >= 6
    else:
        assert list(ColumnFrames().feed(names(texts))) == [PAUSE] * (200 * 31 // 310)


def said_names(frames: ColumnFrames, numbers: range) -> bool:
    return all(it == PAUSE for it in frames.feed(names([f"s{it}" for it in numbers])))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_bytes_are_frames_or_refused(pieces: list[bytes]) -> None:
    for frames in (text_frames(), ColumnFrames()):
        try:
            said(frames, pieces)
        except (BadPoints, BadSeries):
            continue


@given(st.integers(0, len(COLUMNS) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_refused_or_another_point(place: int, change: int) -> None:
    body = bytearray(COLUMNS)
    body[place] ^= change
    try:
        said(ColumnFrames(), [bytes(body)])
    except (BadPoints, BadSeries):
        return
