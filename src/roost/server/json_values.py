"""A text of JSON objects, one behind another, cut as it comes: where each ends, and nothing else.

Every piece is looked at once, however it was cut: a client that sends its text byte by byte makes
nobody read what came before again.

Full?  An object has `chars_max` characters; one that has more is refused, and so is what is no
object at once.
"""

import re

from roost.errors import PeerFault
from roost.server.json_text import BadJson

# So much is cut in one step: half a millisecond's worth if all of it is brackets.
PIECE_CHARS = 2048
_SPACE = re.compile(r"[ \t\r\n]*")
_MARK = re.compile(r'["{}\[\]]')
_MARK_IN_STRING = re.compile(r'["\\]')


class TooLong(PeerFault):
    """An object has no end where it must have one."""


class JsonValues:
    """The objects of one text; a piece with the end of an object gives that object's text."""

    def __init__(self, chars_max: int) -> None:
        """Nothing has come."""
        self._chars_max = chars_max
        # Of the object that has begun.
        self._parts: list[str] = []
        self._chars = 0
        self._depth = 0
        self._is_in_string = self._is_escaped = False

    @property
    def is_within(self) -> bool:
        """Whether an object has begun and has no end yet."""
        return self._depth > 0

    def feed(self, piece: str) -> list[str]:
        """The objects that end in a piece; brackets that do not match are for its reader.

        Raises:
            BadJson: something begins that is no object.
            TooLong: an object does not end.

        """
        ended: list[str] = []
        offset = begin = 0
        while offset < len(piece):
            if self._depth == 0:
                found = _SPACE.match(piece, offset)
                begin = offset = found.end() if found else offset
                if offset == len(piece):
                    break
                if piece[offset] != "{":
                    raise BadJson("the body of a stream is JSON objects")
            offset = self._pass_mark(piece, offset)
            if self._depth == 0:
                self._keep(piece[begin:offset])
                ended.append("".join(self._parts))
                self._parts, self._chars = [], 0
        if self._depth:
            self._keep(piece[begin:])
        return ended

    def _keep(self, part: str) -> None:
        self._parts.append(part)
        self._chars += len(part)
        if self._chars > self._chars_max:
            raise TooLong("a request is too large")

    def _pass_mark(self, piece: str, offset: int) -> int:
        """Go behind the next character that matters, or to the end."""
        if self._is_escaped:
            self._is_escaped = False
            return offset + 1
        mark = (_MARK_IN_STRING if self._is_in_string else _MARK).search(piece, offset)
        if mark is None:
            return len(piece)
        match mark[0]:
            case '"':
                self._is_in_string = not self._is_in_string
            case "\\":
                self._is_escaped = True
            case "{" | "[":
                self._depth += 1
            case _:
                self._depth -= 1
        return mark.end()
