"""What is answered over HTTP, as rows: routes, `/openapi.json` and the reference are made of them.

Whoever answers requests has a table of these.  A path has its variable parts in braces, as OpenAPI
writes it: `/counters/{name}`; `{name}` may stand for more than one part where `is_deep`.
"""

from enum import StrEnum

import msgspec

JSON_KIND, TEXT_KIND, EVENTS_KIND = "application/json", "text/plain", "text/event-stream"


class Kind(StrEnum):
    """Of what type a parameter is; the names are JSON Schema's."""

    TEXT = "string"
    WHOLE = "integer"
    FLAG = "boolean"


class Where(StrEnum):
    """Where a parameter stands; the names are OpenAPI's."""

    QUERY = "query"
    PATH = "path"
    HEADER = "header"


class Parameter(msgspec.Struct, frozen=True):
    """One parameter, and what it says."""

    name: str
    text: str
    kind: Kind = Kind.TEXT
    where: Where = Where.QUERY
    is_needed: bool = False
    # Whether it may be given several times.
    is_many: bool = False


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints that belong together, and how all of them say no."""

    name: str
    text: str
    # Of this project's documentation: where more of it stands.
    page: str
    # The form of an error; None = a line of text.
    error: type[msgspec.Struct] | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a method of HTTP does at a path."""

    protocol: Protocol
    method: str
    path: str
    # One sentence for those who look for it.
    text: str
    parameters: tuple[Parameter, ...] = ()
    # Media types of a body, none = there is no body; and its form, where that is JSON.
    takes: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    # Media types of an answer, none = it is empty; and its form, where that is JSON.
    gives: tuple[str, ...] = (JSON_KIND,)
    answer: object = None
    statuses: tuple[int, ...] = (200,)
    # Whether the last variable part of the path may have slashes in it.
    is_deep: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes it another one."""
        return self.method, self.path


def in_path(name: str, text: str) -> Parameter:
    """A variable part of a path."""
    return Parameter(name, text, where=Where.PATH, is_needed=True)
