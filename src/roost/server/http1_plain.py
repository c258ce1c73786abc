"""Requests over HTTP/1.1 as nearly all are, read in one step (RFC 9112), sans I/O.

A parser that takes any bytes calls back for each part of a head, which costs more than most
requests.  One that has come whole, and of which nothing is out of the ordinary, is read here;
whatever else comes is None, and llhttp reads it from its first byte.  So nothing is read here that
llhttp would refuse, or understand otherwise: `tests/server/test_http1_plain.py` compares both.

    method   GET, PUT, POST or DELETE; a path, and perhaps a query, in ASCII and without "#"
    fields   one a line, ended by CR LF; of those that say how the body comes, or whether the
             connection ends, only one length, and that the connection stays
    sizes    a head of HEAD_BYTES_MAX, a body of BODY_BYTES_MAX
"""

import re
from typing import Final, NamedTuple

HEAD_BYTES_MAX, BODY_BYTES_MAX = 1 << 10, 8 << 10
_END: Final = b"\r\n\r\n"
# Nothing is tried twice (possessive): a head that is no such one costs a look at each byte.
_HEAD: Final = re.compile(
    rb"(GET|PUT|POST|DELETE) (/[!\"$-~]*+) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+)\r\n"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,5}")
# They say something that is not read here.
_OTHERS: Final = frozenset(
    {b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer", b"proxy-connection"}
)
_CONNECTION, _CONTENT_LENGTH, _STAYS = b"connection", b"content-length", b"keep-alive"


class Plain(NamedTuple):
    """A whole request, and where what comes behind it begins; names of fields in small letters."""

    method: str
    path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stop: int


def plain_request(data: bytes, start: int) -> Plain | None:
    """The request that begins there, or None: it is another's to read."""
    end = data.find(_END, start, start + HEAD_BYTES_MAX)
    if end < 0:
        return None
    stop = end + len(_END)
    found = _HEAD.fullmatch(data, start, stop)
    if found is None:
        return None
    method, target, lines = found.groups()
    headers: list[tuple[bytes, bytes]] = []
    length = -1
    for line in lines.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if not name:
            continue  # behind the last
        name, value = name.lower(), value.lstrip(b"\t ")
        if name == _CONTENT_LENGTH:
            if length >= 0 or _LENGTH.fullmatch(value) is None:
                return None
            length = int(value)
        elif name in _OTHERS or (name == _CONNECTION and value.lower() != _STAYS):
            return None
        headers.append((name, value))
    body = b""
    if length > 0:
        if length > BODY_BYTES_MAX or len(data) - stop < length:
            return None
        body = data[stop : stop + length]
        stop += length
    path, _, query = target.partition(b"?")
    return Plain(method.decode("ascii"), path, query, headers, body, stop)
