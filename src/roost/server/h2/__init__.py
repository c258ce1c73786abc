"""HTTP/2, as much of it as a gRPC server needs; sans I/O."""

from roost.server.h2.connection import STREAMS_MAX, Connection, Owner, Unfinished
from roost.server.h2.frames import PREFACE, ConnectionBroken, ErrorCode
from roost.server.h2.streams import STREAM_WINDOW_BYTES, Answer, Stream

__all__ = [
    "PREFACE",
    "STREAMS_MAX",
    "STREAM_WINDOW_BYTES",
    "Answer",
    "Connection",
    "ConnectionBroken",
    "ErrorCode",
    "Owner",
    "Stream",
    "Unfinished",
]
