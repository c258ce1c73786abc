"""Record batches of Arrow out of a stream of bytes, as these come; for members and clients.

Sans I/O.  Arrow's stream (columnar format, "IPC streaming format") is one message after the other:

     0  u32  0xFFFFFFFF
     4  u32  n, bytes of the description; 0 ends the stream
     8       the description, a FlatBuffer `Message`: what follows, and how long its body is
     8 + n   the body

The library reads from files only: it would wait within a message for bytes that have not come.  So
messages are cut out here, by the few fields of a description that say how long a body is, what it
is for and whether it is compressed, and the library is given whole ones: the schema, the
dictionaries that hold, and one batch.

What comes from outside is bounded before the library sees it: a message by `message_bytes_max`, a
body that is compressed is refused, for what it comes to is bounded by nothing, and what a batch
says of itself is checked against the bytes that it has (`validate`).

Needs the extra `roost[arrow]`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Any

from roost.errors import BadArrow, PackageMissing
from roost.extras import command_for

try:
    import pyarrow as pa
    import pyarrow.compute  # where types are changed, it would be loaded by the loop
    import pyarrow.ipc
except ImportError as error:
    raise PackageMissing(
        f"Arrow needs pyarrow, and {error.name} is not installed: {command_for('arrow')}"
    ) from error

__all__ = ["MESSAGE_BYTES_MAX", "STREAM", "BadArrow", "Batch", "Batches", "pa"]

# What a stream says it is, over HTTP.
STREAM = "application/vnd.apache.arrow.stream"
MESSAGE_BYTES_MAX = 8 << 20
# All dictionaries that hold at one time, and a description.
DICTIONARY_BYTES_MAX, DESCRIPTION_BYTES_MAX = 8 << 20, 1 << 20
_BEGIN = Struct("<II")
_CONTINUED = 0xFFFFFFFF
_END = _BEGIN.pack(_CONTINUED, 0)
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_SHORT, _SIGNED, _WHOLE, _LONG = Struct("<H"), Struct("<i"), Struct("<I"), Struct("<q")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows, and what was said beside them."""

    rows: Any  # pyarrow.RecordBatch; the library has no types
    said: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message; of a dictionary which it is, and whether it adds to what there was."""

    kind: int
    data: bytes
    dictionary: int = 0
    is_added: bool = False


class Batches:
    """One stream on its way."""

    def __init__(
        self,
        check: Callable[[Any], object] = lambda _schema: None,
        *,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        """Nothing has come; `check` is asked about the schema before any row is read."""
        self._check = check
        self._bytes_max = message_bytes_max
        self._rest = bytearray()
        self._head = b""
        self._dictionaries: dict[int, list[bytes]] = {}
        self._dictionary_bytes = 0
        self._is_over = False
        self.schema: Any = None

    def feed(self, data: bytes) -> Iterator[Batch]:
        """Batches that are whole with more bytes; nothing is lost between two steps.

        Raises:
            BadArrow: it is none; what was yielded before stays so.

        """
        for message in self.messages(data):
            found = self.read(message)
            if found is not None:
                yield found

    def messages(self, data: bytes) -> Iterator["Message"]:
        """Messages that are whole with more bytes, each of which is to be read before the next.

        Raises:
            BadArrow: there is none.

        """
        self._rest += data
        while (message := self._next()) is not None:
            yield message

    def bytes_of(self, message: "Message") -> int:
        """How many bytes are looked at to read it: those of dictionaries that hold are as well."""
        return len(message.data) + (self._dictionary_bytes if message.kind == _RECORDS else 0)

    def read(self, message: "Message") -> Batch | None:
        """The rows of a message; None when it has none.  Of megabytes this takes some ms.

        Raises:
            BadArrow: it is none.

        """
        try:
            return self._take(message)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise BadArrow(f"this is no stream of Arrow's: {error}") from error

    def end(self) -> None:
        """Nothing more comes.  A stream need not say its end.

        Raises:
            BadArrow: it ends within a message.

        """
        if self._rest:
            raise BadArrow("the stream ends within a message")

    def _next(self) -> Message | None:
        if self._is_over and self._rest:
            raise BadArrow("something follows the end of the stream")
        if len(self._rest) < _BEGIN.size:
            return None
        mark, size = _BEGIN.unpack_from(self._rest)
        if mark != _CONTINUED:
            raise BadArrow("a message begins with four bytes of ones: is this Arrow's stream?")
        if not size:
            del self._rest[: _BEGIN.size]
            self._is_over = True
            return self._next()
        if size > DESCRIPTION_BYTES_MAX:
            raise BadArrow(f"a description of {size} bytes; {DESCRIPTION_BYTES_MAX} are the most")
        whole = _BEGIN.size + size
        if len(self._rest) < whole:
            return None
        try:
            found, body_bytes = _described(bytes(self._rest[_BEGIN.size : whole]))
        except StructError as error:
            raise BadArrow("a message without a description") from error
        if not 0 <= body_bytes <= self._bytes_max:
            raise BadArrow(
                f"a batch of {body_bytes} bytes: {self._bytes_max} are the most; "
                "write fewer rows at a time, max_chunksize=100_000"
            )
        whole += body_bytes
        if len(self._rest) < whole:
            return None
        with memoryview(self._rest) as rest:
            data = bytes(rest[:whole])
        del self._rest[:whole]
        return Message(found.kind, data, found.dictionary, found.is_added)

    def _take(self, message: Message) -> Batch | None:
        if message.kind == _SCHEMA:
            if self._head:
                raise BadArrow("a second schema in one stream")
            with pa.ipc.open_stream(message.data + _END) as reader:
                self.schema = reader.schema
            self._check(self.schema)
            self._head = message.data
            return None
        if not self._head:
            raise BadArrow("rows before a schema")
        if message.kind == _DICTIONARY:
            held = self._dictionaries.setdefault(message.dictionary, [])
            if not message.is_added:
                self._dictionary_bytes -= sum(map(len, held))
                held.clear()
            held.append(message.data)
            self._dictionary_bytes += len(message.data)
            if self._dictionary_bytes > DICTIONARY_BYTES_MAX:
                raise BadArrow(f"dictionaries of more than {DICTIONARY_BYTES_MAX} bytes")
            return None
        if message.kind != _RECORDS:
            raise BadArrow(f"a message of kind {message.kind}: batches of rows are taken")
        known = [it for parts in self._dictionaries.values() for it in parts]
        whole = b"".join([self._head, *known, message.data, _END])
        with pa.ipc.open_stream(pa.py_buffer(whole)) as reader:
            rows, said = reader.read_next_batch_with_custom_metadata()
        rows.validate(full=True)
        return Batch(rows, dict(said or {}))


def _described(data: bytes) -> tuple[Message, int]:
    """What a description says, and of how many bytes the body is.

    Raises:
        BadArrow: it says what is not taken.
        StructError: it is none.

    """
    message = _followed(data, 0)
    kind_at, header_at, length_at = (_field(data, message, it) for it in (1, 2, 3))
    kind = data[kind_at] if 0 < kind_at < len(data) else 0
    body_bytes = _LONG.unpack_from(data, length_at)[0] if length_at else 0
    found = Message(kind, b"")
    if kind in (_DICTIONARY, _RECORDS) and header_at:
        rows = _followed(data, header_at)
        if kind == _DICTIONARY:
            found, rows = _dictionary(data, rows)
        if rows and _field(data, rows, 3):
            raise BadArrow("the bodies are compressed: write them as they are, compression=None")
    return found, body_bytes


def _dictionary(data: bytes, table: int) -> tuple[Message, int]:
    """Which one it is, and where its values are described."""
    id_at, rows_at, added_at = (_field(data, table, it) for it in (0, 1, 2))
    number = _LONG.unpack_from(data, id_at)[0] if id_at else 0
    is_added = bool(added_at and data[added_at : added_at + 1] == b"\1")
    return Message(_DICTIONARY, b"", number, is_added), _followed(data, rows_at) if rows_at else 0


def _followed(data: bytes, place: int) -> int:
    """Where an offset of a FlatBuffer leads to."""
    return place + int(_WHOLE.unpack_from(data, place)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table is; 0 when it is not there."""
    described = table - int(_SIGNED.unpack_from(data, table)[0])
    slot = 4 + 2 * number
    if described < 0:
        raise StructError("before the beginning")
    if slot + 2 > _SHORT.unpack_from(data, described)[0]:
        return 0
    offset = int(_SHORT.unpack_from(data, described + slot)[0])
    return table + offset if offset else 0
