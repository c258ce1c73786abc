"""Names of counters: which there are, and how they lie in a store.

A name has 1 to NAME_CHARACTERS_MAX characters (code points), each a letter, mark, number,
punctuation or symbol of Unicode, or the space; it is in its composed form (NFC), so that what
looks the same is the same counter.  That is asked where clients name counters.  Of what partners
send only the form is checked: another version of Python may know more characters.

A name's key sorts as its code points do, and fits into a key of LMDB, which UTF-8 does not
(128 characters of 4 bytes are 512, and 511 is the most):

    below 0x80      0xxxxxxx
    below 0x4000    10xxxxxx xxxxxxxx
    others          11xxxxxx xxxxxxxx xxxxxxxx
"""

import unicodedata
from functools import lru_cache

from roost.counters.errors import BadCounterName, MalformedCounters

NAME_CHARACTERS_MAX = 128
# Three bytes a character at most.
KEY_BYTES_MAX = 3 * NAME_CHARACTERS_MAX
# In entries; what is hot is looked at once.
_CACHE_MAX = 1 << 14
_CODE_POINTS = 0x110000


@lru_cache(_CACHE_MAX)
def key_of(name: str) -> bytes:
    """The key of a name that a client gave.

    Raises:
        BadCounterName: it may not be one; the text has the character and its place.

    """
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX:
        raise BadCounterName(f"{len(name)} characters; 1 to {NAME_CHARACTERS_MAX} may be")
    if not name.isprintable():
        position = next(at for at, it in enumerate(name) if not it.isprintable())
        found = name[position]
        raise BadCounterName(
            f"the character {found!a} at position {position} (counted from 0) is of category"
            f" {unicodedata.category(found)}: not printable",
            position=position,
        )
    if not unicodedata.is_normalized("NFC", name):
        composed = unicodedata.normalize("NFC", name)
        pairs = enumerate(zip(name, composed, strict=False))
        position = next((at for at, (ours, its) in pairs if ours != its), len(composed))
        raise BadCounterName(
            f"the character {name[position]!a} at position {position} (counted from 0) is not in"
            " composed form: normalise the name to NFC",
            position=position,
        )
    return encode(name)


def encode(text: str) -> bytes:
    """A name, or the beginning of one, as a key; beginnings of names are beginnings of keys."""
    if text.isascii():
        return text.encode("ascii")
    key = bytearray()
    for it in text:
        point = ord(it)
        if point < 0x80:
            key.append(point)
        elif point < 0x4000:
            key += (0x8000 | point).to_bytes(2, "big")
        else:
            key += (0xC00000 | point).to_bytes(3, "big")
    return bytes(key)


def decode(key: bytes) -> str:
    """The name that a key is of.

    Raises:
        MalformedCounters: it is no name's key.

    """
    if key.isascii():
        if not 1 <= len(key) <= NAME_CHARACTERS_MAX:
            raise MalformedCounters(f"a name of {len(key)} characters")
        return key.decode("ascii")
    characters = []
    at = 0
    while at < len(key):
        size = 1 + (key[at] >= 0x80) + (key[at] >= 0xC0)
        point = int.from_bytes(key[at : at + size], "big") & (0x7F, 0x3FFF, 0x3FFFFF)[size - 1]
        is_surrogate = 0xD800 <= point < 0xE000
        is_shortest = point >= (0, 0x80, 0x4000)[size - 1]
        if at + size > len(key) or point >= _CODE_POINTS or is_surrogate or not is_shortest:
            raise MalformedCounters(f"no name: {key!r}")
        characters.append(chr(point))
        at += size
    if len(characters) > NAME_CHARACTERS_MAX:
        raise MalformedCounters(f"a name of {len(characters)} characters")
    return "".join(characters)


def stop_of(beginning: bytes) -> bytes | None:
    """The first key behind all that begin so; None = there is no end."""
    stripped = beginning.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None
