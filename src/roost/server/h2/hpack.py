"""HPACK, the header compression of HTTP/2 (RFC 7541): the decoder, and what little we encode.

The decoder keeps the dynamic table and says of each block whether it changed it: blocks that do
not change it mean the same again, so a connection looks them up instead of decoding them.
Huffman-coded strings are looked up too, since clients repeat them.

A block may come in parts: each is decoded when it comes, so that no turn has all of a large one.

Full?  The dynamic table has the size we announced.  A block that decodes to more than
HEADER_LIST_BYTES_MAX is read on for the sake of the table alone, and no longer than
UNREAD_BYTES_MAX and SKIPPED_FIELDS_MAX; its request is refused, the connection goes on.  The
cache of strings is emptied when it has STRINGS_MAX entries.
"""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from roost.errors import PeerFault

HEADER_TABLE_BYTES: Final = 4096
HEADER_LIST_BYTES_MAX: Final = 16 << 10
ENTRY_OVERHEAD_BYTES: Final = 32
# Of a list that is too large, what is decoded only since it may go into the table.
UNREAD_BYTES_MAX: Final = 64 << 10
# Nobody sends so many fields that are not even looked at; with the 500 that a list may have they
# take three milliseconds, of which a part may have all.
SKIPPED_FIELDS_MAX: Final = 1024
STRINGS_MAX: Final = 512
_STRING_BYTES_CACHED_MAX: Final = 64

# Appendix A: the static table, entries 1 to 61.
_STATIC_TEXT: Final = (
    ":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=h"
    "ttps|:status=200|:status=204|:status=206|:status=304|:status=400|:status=404|:status"
    "=500|accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|acce"
    "pt|access-control-allow-origin|age|allow|authorization|cache-control|content-disposi"
    "tion|content-encoding|content-language|content-length|content-location|content-range"
    "|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|i"
    "f-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|p"
    "roxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-c"
    "ookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authentica"
    "te"
)
STATIC_TABLE: tuple[tuple[bytes, bytes], ...] = tuple(
    (row.partition("=")[0].encode(), row.partition("=")[2].encode())
    for row in _STATIC_TEXT.split("|")
)
# Appendix B: the code is canonical, so the lengths of its 257 codes (the last is EOS) say all.
_CODE_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a"
    "080b080606060505050606060606060607080f060c0a0d06070707070707070707070707070707070707"
    "070707070807080d130d0e060f05060506050606060507070606060506070605050607070707070f0b0e"
    "0d1c14161414161616171617171717171817181816171817171717151617161717181615141616171715"
    "1716161815161717151516151716171714161616171616171a1a1413161716191a1a1a1b1b1a18191315"
    "1a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b"
    "1b1b1b1a1e"
)
_EOS: Final = 256
# Fields of one byte, which stand in a table.
_INDEXED: Final = re.compile(rb"[\x81-\xfe]+")


class HpackError(PeerFault):
    """A header block cannot be decoded; the connection is of no more use."""


class _Incomplete(Exception):
    """The field goes on in the next frame of the block."""


@dataclass(frozen=True, slots=True)
class _Automaton:
    """Huffman decoding four bits at a time; at `state << 4 | bits` stands what they lead to.

    No code is shorter than five bits, so four of them end one symbol at the most.
    """

    states: list[int]
    # The symbol that ends within the four bits, or -1.
    symbols: list[int]
    # Whether a string may end there: what is left over is padding, at most seven ones.
    is_end: list[bool]


def _codes() -> dict[str, int]:
    """Every symbol's code, as zeros and ones; the code is canonical (appendix B)."""
    codes: dict[str, int] = {}
    code = length = 0
    for symbol in sorted(range(257), key=lambda it: (_CODE_LENGTHS[it], it)):
        code <<= _CODE_LENGTHS[symbol] - length
        length = _CODE_LENGTHS[symbol]
        codes[f"{code:0{length}b}"] = symbol
        code += 1
    return codes


def _automaton() -> _Automaton:
    codes = _codes()
    prefixes = sorted({code[:size] for code in codes for size in range(len(code))}, key=len)
    numbers = {prefix: number for number, prefix in enumerate(prefixes)}
    states: list[int] = []
    symbols: list[int] = []
    for prefix in prefixes:
        for bits in range(16):
            path, found = prefix, -1
            for bit in f"{bits:04b}":
                path += bit
                if path in codes:
                    found, path = codes[path], ""
            states.append(numbers[path])
            symbols.append(found)
    is_end = [len(prefix) < 8 and "0" not in prefix for prefix in prefixes]
    return _Automaton(states, symbols, is_end)


