r"""Names and tags of series, and the rows that find them.

    tree "series.names"   key of a name and its labels      -> u32 number
    tree "series.info"    u32 number                        -> MessagePack array of an `Info`
    tree "series.tags"    tag, b"\0", u32 number >> 8       -> 256 bits, a series each, as 32 bytes

A series is a name, or a name with labels: `cpu{core=0,host=a}`.  Labels belong to what it is; tags
are put on it and taken away.  Both are found by (`host=a`, `temp:C`), in one index.  Of 256 series
that came one after another a tag has one row, so a thousand new series cost a few, and a million
are found in 4,000.

A key is the name, and for each label b"\0", its key, b"\1", its value, by their keys in order.  So
all series of a name lie together, and characters below a space are in no name.
"""

import re
from collections.abc import Iterable
from struct import Struct

import msgspec

from roost.series.errors import BadSeries

NAMES_TREE, INFO_TREE, TAGS_TREE = "series.names", "series.info", "series.tags"
NAME_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX = 512, 256, 32
SHARD_BITS = 8
SHARD_BYTES = (1 << SHARD_BITS) // 8
_SHARD = Struct(">I")
_CONTROL = re.compile(r"[\x00-\x1f]")


class Tag(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A key and its value."""

    key: str
    value: str

    @property
    def text(self) -> str:
        """As people write it."""
        return f"{self.key}={self.value}"


class Info(msgspec.Struct, frozen=True, array_like=True):
    """What a series is; of two points of one time the higher counts, if `keeps_highest`."""

    name: str
    labels: list[Tag] = []
    tags: list[Tag] = []
    keeps_highest: bool = False

    @property
    def key(self) -> bytes:
        """Its key in the tree of names."""
        return name_key(self.name, self.labels)

    @property
    def found_by(self) -> set[Tag]:
        """Labels and tags."""
        return {*self.labels, *self.tags}


_decoder = msgspec.msgpack.Decoder(Info)


def decode_info(row: bytes) -> Info:
    """What a series is, from its row."""
    return _decoder.decode(row)


def tag(text: str) -> Tag:
    """A tag, from `key=value` or `key:value`, whichever sign comes first.

    Raises:
        BadSeries: it is none.

    """
    place = min((it for it in (text.find("="), text.find(":")) if it > 0), default=0)
    if not place:
        raise BadSeries(f"{text!r} is no tag: write key=value, or key:value")
    return check_tag(Tag(text[:place], text[place + 1 :]))


def check_tag(given: Tag) -> Tag:
    """Refuse what is no tag.

    Raises:
        BadSeries: it is empty, too long, or has characters that no text has.

    """
    for text in (given.key, given.value):
        if not text or len(text.encode()) > TAG_BYTES_MAX or _has_control(text):
            raise BadSeries(f"{text!r} in a tag: 1 to {TAG_BYTES_MAX} bytes of text, no controls")
    return given


def labels(given: Iterable[Tag]) -> list[Tag]:
    """Labels or tags in the one order that they have.

    Raises:
        BadSeries: one of them is none, one key is there twice, or they are too many.

    """
    found = sorted(check_tag(it) for it in given)
    if len({it.key for it in found}) != len(found) or len(found) > TAGS_MAX:
        raise BadSeries(f"each key once, and {TAGS_MAX} tags at most: {[it.text for it in found]}")
    return found


def check_name(name: str) -> str:
    """Refuse what is no name of a series.

    Raises:
        BadSeries: it is empty, too long, or has characters that no text has.

    """
    if not name or len(name.encode()) > NAME_BYTES_MAX or _has_control(name):
        raise BadSeries(f"{name!r}: a name is 1 to {NAME_BYTES_MAX} bytes of text, no controls")
    return name


def name_key(name: str, given: Iterable[Tag]) -> bytes:
    """The key of a series; name and labels are checked, and in order."""
    parts = (f"\0{it.key}\1{it.value}" for it in given)
    return "".join((name, *parts)).encode()


def _has_control(text: str) -> bool:
    return _CONTROL.search(text) is not None


def tag_prefix(given: Tag) -> bytes:
    """What the keys of a tag's rows begin with."""
    return f"{given.key}\1{given.value}\0".encode()


def tag_key(given: Tag, sid: int) -> bytes:
    """The key of the row of a tag that has a series."""
    return tag_prefix(given) + _SHARD.pack(sid >> SHARD_BITS)


def with_bit(row: bytes | None, sid: int, *, is_set: bool) -> bytes | None:
    """A row of a tag with a series in it, or without; None when nothing is left in it."""
    bits = int.from_bytes(row or b"", "little")
    bit = 1 << (sid & ((1 << SHARD_BITS) - 1))
    bits = bits | bit if is_set else bits & ~bit
    return bits.to_bytes(SHARD_BYTES, "little") if bits else None


def sids_of(key: bytes, row: bytes) -> list[int]:
    """The series in a row of a tag, in order."""
    (shard,) = _SHARD.unpack(key[-_SHARD.size :])
    bits, begin = int.from_bytes(row, "little"), shard << SHARD_BITS
    return [begin + it for it in range(1 << SHARD_BITS) if bits >> it & 1]
