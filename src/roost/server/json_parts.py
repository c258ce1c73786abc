"""A long answer as JSON, made of its parts while they come (`roost.call.Sending`).

A message is fields one after another.  Those that have come whole are decoded and written as JSON,
some at a time, and those of one list go into one array however many parts they came in.

Full?  What has come and was not written is at most one part and one field; whoever sends stops at
`pending_bytes` until `on_drain`.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

from google.protobuf.message import Message

from roost.server.json_answer import to_json

# Fields of that many bytes are decoded in one turn of the loop, or so.
STEP_BYTES = 16 << 10
STEP_FIELDS = 64
_LENGTH_DELIMITED, _VARINT = 2, 0


class JsonParts:
    """An answer in parts, as its reader sees it."""

    def __init__(self, size: int) -> None:
        """So many bytes are to come."""
        self._left = size
        self._parts: deque[bytes] = deque()
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self.on_drain: Callable[[], None] | None = None
        self.pending_bytes = 0
        self.is_over = False

    def send(self, part: bytes) -> None:
        """The next bytes."""
        self._left -= len(part)
        if not self.is_over and part:
            self._parts.append(part)
            self.pending_bytes += len(part)
            self._news.set()

    def fail(self, error: Exception) -> None:
        """No more will come, though more was to."""
        self._error = error
        self.is_over = True
        self._news.set()

    def leave(self) -> None:
        """Nobody reads any more."""
        self.is_over = True
        on_drain, self.on_drain = self.on_drain, None
        if on_drain is not None:
            on_drain()

    async def next_part(self) -> bytes:
        """The next bytes; b"" at the end.

        Raises:
            Exception: what `fail` was told.

        """
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._left <= 0:
                return b""
            self._news.clear()
            await self._news.wait()
        part = self._parts.popleft()
        self.pending_bytes -= len(part)
        if not self._parts and self.on_drain is not None:
            self.on_drain()
        return part


class Fields:
    """Cuts bytes that come in parts into groups of whole fields."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._rest = b""

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Groups of fields that are whole now, each of a bounded number or one alone."""
        data = self._rest + part if self._rest else part
        begin = offset = 0
        count = 0
        while (end := _end_of_field(data, offset)) > 0:
            offset = end
            count += 1
            if count >= STEP_FIELDS or offset - begin >= STEP_BYTES:
                yield data[begin:offset]
                begin, count = offset, 0
        if offset > begin:
            yield data[begin:offset]
        self._rest = data[offset:]


def _end_of_field(data: bytes, offset: int) -> int:
    """Where the field at `offset` ends; 0 when that has not come."""
    tag, offset = _varint(data, offset)
    if not offset:
        return 0
    number, offset = _varint(data, offset)
    if not offset or tag & 7 == _VARINT:
        return offset
    assert tag & 7 == _LENGTH_DELIMITED, "our answers have no others"
    return offset + number if offset + number <= len(data) else 0


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """A number and where it ends; 0 when that has not come."""
    number = shift = 0
    while offset < len(data):
        byte = data[offset]
        number |= (byte & 127) << shift
        offset += 1
        if byte < 128:
            return number, offset
        shift += 7
    return 0, 0


class Writer:
    """Writes the fields of one message, group by group, as one JSON object."""

    def __init__(self, kind: type[Message]) -> None:
        """Nothing is written."""
        self._kind = kind
        # The list that was written last, and may go on; "" = none.
        self._open = ""
        self._is_begun = False

    def write(self, group: bytes) -> bytes:
        """JSON that follows what was written before."""
        said: list[str] = []
        for name, value in to_json(self._kind.FromString(group)).items():
            text = json.dumps(value, separators=(",", ":"))
            if isinstance(value, list) and name == self._open:
                said.append("," + text[1:-1])
                continue
            said.append(("]," if self._open else "," if self._is_begun else "{") + f'"{name}":')
            self._is_begun = True
            self._open = name if isinstance(value, list) else ""
            said.append(text[:-1] if self._open else text)
        return "".join(said).encode()

    def end(self) -> bytes:
        """The end of the object."""
        if not self._is_begun:
            return b"{}"
        return b"]}" if self._open else b"}"


async def json_of(kind: type[Message], answer: bytes | JsonParts) -> AsyncIterator[bytes]:
    """An answer as JSON, a bounded part of it in each turn of the loop.

    Raises:
        Exception: what `JsonParts.fail` was told.

    """
    fields, writer = Fields(), Writer(kind)
    part = answer if isinstance(answer, bytes) else await answer.next_part()
    while part:
        for group in fields.feed(part):
            yield writer.write(group)
            await asyncio.sleep(0)
        part = b"" if isinstance(answer, bytes) else await answer.next_part()
    yield writer.end()