_AUTOMATON = _automaton()


def decode_huffman(data: bytes) -> bytes:
    """Decode a Huffman-coded string.

    Raises:
        HpackError: EOS is used, or the padding is wrong.

    """
    out = bytearray()
    states, symbols = _AUTOMATON.states, _AUTOMATON.symbols
    state = 0
    for byte in data:
        at = state << 4 | byte >> 4
        symbol = symbols[at]
        if symbol >= 0:
            if symbol == _EOS:
                raise HpackError("EOS in a string")
            out.append(symbol)
        at = states[at] << 4 | byte & 15
        symbol = symbols[at]
        if symbol >= 0:
            if symbol == _EOS:
                raise HpackError("EOS in a string")
            out.append(symbol)
        state = states[at]
    if not _AUTOMATON.is_end[state]:
        raise HpackError("the padding is not of ones, or too long")
    return bytes(out)


class Decoder:
    """One direction of one connection."""

    def __init__(self) -> None:
        """Begin with an empty dynamic table."""
        self._table: deque[tuple[bytes, bytes]] = deque()
        self._table_bytes = 0
        self._table_bytes_max = HEADER_TABLE_BYTES
        self._strings: dict[bytes, bytes] = {}
        # How many fields the last part had that was fed; what is passed in a run is one.
        self.fed_count = 0
        self._begin()

    def _begin(self) -> None:
        """A block begins."""
        self._changed = self._is_large = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._size = self._field_count = 0
        # What is decoded of a list that is too large, for the sake of the table.
        self._unread = UNREAD_BYTES_MAX
        # A field that goes on in the next part.
        self._rest = b""

    @property
    def rest_bytes(self) -> int:
        """What is kept of a block until more of it comes."""
        return len(self._rest)

    @property
    def list_bytes(self) -> int:
        """What the fields of the block so far take, as the standard counts (section 4.1)."""
        return self._size

    def decode(self, block: bytes) -> tuple[list[tuple[bytes, bytes]] | None, bool]:
        """Decode a whole header block; also say whether the dynamic table changed.

        A list that is too large is None; the table is what the client thinks it is all the same.

        Raises:
            HpackError: the block breaks the rules.

        """
        self.feed(block)
        return self.end()

    def feed(self, part: bytes) -> None:
        """Decode as much of a block as has come.

        Raises:
            HpackError: the block breaks the rules.

        """
        block = self._rest + part if self._rest else part
        offset, end = 0, len(block)
        count = 0
        try:
            while offset < end:
                count += 1
                if self._is_large:
                    offset = self._skip_field(block, offset)
                else:
                    offset = self._read_field(block, offset)
        except (IndexError, _Incomplete):
            self._rest = block[offset:]
        else:
            self._rest = b""
        finally:
            self.fed_count = count

    def end(self) -> tuple[list[tuple[bytes, bytes]] | None, bool]:
        """Say what the block was; as `decode`."""
        if self._rest:
            raise HpackError("the block ends early")
        fields, changed = self._fields, self._changed
        is_large = self._is_large
        self._begin()
        return (None, True) if is_large else (fields, changed)

    def _read_field(self, block: bytes, offset: int) -> int:
        """Take the field at `offset` into the list; return where the next one begins."""
        byte = block[offset]
        if byte & 0x80:
            index, offset = _read_int(block, offset, 7)
            item = self._lookup(index)
        elif byte & 0x40:
            item, offset = self._read_literal(block, offset, 6)
            self._insert(item)
        elif byte & 0x20:
            if self._fields:
                raise HpackError("a size update after the first field")
            limit, offset = _read_int(block, offset, 5)
            self._resize(limit)
            return offset
        else:
            item, offset = self._read_literal(block, offset, 4)
        self._size += len(item[0]) + len(item[1]) + ENTRY_OVERHEAD_BYTES
        if self._size > HEADER_LIST_BYTES_MAX:
            self._is_large = True
            self._fields = []
        else:
            self._fields.append(item)
        return offset

    def _skip_field(self, block: bytes, offset: int) -> int:
        """Pass the field at `offset` of a list that is too large: only the table has to know it."""
        run = _INDEXED.match(block, offset)
        if run is not None:
            return run.end()
        self._field_count += 1
        if self._field_count > SKIPPED_FIELDS_MAX:
            raise HpackError("far too many headers")
        begin, byte = offset, block[offset]
        if byte & 0x80:
            return _read_int(block, offset, 7)[1]
        if byte & 0x60 == 0x20:
            raise HpackError("a size update after the first field")
        index, offset = _read_int(block, offset, 6 if byte & 0x40 else 4)
        fits = True
        for _ in range(1 if index else 2):
            is_huffman = block[offset] & 0x80
            length, offset = _read_int(block, offset, 7)
            offset += length
            fits &= length <= (HEADER_LIST_BYTES_MAX if is_huffman else HEADER_TABLE_BYTES)
            if offset > len(block):
                raise _Incomplete
        if byte & 0x40 and not fits:
            self._evict(0)  # what is larger than the table empties it (section 4.4)
        elif byte & 0x40:
            self._unread -= offset - begin
            if self._unread < 0:
                raise HpackError("far too many headers")
            item, _ = self._read_literal(block, begin, 6)
            self._insert(item)
        return offset

    def _lookup(self, index: int) -> tuple[bytes, bytes]:
        if 0 < index <= len(STATIC_TABLE):
            return STATIC_TABLE[index - 1]
        position = index - len(STATIC_TABLE) - 1
        if not 0 <= position < len(self._table):
            raise HpackError(f"there is no entry {index}")
        return self._table[position]

    def _read_literal(
        self, block: bytes, offset: int, bits: int
    ) -> tuple[tuple[bytes, bytes], int]:
        index, offset = _read_int(block, offset, bits)
        if index:
            name = self._lookup(index)[0]
        else:
            name, offset = self._read_string(block, offset)
        value, offset = self._read_string(block, offset)
        return (name, value), offset

    def _read_string(self, block: bytes, offset: int) -> tuple[bytes, int]:
        is_huffman = block[offset] & 0x80
        length, offset = _read_int(block, offset, 7)
        end = offset + length
        if end > len(block):
            raise _Incomplete
        data = block[offset:end]
        if not is_huffman:
            return data, end
        if length > HEADER_LIST_BYTES_MAX:
            # Too large for a list and, decoded, for the table: 30 bits a byte are the most.
            return data, end
        decoded = self._strings.get(data)
        if decoded is None:
            decoded = decode_huffman(data)
            if len(data) <= _STRING_BYTES_CACHED_MAX:
                if len(self._strings) >= STRINGS_MAX:
                    self._strings.clear()
                self._strings[data] = decoded
        return decoded, end

    def _insert(self, item: tuple[bytes, bytes]) -> None:
        self._changed = True
        size = len(item[0]) + len(item[1]) + ENTRY_OVERHEAD_BYTES
        self._evict(self._table_bytes_max - size)
        if size <= self._table_bytes_max:
            self._table.appendleft(item)
            self._table_bytes += size

    def _resize(self, limit: int) -> None:
        if limit > HEADER_TABLE_BYTES:
            raise HpackError(f"a table of {limit} bytes was not offered")
        self._changed = True
        self._table_bytes_max = limit
        self._evict(limit)

    def _evict(self, room: int) -> None:
        while self._table and self._table_bytes > room:
            name, value = self._table.pop()
            self._table_bytes -= len(name) + len(value) + ENTRY_OVERHEAD_BYTES


def _read_int(block: bytes, offset: int, bits: int) -> tuple[int, int]:
    """An integer with a prefix of `bits` (section 5.1)."""
    limit = (1 << bits) - 1
    number = block[offset] & limit
    offset += 1
    if number < limit:
        return number, offset
    shift = 0
    while True:
        byte = block[offset]
        offset += 1
        number += (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, offset
        if shift > 28:
            raise HpackError("an integer is too large")


def _write_int(number: int, bits: int, first: int) -> bytes:
    limit = (1 << bits) - 1
    if number < limit:
        return bytes([first | number])
    parts = bytearray([first | limit])
    number -= limit
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def encode_literal(name: bytes, value: bytes) -> bytes:
    """A field that leaves the dynamic table alone (section 6.2.2)."""
    return b"\0" + _write_int(len(name), 7, 0) + name + _write_int(len(value), 7, 0) + value
