"""Messages that clients send compressed (grpc: doc/compression.md): gzip, as etcd takes it.

Answers are not compressed: no client needs it, and the time is the loop's.

Full?  What comes out is at most as large as a message may be, however small what went in.
"""

import zlib

from roost.errors import PeerFault

ENCODINGS = (b"identity", b"gzip")
_GZIP_WINDOW = 31


class BadCompression(PeerFault):
    """Bytes are not gzip's."""


class TooLarge(PeerFault):
    """What comes out is larger than a message may be."""


def inflate(data: bytes, bytes_max: int) -> bytes:
    """The message in compressed bytes.

    Raises:
        BadCompression: they are no whole message.
        TooLarge: it has more than `bytes_max` bytes.

    """
    reader = zlib.decompressobj(_GZIP_WINDOW)
    try:
        message = reader.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise BadCompression(str(error)) from error
    if len(message) > bytes_max:
        raise TooLarge
    if not reader.eof or reader.unused_data:
        raise BadCompression("it does not end where the message does")
    return message
