"""What a body says of a user or a role, read as Go's encoding/json reads it.

Names of fields count in any case, what is not known is passed over, null leaves what was, and what
stands behind the first value is not looked at.

Full?  A body has BODY_BYTES_MAX, so it is read in one step.
"""

import json
import re
from typing import Any, NoReturn

from roost.etcd.v2.user_changes import PutRole, PutUser
from roost.etcd.v2.users import Names, Patterns

BODY_BYTES_MAX = 64 << 10
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = b" \t\r\n"
Fields = dict[str, Any]  # of JSON


class BadBody(ValueError):
    """It cannot be read."""


def _constant(text: str) -> NoReturn:
    raise BadBody(text)


def _pairs(pairs: list[tuple[str, Any]]) -> Fields:  # of JSON
    """An object; of one that is given twice the last counts, unless it is null."""
    found: Fields = {}
    for name, value in pairs:
        if value is not None or name.lower() not in found:
            found[name.lower()] = value
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _object(body: bytes) -> Fields:
    """The first value of a body; none when that is null.

    Raises:
        BadBody: it is no object.

    """
    if len(body) > BODY_BYTES_MAX:
        raise BadBody("too long")
    try:
        value, _ = _DECODER.raw_decode(body.lstrip(_SPACES).decode(errors="replace"))
    except (ValueError, RecursionError) as error:
        raise BadBody(str(error)) from error
    return _fields(value)


def _fields(value: object) -> Fields:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadBody("no object")
    return value


def _text(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadBody("no string")
    # Half a character is written as Go reads it.
    return _SURROGATES.sub("\ufffd", value)


def _names(value: object) -> Names | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadBody("no list")
    return tuple(_text(it) for it in value)


def _patterns(value: object) -> Patterns:
    kv = _fields(_fields(value).get("kv"))
    return Patterns(_names(kv.get("read")), _names(kv.get("write")))


def read_user(body: bytes) -> tuple[PutUser, bytes]:
    """A user, and its password as it was given.

    Raises:
        BadBody: it is none.

    """
    fields = _object(body)
    asked = PutUser(
        name=_text(fields.get("user")),
        password=b"",
        roles=_names(fields.get("roles")),
        grant=_names(fields.get("grant")) or (),
        revoke=_names(fields.get("revoke")) or (),
    )
    return asked, _text(fields.get("password")).encode()


def read_role(body: bytes) -> PutRole:
    """A role.

    Raises:
        BadBody: it is none.

    """
    fields = _object(body)
    grant, revoke = fields.get("grant"), fields.get("revoke")
    return PutRole(
        name=_text(fields.get("role")),
        patterns=_patterns(fields.get("permissions")),
        grant=None if grant is None else _patterns(grant),
        revoke=None if revoke is None else _patterns(revoke),
    )
