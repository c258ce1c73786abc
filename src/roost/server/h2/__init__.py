"""HTTP/2, as much of it as a gRPC server needs; sans I/O."""

from roost.server.h2.connection import STREAMS_MAX, Answer, Connection, Owner, Stream, Unfinished
from roost.server.h2.frames import PREFACE, ConnectionBroken, ErrorCode

__all__ = [
    "PREFACE",
    "STREAMS_MAX",
    "Answer",
    "Connection",
    "ConnectionBroken",
    "ErrorCode",
    "Owner",
    "Stream",
    "Unfinished",
]
