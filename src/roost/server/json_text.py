"""JSON text -> the value that it says; over turns of the loop, if it is long (RFC 8259; D14).

Python's parser takes a text in one step, and one that stopped would have to begin anew.  So of a
long text it is given pieces: an object or array that ends within PIECE_CHARS it reads whole, of a
longer one the members are read, one after another.  A string is read in one step, however long it
is: two megabytes take one or two milliseconds.

Nothing is converted here; what a request's fields take stands in `json_request.py`.

Full?  A text of more objects, values or escapes than anybody's request has is refused before it is
read (`check_size`), and so is what is nested deeper than DEPTH_MAX or than Python's parser reads;
how long a text may be is up to whoever has it.
"""

import json
import re
from collections.abc import Generator

from roost.errors import PeerFault

# As many as 10,000 operations of a transaction take (`etcd/v3/checks.py`), and some.
OBJECTS_MAX = 40_000
# An operation has three objects, and four or five values.
VALUES_AN_OBJECT = 2
# Some writers escape a few characters of base64; of so many within one string a millisecond is
# made three.
ESCAPES_MAX = 400_000
# Of objects and arrays that are read member by member.
DEPTH_MAX = 500
# What Python's parser reads in one step, if it is all brackets: a fifth of a millisecond.
PIECE_CHARS = 4096
# A text of so many characters is read in one step: a millisecond at most.
WHOLE_CHARS = 16 << 10
# A member, or so many characters of one, costs a unit; a step's worth is about two milliseconds.
_CHARS_A_UNIT = 64
UNITS_A_STEP = 512
_SPACE = re.compile(r"[ \t\r\n]*")
# Before the words of Python's parser, which are none for people who do not know it.
NO_JSON = "the request is no JSON: "


class BadJson(PeerFault, ValueError):
    """A text is no such request; says which field is wrong."""


class Fraction:
    """A number that is no integer: no field takes one."""

    def __init__(self, text: str) -> None:
        """As it is written."""
        self.text = text


def _refuse_constant(name: str) -> None:
    raise BadJson(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_float=Fraction, parse_constant=_refuse_constant)


def check_size(text: str, objects_max: int) -> None:
    """Refuse a text of more objects, values or escapes than anybody's request has.

    Braces and commas within a string count as well.

    Raises:
        BadJson: there are too many.

    """
    if text.count(",") > VALUES_AN_OBJECT * objects_max:
        raise BadJson(f"a request has at most {VALUES_AN_OBJECT * objects_max} JSON values")
    if text.count("{") > objects_max:
        raise BadJson(f"a request has at most {objects_max} JSON objects")
    if text.count("\\") > ESCAPES_MAX:
        raise BadJson(f"a request has at most {ESCAPES_MAX} JSON escapes")


def read_whole(text: str) -> object:
    """The value of a text that has one, in one step.

    Raises:
        BadJson: it has none, more than one, or one that is too deep.

    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except BadJson:
        raise
    except ValueError as error:
        raise BadJson(f"{NO_JSON}{error}") from error


def read_in_steps(text: str) -> Generator[None, None, object]:
    """The value of a text that has one, after as many steps as it takes.

    Raises:
        BadJson: as `read_whole`, and in the same cases but for what lies deeper than DEPTH_MAX.

    """
    if len(text) <= WHOLE_CHARS:
        return read_whole(text)
    return (yield from _Reader(text).read())


def _too_deep() -> BadJson:
    return BadJson("the JSON is nested too deep")


class _Reader:
    """Reads one text, member by member."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0
        # Objects and arrays that have begun and not ended, the outermost first.
        self._open: list[dict[str, object] | list[object]] = []
        self._units = 0

    def read(self) -> Generator[None, None, object]:
        whole = self._value()
        opened = self._open
        is_first = True
        while opened:
            held = opened[-1]
            if self._take("}" if isinstance(held, dict) else "]", is_first=is_first):
                opened.pop()
                is_first = False
                continue
            count = len(opened)
            self._member(held)
            is_first = len(opened) > count
            if self._units >= UNITS_A_STEP:
                self._units = 0
                yield
        self._pass_space()
        if self._offset < len(self._text):
            raise self._wrong("no more")
        return whole

    def _take(self, end: str, *, is_first: bool) -> bool:
        """Pass the end of what is open, if it is next; else the comma, unless nothing is before."""
        self._pass_space()
        mark = self._text[self._offset : self._offset + 1]
        if mark == end or (mark == "," and not is_first):
            self._offset += 1
            return mark == end
        if not is_first:
            raise self._wrong("',' or the end")
        return False

    def _member(self, held: dict[str, object] | list[object]) -> None:
        if isinstance(held, list):
            held.append(self._value())
            return
        self._pass_space()
        name = self._scalar()
        if not isinstance(name, str):
            raise self._wrong("a name")
        self._pass_space()
        if not self._text.startswith(":", self._offset):
            raise self._wrong("':'")
        self._offset += 1
        held[name] = self._value()

    def _value(self) -> object:
        """The value that is next; when that is long it has just begun, and is the last open one."""
        self._pass_space()
        text, begin = self._text, self._offset
        mark = text[begin : begin + 1]
        if mark not in ("{", "["):
            return self._scalar()
        try:
            value, size = _DECODER.raw_decode(text[begin : begin + PIECE_CHARS])
        except RecursionError:
            raise _too_deep() from None
        except BadJson:
            raise
        except ValueError:
            # It does not end so soon, or is wrong somewhere, which its members will show.
            return self._begin({} if mark == "{" else [])
        self._offset += size
        self._units += 1 + size // _CHARS_A_UNIT
        return value

    def _begin(self, value: dict[str, object] | list[object]) -> object:
        if len(self._open) >= DEPTH_MAX:
            raise _too_deep()
        self._open.append(value)
        self._offset += 1
        self._units += PIECE_CHARS // _CHARS_A_UNIT
        return value

    def _scalar(self) -> object:
        """What stands here, as Python's parser reads it."""
        begin = self._offset
        try:
            value, self._offset = _DECODER.raw_decode(self._text, begin)
        except RecursionError:
            raise _too_deep() from None
        except BadJson:
            raise
        except ValueError as error:
            raise BadJson(f"{NO_JSON}{error}") from error
        self._units += 1 + (self._offset - begin) // _CHARS_A_UNIT
        return value

    def _pass_space(self) -> None:
        found = _SPACE.match(self._text, self._offset)
        assert found is not None, "it matches nothing as well"
        self._offset = found.end()

    def _wrong(self, wanted: str) -> BadJson:
        return BadJson(f"{NO_JSON}Expecting {wanted}: char {self._offset}")
