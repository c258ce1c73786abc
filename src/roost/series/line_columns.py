"""Lines of InfluxDB's protocol read as columns, where each of them is plainly three words.

    measurement,tag=value field=value,field=value 1709251200000000000

Agents send nothing else: no quotes, no backslashes, one space between head, fields and time, a time
of digits alone.  Such a piece is cut into words, fields and values by a few calls for all of it,
and its form is seen from where its signs are.  Whatever is otherwise, or could be wrong, is None
here, and read line by line (`line_protocol`); so what comes of a piece does not depend on which way
it was read (`tests/series/test_line_columns.py`, against a parser that has one way only).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TypeAlias

from roost.series.extra import Floats, Ints, NDArray, np
from roost.series.tables import TIME_STOP

# Signs that mean something of their own, so that more has to be known of their line.
SPECIAL = re.compile(rb'["\\#\r\t\v\f]')
_NEWLINE, _SPACE, _COMMA, _EQUALS, _ZERO = b"\n ,=0"
_DIGITS_MAX = 19
_POWERS = 10 ** np.arange(_DIGITS_MAX - 1, -1, -1, dtype=np.uint64)
_OF_NUMBERS = b"0123456789+-.eE"
WHOLE = re.compile(rb"[+-]?\d{1,20}[iu]")
TRUTHS = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1.0),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), 0.0),
}


Signs: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LineColumns:
    """A piece: of each line its head and how many fields it has, of each field the others."""

    heads: list[bytes]
    counts: list[int]
    names: list[bytes]
    times: Ints
    values: Floats

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        return len(self.heads)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Head and name of each field."""
        if len(self.names) == len(self.heads):
            return zip(self.heads, self.names, strict=True)
        return zip(chain.from_iterable(map(repeat, self.heads, self.counts)), self.names,
                   strict=True)  # fmt: skip


def columns_of(piece: bytes, unit_ns: int) -> LineColumns | None:
    """The columns of whole lines, times in nanoseconds; None when they are not that plain."""
    if SPECIAL.search(piece) is not None:
        return None
    if not piece.endswith(b"\n"):
        piece += b"\n"
    signs = np.frombuffer(piece, np.uint8)
    ends = np.flatnonzero((signs == _SPACE) | (signs == _NEWLINE))
    words = piece.split()
    if len(words) != len(ends) or len(words) % 3:
        return None  # two spaces side by side, or a line of two words
    if bool((signs[ends].reshape(-1, 3) != (_SPACE, _SPACE, _NEWLINE)).any()):
        return None
    times = _times(signs, ends[1::3] + 1, ends[2::3], unit_ns)
    fields = words[1::3]
    cut = None if times is None else _fields(fields)
    if times is None or cut is None:
        return None
    names, values = cut
    counts = [1] * len(fields)
    if len(names) != len(fields):
        counts = [it.count(b",") + 1 for it in fields]
        times = np.repeat(times, counts)
    return LineColumns(words[0::3], counts, names, times, values)


def _times(signs: Signs, begins: Ints, ends: Ints, unit_ns: int) -> Ints | None:
    """Whole numbers that stand between; None when one is none, or out of range."""
    lengths = ends - begins
    found = np.empty(len(begins), np.uint64)
    for length in np.unique(lengths).tolist():
        if length > _DIGITS_MAX:
            return None
        chosen = lengths == length
        digits = signs[begins[chosen][:, None] + np.arange(length)] - _ZERO
        if bool((digits > 9).any()):
            return None
        found[chosen] = digits @ _POWERS[_DIGITS_MAX - length :]
    if bool((found > (TIME_STOP - 1) // unit_ns).any()):
        return None
    times: Ints = found.astype(np.int64) * unit_ns
    return times


def _fields(fields: list[bytes]) -> tuple[list[bytes], Floats] | None:
    """Names and values of all fields of lines; None when one is none."""
    text = b",".join(fields)
    signs = np.frombuffer(text, np.uint8)
    places = np.flatnonzero((signs == _COMMA) | (signs == _EQUALS))
    is_equals = signs[places] == _EQUALS
    # A name, an equals sign, a value, a comma, and so on; none of them is empty.
    is_plain = (
        len(places) % 2 == 1
        and bool(is_equals[0::2].all())
        and not bool(is_equals[1::2].any())
        and places[0] > 0
        and places[-1] < len(text) - 1
        and bool((places[1:] - places[:-1] > 1).all())
    )
    if not is_plain:
        return None
    words = text.replace(b"=", b",").split(b",")
    values = _numbers(words[1::2])
    return None if values is None else (words[0::2], values)


def _numbers(texts: list[bytes]) -> Floats | None:
    """Values of fields; None when one is none."""
    others = b"".join(texts).translate(None, _OF_NUMBERS)
    try:
        # Of these signs Python's floats are those of the protocol.
        found = list(map(float if not others else _number, texts))
    except ValueError:
        return None
    values = np.array(found)
    return values if bool(np.isfinite(values).all()) else None


def _number(text: bytes) -> float:
    """A value that may be a whole number, or a truth.

    Raises:
        ValueError: it is none.

    """
    if text[-1:] in b"iu" and WHOLE.fullmatch(text):
        return float(int(text[:-1]))
    truth = TRUTHS.get(text)
    if truth is not None:
        return truth
    if text.translate(None, _OF_NUMBERS):
        raise ValueError
    return float(text)
