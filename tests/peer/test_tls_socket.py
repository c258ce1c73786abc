"""A TLS connection as a socket: all bytes in order, however buffers and the network cut them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from roost.peer.tls_socket import TlsSocket

PIECE_BYTES = 16 << 10
SIZES = st.one_of(st.integers(0, 300), st.integers(0, 3 * PIECE_BYTES))


class Taking(TlsSocket):
    """Takes as many pieces as it has room for; a piece is one record."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.pieces: list[bytes] = []

    def send(self, data: Any) -> int:
        if not self.room:
            raise BlockingIOError
        self.room -= 1
        self.pieces.append(bytes(data))
        return len(data)


@given(st.lists(SIZES, min_size=1, max_size=12), st.integers(1, 8))
def test_buffers_leave_in_records_that_are_full_and_nothing_is_joined_that_does_not_go(
    sizes: list[int], room: int
) -> None:
    """All that waited was joined each time: of 64 MiB a record each (2026-11-27)."""
    whole = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    offset, buffers = 0, []
    for size in sizes:
        buffers.append(memoryview(whole)[offset : offset + size])
        offset += size
    sock = Taking(room)
    sent = sock.sendmsg(buffers)
    assert sent == min(len(whole), room * PIECE_BYTES)
    assert b"".join(sock.pieces) == whole[:sent]
    assert all(len(it) == PIECE_BYTES for it in sock.pieces[:-1])
