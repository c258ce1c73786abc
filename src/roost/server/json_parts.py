"""A long answer as JSON, made of its parts while they come (`roost.call.Sending`).

A message is fields one after another.  Those that have come whole are decoded and written as JSON,
some at a time, and those of one list go into one array however many parts they came in.  A field
that is a long message itself, as a range within a transaction's answer, is written in the same way
while it comes.

Full?  What has come and was not written is at most one part and one field that is no long message;
whoever sends stops at `pending_bytes` until `on_drain`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple, cast

import msgspec
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from roost.server.json_answer import to_json

# Fields of that many bytes are decoded in one turn of the loop, or so.
STEP_BYTES = 16 << 10
STEP_FIELDS = 64
# An answer of no more is written in the turn in which it comes: half a millisecond at most.
SHORT_BYTES = 2 << 10
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


class _Head(NamedTuple):
    """What stands before a field: its number, where it begins, and where it ends."""

    number: int
    is_delimited: bool
    begin: int
    end: int


def _head_at(data: bytes, offset: int) -> _Head | None:
    """The head of the field at `offset`; None when that has not come."""
    tag, offset = _varint(data, offset)
    if not offset:
        return None
    size, offset = _varint(data, offset)
    if not offset:
        return None
    if tag & 7 == _VARINT:
        return _Head(tag >> 3, is_delimited=False, begin=offset, end=offset)
    assert tag & 7 == _LENGTH_DELIMITED, "our answers have no others"
    return _Head(tag >> 3, is_delimited=True, begin=offset, end=offset + size)


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


class _Level:
    """One message that is written, field by field, as a JSON object."""

    def __init__(self, kind: type[Message], stop: int) -> None:
        """Nothing is written; it ends at the byte `stop` of the answer, if that is not 0."""
        self.kind = kind
        self.stop = stop
        # The list that was written last, and may go on; "" = none.
        self._open = ""
        self._is_begun = False

    def write(self, group: bytes) -> bytes:
        """Whole fields as JSON, behind what was written before."""
        said = bytearray()
        for name, value in to_json(self.kind.FromString(group)).items():
            text = msgspec.json.encode(value)
            is_list = isinstance(value, list)
            said += self._name(name, is_list=is_list)
            said += text[1:-1] if is_list else text
        return bytes(said)

    def begin(self, field: "_Inner") -> bytes:
        """What stands before a field that is a message and written elsewhere."""
        return self._name(field.name, is_list=field.is_list)

    def _name(self, name: str, *, is_list: bool) -> bytes:
        """What stands before the value of a field, or what a list of it has in it."""
        if is_list and name == self._open:
            return b","
        before = "]," if self._open else "," if self._is_begun else "{"
        self._is_begun = True
        self._open = name if is_list else ""
        return f'{before}"{name}":{"[" if is_list else ""}'.encode()

    def end(self) -> bytes:
        """The end of the object."""
        if not self._is_begun:
            return b"{}"
        return b"]}" if self._open else b"}"


class Writer:
    """Writes one message as JSON while it comes."""

    def __init__(self, kind: type[Message]) -> None:
        """Nothing has come."""
        # The message, and those within it that have begun and not ended.
        self._levels = [_Level(kind, 0)]
        self._rest = b""
        # Where in the answer the rest begins.
        self._rest_at = 0

    def feed(self, part: bytes) -> Iterator[bytes]:
        """The JSON of what is whole now, a bounded step each."""
        data = self._rest + part if self._rest else part
        begin = offset = count = 0
        while True:
            level = self._levels[-1]
            is_end = self._rest_at + offset == level.stop > 0
            head = None if is_end else _head_at(data, offset)
            inner = _long_message(level.kind, head)
            is_more = head is not None and (inner is not None or head.end <= len(data))
            if is_more and head is not None and inner is None:
                offset = head.end
                count += 1
            is_full = count >= STEP_FIELDS or offset - begin >= STEP_BYTES
            if offset > begin and (is_full or inner is not None or not is_more):
                yield level.write(data[begin:offset])
                begin, count = offset, 0
            if is_end:
                self._levels.pop()
                yield level.end()
            elif inner is not None and head is not None:
                yield level.begin(inner)
                self._levels.append(_Level(inner.kind, self._rest_at + head.end))
                begin = offset = head.begin
            elif not is_more:
                break
        self._rest = data[offset:]
        self._rest_at += offset

    def end(self) -> bytes:
        """The end of the object."""
        [level] = self._levels
        return level.end()


class _Inner(NamedTuple):
    """A field that is a message, and of what kind."""

    name: str
    is_list: bool
    kind: type[Message]


def _long_message(kind: type[Message], head: _Head | None) -> _Inner | None:
    """The field of a kind of message, if it is a message that is too long for one step."""
    if head is None or not head.is_delimited or head.end - head.begin <= STEP_BYTES:
        return None
    field = kind.DESCRIPTOR.fields_by_number.get(head.number)
    if field is None or field.message_type is None:
        return None
    made = cast("Descriptor", field.message_type)  # whichever implementation's it is
    return _Inner(field.name, field.is_repeated, GetMessageClass(made))


async def json_of(kind: type[Message], answer: bytes | JsonParts) -> AsyncIterator[bytes]:
    """An answer as JSON, a bounded part of it in each turn of the loop.

    Raises:
        Exception: what `JsonParts.fail` was told.

    """
    if isinstance(answer, bytes) and len(answer) <= SHORT_BYTES:
        yield msgspec.json.encode(to_json(kind.FromString(answer)))
        return
    writer = Writer(kind)
    part = answer if isinstance(answer, bytes) else await answer.next_part()
    while part:
        for piece in writer.feed(part):
            yield piece
            await asyncio.sleep(0)
        part = b"" if isinstance(answer, bytes) else await answer.next_part()
    yield writer.end()
