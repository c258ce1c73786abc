"""What a connection keeps of one request and its answer."""

from collections import deque
from typing import Any, Final

from roost.server.h2 import frames as f

# Most messages fit; what is larger asks for more (`server.bodies`).
STREAM_WINDOW_BYTES: Final = 64 << 10


class Stream:
    """One request and its answer.  `state` is the owner's."""

    __slots__ = (
        "credit",
        "id",
        "is_local_closed",
        "is_remote_closed",
        "looks",
        "offset",
        "pending",
        "pending_bytes",
        "receive_window",
        "send_credit",
        "state",
        "trailers",
    )

    def __init__(self, stream_id: int) -> None:
        """Opened by the client's HEADERS."""
        self.id = stream_id
        # What may be sent, beyond the initial window of the connection: so a client that changes
        # that one moves every stream at once, whatever their number.
        self.send_credit = 0
        self.receive_window = STREAM_WINDOW_BYTES
        # Bytes that were used and are not given back to the client yet.
        self.credit = 0
        self.is_remote_closed = False
        self.is_local_closed = False
        # What is still to be sent, the first of it from `offset` on.
        self.pending: deque[bytes] | None = None
        self.offset = 0
        self.pending_bytes = 0
        # How often somebody has looked since its window was used up.
        self.looks = 0
        self.trailers: bytes | None = None
        # The owner's object, until everything was said; Any because this layer never looks at it.
        self.state: Any = None


class Answer:
    """The header and trailer blocks of an answer that is sent whole, laid out once."""

    def __init__(self, headers: bytes, trailers: bytes) -> None:
        """Both are complete blocks."""
        self.headers = headers
        self.trailers = trailers
        # Without the stream id, the last four bytes of a frame's head.
        self.headers_head = f.head(len(headers), f.HEADERS, f.END_HEADERS, 0)[:-4]
        self.trailers_head = f.head(len(trailers), f.HEADERS, f.END_HEADERS | f.END_STREAM, 0)[:-4]
