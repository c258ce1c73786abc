"""Series by the heads of lines and the names of fields, as they were looked at before.

A head is what stands before the first space of a line: a measurement, and tags.
"""

import re
from collections import OrderedDict
from itertools import islice

from roost.series.errors import BadSeries
from roost.series.names import TAGS_MAX, Info, Tag, check_name, labels

# What heads of lines came to is kept for so many, and so many fields of each; then the oldest goes.
HEADS_MAX, FIELDS_MAX = 1 << 15, 1000

# A part of a name: anything but a bare comma, space or equals sign.
PART = rb"(?:[^,= \\]|\\.)"
_HEAD = re.compile(rb"((?:[^, \\]|\\.)+)((?:,%s+=(?:[^,= \\]|\\.)+)*)" % PART, re.DOTALL)
_TAG = re.compile(rb",(%s+)=(%s+)" % (PART, PART), re.DOTALL)


class EnoughNew(Exception):
    """So many fields were looked at for the first time that the others have to wait."""


class Heads:
    """By a line's head, the series of each field's name, as far as they were looked at."""

    def __init__(self) -> None:
        """None was."""
        self._known: OrderedDict[bytes, dict[bytes, Info]] = OrderedDict()
        # So many may be looked at for the first time; None = any number.
        self.new_left: int | None = None

    def __len__(self) -> int:
        """How many heads are known."""
        return len(self._known)

    def info(self, head: bytes, name: bytes) -> Info:
        """The series of a field.

        Raises:
            BadSeries: it is none.
            EnoughNew: it is new, and `new_left` says that it has to wait.

        """
        known = self._known.get(head)
        info = None if known is None else known.get(name)
        if info is not None:
            return info
        if self.new_left is not None:
            if self.new_left <= 0:
                raise EnoughNew
            self.new_left -= 1
        info = _info(head, name)
        if known is None and len(self._known) >= HEADS_MAX:
            self._known.popitem(last=False)  # one by one: all at once that takes long
        if known is None or len(known) >= FIELDS_MAX:
            known = self._known[head] = {}
        known[name] = info
        return info


class Places(dict[tuple[bytes, bytes], int]):
    """By a line's head and a field's name, the place of their series, found when it is asked for.

    What is missing is looked up by `dict` itself, so that whole columns are without a call each.
    """

    def __init__(self, heads: Heads, series: list[Info]) -> None:
        """None has a place; series are put behind those of `series`."""
        super().__init__()
        self._heads = heads
        self._series = series

    def __missing__(self, pair: tuple[bytes, bytes]) -> int:
        """Give the next place.

        Raises:
            BadSeries, EnoughNew: as `Heads.info`.

        """
        info = self._heads.info(*pair)
        place = self[pair] = len(self._series)
        self._series.append(info)
        return place

    def forget(self, count: int) -> None:
        """Leave the first `count` series, and no other."""
        while len(self._series) > count:
            self.popitem()  # the last one that was put there
            self._series.pop()


def shown(text: bytes) -> str:
    """A part of a line, as it is shown to people."""
    return repr(text[:60].decode(errors="backslashreplace"))


def _info(head: bytes, name: bytes) -> Info:
    """The series of a field."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise BadSeries(f"{shown(head)}: write measurement,tag=value,tag=value")
    measurement, tags = match.groups()
    found = list(islice(_TAG.finditer(tags), TAGS_MAX + 1))
    if len(found) > TAGS_MAX:
        raise BadSeries(f"{shown(head)}: {TAGS_MAX} tags at most")
    given = [Tag(_text(it[1]), _text(it[2])) for it in found]
    return Info(check_name(f"{_text(measurement)}.{_text(name)}"), labels(given))


def _text(escaped: bytes) -> str:
    try:
        # One after the other: what one leaves is none of another's.
        for sign in (b",", b"=", b" "):
            escaped = escaped.replace(b"\\" + sign, sign)
        return escaped.decode()
    except UnicodeDecodeError as error:
        raise BadSeries(f"{shown(escaped)} is no text in UTF-8") from error
