"""Answers over HTTP/1.1 as bytes: whole, by a length, in chunks, and to the end of a connection."""

import pytest

from roost.server.http1_turn import lines_of
from tests.server.turns import Line, turn_on


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("GET", 200, b"HTTP/1.1 200 OK\r\na: b\r\nc: d\r\ncontent-length: 4\r\n\r\nbody"),
        ("HEAD", 200, b"HTTP/1.1 200 OK\r\na: b\r\nc: d\r\ncontent-length: 4\r\n\r\n"),
        ("DELETE", 204, b"HTTP/1.1 204 No Content\r\na: b\r\nc: d\r\n\r\n"),
    ],
)
def test_a_whole_answer_is_one_write(method: str, status: int, said: bytes) -> None:
    """RFC 9110, 8.6: who answers 204 says no length; a HEAD is told that of a GET."""
    line = Line()
    turn = turn_on(line, method=method)
    turn.answer(status, ((b"a", b"b"),), b"body", lines_of(((b"c", b"d"),)))
    assert line.sent == said
    assert line.over == [turn]


def test_a_head_waits_for_the_first_piece_only_if_a_length_was_said() -> None:
    line = Line()
    turn = turn_on(line)
    turn.begin(200, [(b"content-length", b"4")], length=4)
    assert line.take() == b""
    turn.send(b"bo")
    assert line.take() == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo"
    turn.send(b"dy")
    turn.end()
    assert line.take() == b"dy"
    turn = turn_on(line)
    turn.begin(200, [])
    assert line.take() == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    turn.send(b"0123456789abcdef")
    turn.send(b"")
    turn.end()
    turn.end()
    assert line.take() == b"10\r\n0123456789abcdef\r\n0\r\n\r\n"
    assert len(line.over) == 2


def test_a_last_piece_and_the_end_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    writes: list[bytes] = []
    monkeypatch.setattr(line, "write", writes.append)
    turn = turn_on(line)
    turn.begin(200, [])
    turn.end(b"0123456789abcdef")
    assert writes[1:] == [b"10\r\n0123456789abcdef\r\n0\r\n\r\n"]
    turn.end(b"more")
    turn = turn_on(line)
    turn.begin(200, [(b"content-length", b"2")], length=2)
    turn.end(b"ab")
    assert writes[2:] == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"]
    turn = turn_on(line, method="HEAD")
    turn.begin(200, [])
    turn.end(b"a body that nobody is sent")
    assert writes[3:] == [b"HTTP/1.1 200 OK\r\n\r\n"]
    assert len(line.over) == 3


def test_a_length_is_kept_or_the_connection_ends() -> None:
    line = Line()
    turn = turn_on(line)
    turn.begin(200, [], length=4)
    with pytest.raises(ValueError, match="longer"):
        turn.send(b"12345")
    turn.send(b"123")
    turn.end()
    assert not turn.keeps_alive
    turn = turn_on(line, method="HEAD")
    turn.begin(200, [], length=4)
    turn.end()
    assert turn.keeps_alive


def test_who_knows_no_chunks_hears_to_the_end_of_the_connection() -> None:
    line = Line()
    turn = turn_on(line, is_old=True)
    turn.begin(200, [])
    turn.send(b"1")
    turn.end()
    assert line.sent == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n1"
    assert not turn.keeps_alive


@pytest.mark.parametrize("wrong", [b"a\r\nb: c", b"a\nb", b"a\rb"])
def test_a_field_does_not_begin_another_line(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        lines_of(((b"x", wrong),))


def test_an_answer_that_cannot_go_on_ends_its_connection() -> None:
    line = Line()
    turn = turn_on(line)
    turn.begin(200, [])
    turn.abandon()
    turn.abandon()
    turn.send(b"more")
    turn.end()
    assert (turn.keeps_alive, line.over) == (False, [turn])
    assert not line.sent.endswith(b"0\r\n\r\n")
