"""The pages of a store's file, by what they are, and what can happen to one.

Follows the tree of the records from its root, as LMDB 0.9 lays it out (mdb.c, `MDB_node`): a
branch page holds, for each child, an offset to u16 low, u16 middle and u16 high part of its page
number.
"""

import random
import struct
from pathlib import Path

from roost.store.meta import META, META_PAGE_BYTES, META_ROOT, META_TRANSACTION

_HEAD_BYTES = 16
_BRANCH = 0x01


def find_pages(data: bytes) -> dict[str, list[int]]:
    """The numbers of the pages in use: "meta", "branch" and "leaf", each from left to right."""
    first = META.unpack_from(data)
    page_bytes = first[META_PAGE_BYTES]
    newest = max(first, META.unpack_from(data, page_bytes), key=lambda it: it[META_TRANSACTION])
    found: dict[str, list[int]] = {"meta": [0, 1], "branch": [], "leaf": []}

    def follow(number: int) -> None:
        begin = number * page_bytes
        flags, end = struct.unpack_from("=HH", data, begin + 10)
        if not flags & _BRANCH:
            found["leaf"].append(number)
            return
        found["branch"].append(number)
        for place in range(_HEAD_BYTES, end, 2):
            (offset,) = struct.unpack_from("=H", data, begin + place)
            low, middle, high = struct.unpack_from("=HHH", data, begin + offset)
            follow(low | middle << 16 | high << 32)

    follow(newest[META_ROOT])
    return found


def damage_page(path: Path, number: int, kind: str, *, other: int = 0) -> None:
    """Have something happen to a page: "zeros", "noise", "noisy body", or the "other" page."""
    data = path.read_bytes()
    size = META.unpack_from(data)[META_PAGE_BYTES]
    begin = number * size
    noise = random.Random(number).randbytes(size)  # noqa: S311 - damage is no secret
    after = {
        "zeros": bytes(size),
        "noise": noise,
        "noisy body": data[begin : begin + _HEAD_BYTES] + noise[_HEAD_BYTES:],
        "other": data[other * size : (other + 1) * size],
    }[kind]
    path.write_bytes(data[:begin] + after + data[begin + size :])
