"""HTTP/2, as much of it as a gRPC server needs; sans I/O."""

from roost.server.h2.connection import Answer, Connection, Owner, Stream
from roost.server.h2.frames import PREFACE, ConnectionBroken, ErrorCode

__all__ = ["PREFACE", "Answer", "Connection", "ConnectionBroken", "ErrorCode", "Owner", "Stream"]
